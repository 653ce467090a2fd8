package acme

import (
	"crypto/x509"
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
	f.Fuzz(func(t *testing.T, data []byte) {
		var d Directory
		if d.decode(data) != nil {
			return
		}
		if len(d.NewOrderURL) > 8<<10 || len(d.Meta.TermsOfService) > 8<<10 {
			t.Error("a member is not bounded")
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"status":"valid","expires":"2016-01-20T14:09:07.99Z","identifiers":[{"type":"dns","value":"a"}],"authorizations":["/1"],"error":{"type":"caa"}}`))
	f.Add([]byte(`{"status":5,"expires":"","authorizations":null,"error":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		if o.decode(data) != nil {
			return
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
