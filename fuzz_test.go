package acme

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"
)

// What a server sends is decoded without a panic, and what comes out is fit for
// use: the readers of objects agree with themselves on a second reading.

func FuzzDirectory(f *testing.F) {
	f.Add([]byte(`{"newNonce":"https://ca.test/n","newAccount":"/a","meta":{"caaIdentities":["ca.test"],"profiles":{"p":""},"externalAccountRequired":true}}`))
	f.Add([]byte(`{"meta":[1],"newOrder":5,"keyChange":null}`))
	f.Add([]byte(`{"meta":{"auto-renewal":{"min-lifetime":86400,"max-duration":1e99,"allow-certificate-get":true},"delegation-enabled":true,"subdomainAuthAllowed":1,"onionCAARequired":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d Directory
		if d.decode(data) != nil {
			return
		}
		if r := d.Meta.AutoRenewal; r != nil && (r.MinLifetime < 0 || r.MaxDuration < 0) {
			t.Errorf("negative: %+v", r)
		}
		if len(d.NewOrderURL) > 8<<10 || len(d.Meta.TermsOfService) > 8<<10 {
			t.Error("a member is not bounded")
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"status":"valid","expires":"2016-01-20T14:09:07.99Z","identifiers":[{"type":"dns","value":"a"}],"authorizations":["/1"],"error":{"type":"caa"}}`))
	f.Add([]byte(`{"status":5,"expires":"","authorizations":null,"error":{}}`))
	f.Add([]byte(`{"status":"invalid","auto-renewal":{"end-date":"2030-01-02T04:00:00Z","lifetime":-1,"lifetime-adjust":9223372036854775807},"star-certificate":"/c","delegation":"\n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		if o.decode(data) != nil {
			return
		}
		if r := o.AutoRenewal; r != nil {
			if next := r.NextAt(time.Now()); r.Lifetime < 0 || r.LifetimeAdjust < 0 || next.After(time.Now()) {
				t.Errorf("%+v: the next one at %v", r, next)
			}
		}
		text := (&OrderError{Order: &o}).Error()
		if strings.ContainsAny(text, "\n\r\x1b\x00") {
			t.Errorf("unfit text %q", text)
		}
		if !o.Expires.IsZero() {
			if _, err := time.Parse(time.RFC3339, o.Expires.Format(time.RFC3339)); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add([]byte(`{"status":"pending","identifier":{"type":"dns","value":"a"},"wildcard":true,"challenges":[{"type":"http-01","url":"/c","token":"abc","status":"pending"}]}`))
	f.Add([]byte(`{"challenges":[null,5,{"token":"../x"},{"error":{},"validated":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var z Authorization
		if z.decode(data) != nil {
			return
		}
		for _, c := range z.Challenges {
			if strings.ContainsAny(c.Token, "./\\ \x00=") {
				t.Errorf("a token came through: %q", c.Token)
			}
		}
		for _, err := range []error{&AuthorizationError{Authorization: &z}, &NoSolverError{Authorization: &z}} {
			if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b\x00") {
				t.Errorf("unfit text %q", text)
			}
		}
	})
}

func FuzzAccount(f *testing.F) {
	f.Add([]byte(`{"status":"valid","contact":["mailto:a@b.c"],"orders":"/o","externalAccountBinding":{}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var i AccountInfo
		_ = i.decode(data) // no panic is all
	})
}

func FuzzDelegation(f *testing.F) {
	f.Add([]byte(`{"csr-template":{},"cname-map":{"a.":"b."}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var d Delegation
		_ = d.decode(data) // no panic is all
	})
}

// What is in a certificate comes from the server, too.
func FuzzExtensionIdentifiers(f *testing.F) {
	for _, seed := range []string{"301ea01c06082b0601050507080ba010160e64746e3a2f2f6578616d706c652f", "3022a02006082b06010505070804a014301206092b0601040181fd5901040548572d3737", "3004a0020600"} {
		der, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, id := range extensionIdentifiers([]pkix.Extension{{Id: objectID(oidSubjectAltName), Value: der}}) {
			if id.Type == "" {
				t.Errorf("%x: %+v", der, id)
			}
			n, err := id.normalize()
			if err != nil {
				continue
			}
			if again, err := n.normalize(); err != nil || again != n {
				t.Errorf("%q became %q, %v", n.Value, again.Value, err)
			}
		}
	})
}

func FuzzRenewalInfo(f *testing.F) {
	f.Add([]byte(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var i RenewalInfo
		if i.decode(data) != nil {
			return
		}
		if m := i.Moment("x"); i.End.After(i.Start) && i.End.Sub(i.Start) < math.MaxInt64 && (m.Before(i.Start) || !m.Before(i.End)) {
			t.Errorf("%v is not between %v and %v", m, i.Start, i.End)
		}
	})
}

func FuzzCertID(f *testing.F) {
	f.Add("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
	f.Add("AQ==.AQ")
	f.Add("0A.00000")
	f.Fuzz(func(t *testing.T, text string) {
		keyID, serial, err := CertID(text).Parse()
		if err != nil {
			return
		}
		if id, err := NewCertID(&x509.Certificate{AuthorityKeyId: keyID, SerialNumber: serial}); string(id) != text || err != nil {
			t.Errorf("%q became %q, %v", text, id, err)
		}
	})
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"type":"caa","detail":"x","status":4,"subproblems":[{"type":"dns","identifier":{"type":"dns","value":"a"}}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := new(Problem)
		if p.decode(data) != nil {
			return
		}
		if text := p.Error(); len(text) > 64<<10 || strings.ContainsAny(text, "\n\r\x1b\x00") {
			t.Errorf("%q: unfit text %q", data, text)
		}
	})
}
