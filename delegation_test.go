package acme_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// owner is the server of an identifier owner, whose accounts may order for
// a.example.com.
func owner() acmetest.Options {
	template := `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],"extensions":{"subjectAltName":{"DNS":["a.example.com"]}}}`
	return acmetest.Options{
		Delegations:         []acmetest.Delegation{{CSRTemplate: template, CNAMEMap: map[string]string{"a.example.com.": "a.cdn.example."}}, {CSRTemplate: template}, {CSRTemplate: template}},
		AllowCertificateGet: true, AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}, OrdersPerPage: 2,
	}
}

// The account's delegations, over all pages, and what is in one.
func TestDelegations(t *testing.T) {
	conformance.Claim(t, "9115-2.3.1.1-01", "9115-2.3.1.3-01", "9115-2.3.4-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, owner())
		var urls []string
		for url, err := range f.account.Delegations(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			urls = append(urls, url)
		}
		if want := []string{"https://ca.test/delegation/1", "https://ca.test/delegation/2", "https://ca.test/delegation/3"}; !slices.Equal(urls, want) {
			t.Errorf("got %v", urls)
		}
		for _, r := range f.ca.Requests() {
			if r.Kind == acmetest.KindDelegations && (r.Method != http.MethodPost || len(r.Payload) > 0) {
				t.Errorf("%s with %q", r.Method, r.Payload)
			}
		}
		if n := f.ca.Count(acmetest.KindDelegations); n != 2 {
			t.Errorf("%d pages", n)
		}
		d, err := f.account.Delegation(t.Context(), urls[0])
		if err != nil || d.URL != urls[0] || !strings.Contains(string(d.CSRTemplate), "secp256r1") || !maps.Equal(d.CNAMEMap, map[string]string{"a.example.com.": "a.cdn.example."}) {
			t.Errorf("got %+v, %v", d, err)
		}
		if d, err = f.account.Delegation(t.Context(), urls[1]); err != nil || d.CNAMEMap != nil || len(d.Raw) == 0 {
			t.Errorf("got %+v, %v", d, err)
		}
		if _, err = f.account.Delegation(t.Context(), urls[0]+"0"); problemIn(t, err).Status != 404 {
			t.Errorf("got %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindDelegation, acmetest.Fault{Status: 200, Body: []byte(`{"csr-template":5,"cname-map":{"a":1}}`)}))
		if d, err = f.account.Delegation(t.Context(), urls[0]); err != nil || string(d.CSRTemplate) != "5" || d.CNAMEMap != nil {
			t.Errorf("an odd one: %+v, %v", d, err)
		}
		f.ca.Update(func(o *acmetest.Options) { o.Delegations = nil })
		for _, err := range f.account.Delegations(t.Context()) {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("not offered: %v", err)
			}
		}
		account := f.newClient().Account(f.key, f.account.URL())
		if _, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), Delegation: urls[0]}); !errors.Is(err, errors.ErrUnsupported) || f.ca.Count(acmetest.KindNewOrder) != 0 {
			t.Errorf("not offered: %v", err)
		}
	})
}

