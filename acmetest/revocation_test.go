package acmetest_test

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestRevocation(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	revokeCert := c.url(t, "revokeCert")
	body := func(leaf *x509.Certificate, more ...any) m {
		b := m{"certificate": b64(leaf.Raw)}
		if len(more) > 0 {
			b["reason"] = more[0]
		}
		return b
	}
	_, chain := c.issue(t, "example.com")
	leaf := chain[0]
	for _, reason := range []any{7, 11, -1} {
		c.refused(t, 400, "badRevocationReason", revokeCert, body(leaf, reason))
	}
	for _, b := range []any{
		body(leaf, "1"), body(leaf, 1.5), body(leaf, nil), m{}, m{"certificate": "x="}, m{"certificate": b64([]byte("x"))},
		m{"certificate": b64(leaf.Raw), "Reason": 1},
	} {
		c.refused(t, 400, "malformed", revokeCert, b)
	}
	c.refused(t, 404, "malformed", revokeCert, body(s.Root(0)))
	if _, revoked := s.Revoked(leaf); revoked {
		t.Error("revoked already")
	}
	if res := c.must(t, 200, revokeCert, body(leaf, 4)); len(res.body) != 0 {
		t.Errorf("body %s", res.body)
	}
	if reason, revoked := s.Revoked(leaf); !revoked || reason != 4 {
		t.Errorf("%d %v", reason, revoked)
	}
	c.refused(t, 400, "alreadyRevoked", revokeCert, body(leaf))
}

func TestRevocationByOthers(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	revokeCert := c.url(t, "revokeCert")
	key := newKey(t)
	_, chain := c.issueFor(t, key, "example.com", "*.example.com")
	leaf := chain[0]
	payload := m{"certificate": b64(leaf.Raw)}
	signedBy := func(key crypto.Signer) *client {
		other := c.another(t)
		other.key = key
		return other
	}

	// By authorizations for all identifiers, the wildcard being one of its own.
	other := c.another(t).register(t)
	other.ready(t, "dns-01", "example.com")
	other.refused(t, 403, "unauthorized", revokeCert, payload)
	other.ready(t, "dns-01", "*.example.com")
	other.must(t, 200, revokeCert, payload)
	if reason, revoked := s.Revoked(leaf); !revoked || reason != -1 {
		t.Errorf("%d %v", reason, revoked)
	}

	// By the key of the certificate; not by another, even if it is that of the account.
	_, chain = c.issueFor(t, key, "example.com")
	payload = m{"certificate": b64(chain[0].Raw)}
	signedBy(newKey(t)).refused(t, 403, "unauthorized", revokeCert, payload)
	signedBy(c.key).refused(t, 403, "unauthorized", revokeCert, payload)
	signedBy(key).must(t, 200, revokeCert, payload)
}

func TestRenewalInfo(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{CertificateLifetime: 90 * time.Hour})
	renewalInfo := c.url(t, "renewalInfo")
	for range 4 { // serial numbers with and without a leading zero octet
		c.issue(t, "example.com")
	}
	for _, leaf := range s.Issued() {
		res := c.get(t, renewalInfo+"/"+certID(leaf))
		window, _ := res.object["suggestedWindow"].(map[string]any)
		start, err1 := time.Parse(time.RFC3339, window["start"].(string))
		end, err2 := time.Parse(time.RFC3339, window["end"].(string))
		if err1 != nil || err2 != nil || start.Sub(leaf.NotBefore) != 70*time.Hour || leaf.NotAfter.Sub(end) != 10*time.Hour ||
			res.header.Get("Retry-After") == "" {
			t.Errorf("%s %v", res.body, res.header)
		}
	}
	leaf := s.Issued()[0]
	s.Update(func(o *acmetest.Options) {
		o.RenewalWindow = func(*x509.Certificate) (time.Time, time.Time) {
			return time.Unix(int64(s.Count(acmetest.KindRenewalInfo)-4), 0), time.Unix(2, 0) // no lock is held
		}
	})
	if res := c.get(t, renewalInfo+"/"+certID(leaf)); string(res.body) !=
		`{"suggestedWindow":{"end":"1970-01-01T00:00:02Z","start":"1970-01-01T00:00:01Z"}}` {
		t.Errorf("%s", res.body)
	}
	for id, status := range map[string]int{"/AAAA.AAAA": 404, "/AAAA": 400, "/AAAA.": 400, "/a=.b=": 400, "": 400} {
		if res := c.get(t, renewalInfo+id); res.status != status || res.problem() != "malformed" {
			t.Errorf("%q: %d %s", id, res.status, res.body)
		}
	}
	if res := c.post(t, renewalInfo+"/"+certID(leaf), nil); res.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.status)
	}
}

// Whoever asks about a certificate that has expired breaks RFC 9773 §4.3, as does an order with replaces where the directory
// has no renewalInfo (§5 there).
func TestRenewalViolations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{CertificateLifetime: time.Hour, PreValidated: true})
		c.issue(t, "example.com")
		ask := c.url(t, "renewalInfo") + "/" + certID(s.Issued()[0])
		if res := c.get(t, ask); res.status != http.StatusOK {
			t.Errorf("got %d", res.status)
		}
		pause(t, time.Hour+time.Second)
		if res := c.get(t, ask); res.status != http.StatusNotFound || len(s.Violations()) != 1 {
			t.Errorf("got %d, %v", res.status, s.Violations())
		}
		s.Update(func(o *acmetest.Options) { o.OmitFromDirectory = []string{"renewalInfo"} })
		c.refused(t, http.StatusBadRequest, "malformed", c.url(t, "newOrder"), m{"identifiers": identifiers("example.com"), "replaces": certID(s.Issued()[0])})
		if len(s.Violations()) != 2 {
			t.Errorf("got %v", s.Violations())
		}
	})
}

// certID is RFC 9773 §4.1, taken from the DER of the certificate.
func certID(leaf *x509.Certificate) string {
	serial := leaf.SerialNumber.Bytes()
	if leaf.SerialNumber.BitLen()%8 == 0 {
		serial = append([]byte{0}, serial...)
	}
	return b64(leaf.AuthorityKeyId) + "." + b64(serial)
}

func TestReplaces(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	c.issue(t, "example.com", "www.example.com")
	id := certID(s.Issued()[0])
	replacing := func(name string) m { return m{"identifiers": identifiers(name), "replaces": id} }
	other := c.another(t).register(t)
	newOrder := c.url(t, "newOrder")
	other.refused(t, 403, "unauthorized", newOrder, replacing("example.com"))
	c.refused(t, 400, "malformed", newOrder, replacing("example.org"))
	order := c.must(t, 201, newOrder, replacing("www.example.com"))
	c.refused(t, 409, "alreadyReplaced", newOrder, replacing("www.example.com"))
	c.must(t, 200, order.strings("authorizations")[0], m{"status": "deactivated"})
	c.must(t, 201, newOrder, replacing("www.example.com")) // the first one became invalid
	if o := s.Orders(); o[2].Replaces != id || o[2].Status != "pending" {
		t.Errorf("%+v", o)
	}
}