// A delegated order needs no authorizations; its certificate is at a CA that knows
// no account. Of a series as of a single certificate.
func TestDelegatedOrder(t *testing.T) {
	conformance.Claim(t, "9115-2.3.2-01", "9115-2.3.2-02", "9115-2.3.2-03", "9115-2.3.2-04", "9115-2.3.2-05", "9115-2.3.2-07", "9115-2.3.3-01", "9115-7.3-01")
	t.Parallel()
	for name, tt := range map[string]struct {
		renewal *acme.AutoRenewal
		sent    string
	}{
		"single": {nil, `{"allow-certificate-get":true,"delegation":"https://ca.test/delegation/1","identifiers":[{"type":"dns","value":"a.example.com"}]}`},
		"star": {&acme.AutoRenewal{EndDate: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)},
			`{"auto-renewal":{"allow-certificate-get":true,"end-date":"2000-02-01T00:00:00Z","lifetime":345600},"delegation":"https://ca.test/delegation/1","identifiers":[{"type":"dns","value":"a.example.com"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opts := owner()
				opts.Strict = true
				f := newFixture(t, opts)
				req := f.request("a.example.com")
				req.Solvers, req.OrderRequest.Delegation, req.OrderRequest.AutoRenewal = nil, "https://ca.test/delegation/1", tt.renewal
				var created *acme.Order
				cert, err := f.account.Obtain(acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(o *acme.Order) { created = o }}), req)
				if err != nil {
					t.Fatal(err)
				}
				if created.Status != acme.StatusReady || len(created.AuthorizationURLs) != 0 || created.Delegation != "https://ca.test/delegation/1" || !created.AllowCertificateGet {
					t.Errorf("got %+v", created)
				}
				if got := f.last(acmetest.KindNewOrder); got != tt.sent {
					t.Errorf("sent %s\nwant %s", got, tt.sent)
				}
				if f.ca.Count(acmetest.KindAuthorization)+f.ca.Count(acmetest.KindChallenge) > 0 || f.ca.Count(acmetest.KindFinalize) != 1 {
					t.Errorf("%d authorizations, %d finalize requests", f.ca.Count(acmetest.KindAuthorization), f.ca.Count(acmetest.KindFinalize))
				}
				if f.ca.Count(acmetest.KindRevokeCert) > 0 { // which is the owner's business
					t.Error("a revocation")
				}
				last := f.ca.Requests()[len(f.ca.Requests())-1]
				if last.Method != http.MethodGet || last.Protected != nil || !strings.HasPrefix(last.URL, "https://issuer.test/") || last.Header.Get("Accept") == "" || cert.URL != last.URL {
					t.Errorf("%s %s for %s", last.Method, last.URL, cert.URL)
				}
				if tt.renewal != nil {
					req.OrderRequest.NotAfter = time.Now().Add(time.Hour)
					if _, err := f.account.NewOrder(t.Context(), req.OrderRequest); !errors.Is(err, acme.ErrInvalidOrderRequest) {
						t.Errorf("NotAfter: %v", err)
					}
				}
			})
		})
	}
}

// What goes wrong with delegations has names.
func TestDelegationErrors(t *testing.T) {
	conformance.Claim(t, "9115-2.3.1.3-02", "9115-2.3.2-06", "9115-7.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, owner())
		req := f.request("a.example.com")
		req.OrderRequest.Delegation = "https://ca.test/delegation/4"
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrUnknownDelegation) || problemIn(t, err).Status != 403 {
			t.Errorf("unknown: %v", err)
		}
		// The CA behind the owner gives no certificates away.
		f.ca.Update(func(o *acmetest.Options) { o.AllowCertificateGet, o.AutoRenewal = false, &acmetest.AutoRenewal{} })
		req.OrderRequest.Delegation = "https://ca.test/delegation/1"
		f.account = f.newClient().Account(f.key, f.account.URL()) // with the directory as it is now
		for _, renewal := range []*acme.AutoRenewal{nil, {EndDate: time.Now().Add(10 * day)}} {
			req.OrderRequest.AutoRenewal = renewal
			_, err := f.account.Obtain(t.Context(), req)
			if failed, ok := errors.AsType[*acme.OrderError](err); !ok || !errors.Is(err, acme.ErrCertificateGetDenied) || failed.Order.AllowCertificateGet || !strings.Contains(err.Error(), "RFC 9115 §2.3.2") {
				t.Errorf("no GET: %v", err)
			}
		}
		// Orders that are invalid for another reason.
		for _, o := range []*acme.Order{
			{Status: acme.StatusInvalid}, {Status: acme.StatusInvalid, Delegation: "x", AllowCertificateGet: true}, {Status: acme.StatusExpired, Delegation: "x"},
		} {
			if err := (&acme.OrderError{Order: o}); errors.Is(err, acme.ErrCertificateGetDenied) || strings.Contains(err.Error(), "9115") {
				t.Errorf("%+v: %v", o, err)
			}
		}
		// A key that is compromised: the account ends, at the owner's server as at any.
		if err := f.account.Deactivate(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("after deactivation: %v", err)
		}
	})
}
