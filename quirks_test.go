package acme_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// keepBody is an edit that leaves the answer's body, for faults of headers.
func keepBody(status int, _ http.Header, body []byte) (int, []byte) { return status, body }

// obtains fails the test unless a certificate for a.example is had.
func (f *fixture) obtains() *acme.Certificate {
	f.Helper()
	cert, err := f.account.Obtain(f.Context(), f.request("a.example"))
	if err != nil {
		f.Fatal(err)
	}
	f.verify(cert, "a.example")
	return cert
}

// editing changes all answers of some kinds.
func editing(edit func(map[string]any), kinds ...acmetest.Kind) func(acmetest.Request) *acmetest.Fault {
	fault := acmetest.EditJSON(edit)
	return func(r acmetest.Request) *acmetest.Fault {
		if slices.Contains(kinds, r.Kind) {
			return &fault
		}
		return nil
	}
}

// Servers as they are found in the field, each with the thread in which it was.
// What the library does not put up with is a clear error.
func TestServerQuirks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string // the server
		opts acmetest.Options
		test func(t *testing.T, f *fixture)
	}{
		// letsencrypt/pebble#508, golang/go#77704
		{"Buypass, Dogtag: no Location on finalize", acmetest.Options{OmitLocation: true, IssuanceTime: time.Second}, func(_ *testing.T, f *fixture) { f.obtains() }},
		// golang/go#73504
		{"Boulder: no Location on an order that is read", acmetest.Options{OmitLocation: true}, func(t *testing.T, f *fixture) {
			o := f.order("a.example")
			if read, err := f.account.Order(t.Context(), o.URL); err != nil || read.URL != o.URL {
				t.Errorf("got %+v, %v", read, err)
			}
		}},
		// nginx/nginx-acme#47, grindsa/acme2certifier#111
		{"Vault, Dogtag, acme2certifier, keyon: no nonce with errors", acmetest.Options{BadNonce: 0.3, Seed: 5, OmitNonceOnErrors: true}, func(_ *testing.T, f *fixture) { f.obtains() }},
		// dogtagpki/pki#5422
		{"Dogtag: 500 for a bad nonce", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultEvery("", 4, acmetest.Fault{Status: 500, Header: http.Header{"Replay-Nonce": nil}}))
			f.obtains()
		}},
		// win-acme/win-acme#2570
		{"Entrust: identififiers, no finalize", acmetest.Options{IssuanceTime: time.Second}, func(_ *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) {
				m["identififiers"] = m["identifiers"]
				delete(m, "identifiers")
				delete(m, "finalize")
			}, acmetest.KindOrder, acmetest.KindFinalize))
			f.obtains()
		}},
		// rmbolger/Posh-ACME#510, az-acme/az-acme-cli#50
		{"in-house: authorizations null once ready", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) {
				if delete(m, "finalize"); m["status"] != "pending" {
					m["authorizations"] = nil
				}
			}, acmetest.KindOrder))
			f.obtains()
		}},
		// rmbolger/Posh-ACME#227
		{"in-house: challenges without status", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) {
				for _, c := range m["challenges"].([]any) {
					delete(c.(map[string]any), "status")
				}
			}, acmetest.KindAuthorization))
			f.obtains()
		}},
		// acmesh-official/acme.sh#4150
		{"Sectigo: proprietary challenges of a valid authorization", acmetest.Options{ReuseAuthorizations: true}, func(_ *testing.T, f *fixture) {
			f.obtains()
			f.fault(acmetest.Faults(
				editing(func(m map[string]any) {
					m["challenges"] = []any{map[string]any{"type": "sectigo-email-01", "url": "https://ca.test/x", "status": "pending"}}
				}, acmetest.KindAuthorization),
			))
			f.obtains()
			start := time.Now()
			f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Header: http.Header{"Retry-After": {"300"}}, Edit: keepBody}))
			if f.obtains(); time.Since(start) > time.Second {
				f.Errorf("waited %v for an authorization that is valid", time.Since(start))
			}
		}},
		// cert-manager/cert-manager#2700, go-acme/lego#2916
		{"DigiCert, HARICA, HydrantID: validated out of band", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) { f.obtains() }},
		// letsencrypt/pebble#469
		{"Boulder, Pebble: authorizations are reused", acmetest.Options{ReuseAuthorizations: true}, func(t *testing.T, f *fixture) {
			f.obtains()
			f.ca.Reset()
			f.obtains()
			if got := f.ca.Count(acmetest.KindChallenge); got != 0 {
				t.Errorf("%d challenges of valid authorizations were answered", got)
			}
		}},
		// cert-manager/cert-manager#8960, tailscale/scertec#4: the certificate is
		// the other one's, for another key; that is told, and not passed on.
		{"Boulder: the same order for a second process", acmetest.Options{ReuseOrders: true, IssuanceTime: time.Second}, func(t *testing.T, f *fixture) {
			o := f.order("a.example")
			if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
				t.Fatal(err)
			}
			o, err := f.account.Order(t.Context(), o.URL)
			if err != nil {
				t.Fatal(err)
			}
			csr, err := acme.NewCSR(newKey(t))(t.Context(), o.Identifiers)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.account.FinalizeOrder(t.Context(), o, csr); err != nil { // the other process
				t.Fatal(err)
			}
			_, err = f.account.Complete(t.Context(), o, f.request("a.example"))
			if !errors.Is(err, acme.ErrCertificateMismatch) {
				t.Errorf("got %v", err)
			}
			if got := f.ca.Count(acmetest.KindFinalize); got != 2 {
				t.Errorf("%d finalize requests", got)
			}
		}},
		// letsencrypt/boulder#3333, ndilieto/uacme#78
		{"Boulder 2018, ZeroSSL: a pending order with an invalid authorization", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultOnce(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) { m["status"] = "invalid" })))
			f.obtains()
		}},
		// shred/acme4j#154, acmesh-official/acme.sh#6221
		{"ZeroSSL: Retry-After 86400 with what is final", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(func(acmetest.Request) *acmetest.Fault {
				return &acmetest.Fault{Header: http.Header{"Retry-After": {"86400"}}, Edit: func(status int, h http.Header, body []byte) (int, []byte) {
					if bytes.Contains(body, []byte(`"pending"`)) {
						h.Del("Retry-After")
					}
					return status, body
				}}
			})
			f.fault(acmetest.FaultAlways(acmetest.KindOrder, acmetest.Fault{Header: http.Header{"Retry-After": {"86400"}}, Edit: keepBody}))
			start := time.Now()
			if f.obtains(); time.Since(start) > time.Minute {
				t.Errorf("waited %v", time.Since(start))
			}
		}},
		// skoerfgen/ACMECert#26, acmesh-official/acme.sh#3763
		{"ZeroSSL: a challenge that is processing for ever", acmetest.Options{ValidationTime: 1000 * time.Hour}, func(t *testing.T, f *fixture) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var o *acme.Order
			_, err := f.account.Obtain(acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(c *acme.Order) { o = c }}), f.request("a.example"))
			if _, ok := errors.AsType[*acme.WaitError](err); !ok {
				t.Fatalf("got %v, want a WaitError", err)
			}
			if o, err = f.account.Order(t.Context(), o.URL); err != nil || o.Status != acme.StatusPending {
				t.Errorf("the order is not kept: %+v, %v", o, err)
			}
		}},
		// acmesh-official/acme.sh#4991
		{"ZeroSSL: an invalid challenge with an empty error", acmetest.Options{Validate: failing(acme.HTTP01)}, func(t *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) {
				if cs, ok := m["challenges"].([]any); ok {
					for _, c := range cs {
						c.(map[string]any)["error"] = map[string]any{}
					}
				} else {
					m["error"] = map[string]any{}
				}
			}, acmetest.KindAuthorization, acmetest.KindChallenge))
			_, err := f.account.Obtain(t.Context(), f.request("a.example"))
			if z, ok := errors.AsType[*acme.AuthorizationError](err); !ok || !strings.Contains(z.Error(), "a.example is invalid: http-01 invalid: problem without a type") {
				t.Errorf("got %v", err)
			}
		}},
		// acmesh-official/acme.sh#6103, #5233
		{"ZeroSSL: an order processing for days", acmetest.Options{PreValidated: true, IssuanceTime: 72 * time.Hour, RetryAfter: "21600"}, func(t *testing.T, f *fixture) {
			f.obtains()
			if got := f.ca.Count(acmetest.KindOrder); got > 15 {
				t.Errorf("asked %d times in three days", got)
			}
		}},
		// certbot/certbot#9766
		{"Dogtag: authorizations valid before the order is ready", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.Faults(
				acmetest.FaultKind(acmetest.KindOrder, 3, acmetest.EditJSON(func(m map[string]any) { m["status"] = "pending" })),
				acmetest.FaultOnce(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrOrderNotReady), Status: 403}}),
			))
			f.obtains()
		}},
		// acmesh-official/acme.sh#4990
		{"an enterprise CA: finalize answers 201", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Edit: func(_ int, _ http.Header, b []byte) (int, []byte) { return 201, b }}))
			f.obtains()
		}},
		// icing/mod_md#214
		{"a private CA: no keyChange, no revokeCert", acmetest.Options{PreValidated: true, OmitFromDirectory: []string{"keyChange", "revokeCert"}}, func(t *testing.T, f *fixture) {
			cert := f.obtains()
			if err := f.account.RevokeCertificate(t.Context(), cert.PEM, 0); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
			if _, err := f.account.ChangeKey(t.Context(), newKey(t)); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
		}},
		// smallstep/certificates#209, acmesh-official/acme.sh#7080, rmbolger/Posh-ACME#648
		{"step-ca, ZeroSSL, SSL.com, Actalis: keyChange is not there", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			for _, fault := range []acmetest.Fault{{Status: 404}, {Status: 501}, {Status: 500, Body: []byte(`{"detail":"Not yet implemented"}`)}, {Status: 403, Body: []byte(`{"message":"Missing Authentication Token"}`)}} {
				f.fault(acmetest.FaultAlways(acmetest.KindKeyChange, fault))
				_, err := f.account.ChangeKey(t.Context(), newKey(t))
				if p := problemIn(t, err); p.Status != fault.Status || fault.Body != nil && !strings.Contains(err.Error(), "No") && !strings.Contains(err.Error(), "Missing") {
					t.Errorf("got %v", err)
				}
			}
			f.fault(nil)
			f.obtains() // the old key holds
		}},
		// acme/db/nosql, "changed since last read": one in three of 32 at once.
		{"step-ca: an internal error for orders that are made at once", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			internal := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrServerInternal), Status: 500}}
			f.fault(acmetest.FaultKind(acmetest.KindNewOrder, 4, internal))
			f.obtains()
			f.ca.Reset()
			f.fault(acmetest.FaultKind(acmetest.KindNewOrder, 100, internal))
			if _, err := f.account.NewOrder(t.Context(), f.request("a.example").OrderRequest); !errors.Is(err, acme.ErrServerInternal) || f.ca.Count(acmetest.KindNewOrder) != 5 {
				t.Errorf("%v after %d tries", err, f.ca.Count(acmetest.KindNewOrder))
			}
		}},
		// step-ca 0.30, acme/api/eab.go
		{"step-ca: an internal error for a binding key that is used up", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(func(r acmetest.Request) *acmetest.Fault {
				if bytes.Contains(r.Payload, []byte("externalAccountBinding")) {
					return &acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrServerInternal), Status: 500}}
				}
				return nil
			})
			_, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: make([]byte, 32)}})
			if !errors.Is(err, acme.ErrServerInternal) || !strings.Contains(err.Error(), "external account kid-1: ") || !strings.Contains(err.Error(), "bound it already") {
				t.Errorf("got %v", err)
			}
		}},
		// letsencrypt/pebble, wfe.keyRollover: an errors.As on the wrong type.
		{"Pebble: a change to a key of another account is 200, and none", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			taken := newKey(t)
			another := &acme.Client{DirectoryURL: f.client.DirectoryURL, HTTPClient: f.client.HTTPClient}
			if _, err := another.NewAccount(t.Context(), taken, acme.AccountRequest{TermsOfServiceAgreed: true}); err != nil {
				t.Fatal(err)
			}
			f.fault(acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{Status: 200}))
			if changed, err := f.account.ChangeKey(t.Context(), taken); changed != nil || !errors.Is(err, acme.ErrKeyInUse) {
				t.Errorf("got %v, %v", changed, err)
			}
			f.fault(nil)
			f.obtains() // the old key holds
			// A look that fails is no reason to doubt what the server says.
			f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Status: 404}))
			if changed, err := f.account.ChangeKey(t.Context(), newKey(t)); err != nil || changed == nil {
				t.Errorf("got %v, %v", changed, err)
			}
		}},
		// rmbolger/Posh-ACME#648, shred/acme4j#74
		{"Actalis, Let's Encrypt: no orders list, or the account for one", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindOrders, acmetest.Fault{Status: 200, Body: []byte(`{"status":"valid","contact":[]}`)}))
			for u, err := range f.account.Orders(t.Context()) {
				t.Errorf("got %q, %v", u, err)
			}
			f.fault(editing(func(m map[string]any) { delete(m, "orders") }, acmetest.KindAccount))
			for _, err := range f.account.Orders(t.Context()) {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("got %v", err)
				}
			}
		}},
		// rmbolger/Posh-ACME#648
		{"Actalis, Buypass: an authorization cannot be deactivated", acmetest.Options{Validate: failing(acme.HTTP01)}, func(t *testing.T, f *fixture) {
			f.fault(func(r acmetest.Request) *acmetest.Fault {
				if r.Kind == acmetest.KindAuthorization && len(r.Payload) > 0 {
					return &acmetest.Fault{Status: 200, Body: []byte(`{"status":"pending"}`)}
				}
				return nil
			})
			if _, err := f.account.Obtain(t.Context(), f.request("a.example", "b.example")); !errors.Is(err, acme.ErrConnection) {
				t.Errorf("got %v: it should be why validation failed", err)
			}
		}},
		// letsencrypt/boulder#1592, #8155: no other algorithm is tried (§10.1).
		{"Boulder: badSignatureAlgorithm with no use in its list", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 400, Body: []byte(`{"type":"urn:ietf:params:acme:error:badSignatureAlgorithm","detail":"want RS256","algorithms":"RS256"}`)}))
			if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrBadSignatureAlgorithm) || f.ca.Count(acmetest.KindAccount) != 1 {
				t.Errorf("got %v", err)
			}
		}},
		// processone/ejabberd#3938, noahkw/acmetk#44
		{"step-ca, proxies: odd Content-Type of a certificate", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) {
			for _, kind := range []string{"", "application/octet-stream", "application/pem-certificate-chain; charset=utf-8", "text/plain"} {
				f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Header: http.Header{"Content-Type": {kind}}, Edit: keepBody}))
				f.obtains()
			}
		}},
		// certbot/certbot#6321, mathiasertl/django-ca#83
		{"private CAs: text, blank lines, no final newline, one certificate, the root", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.ca.Root(0).Raw})
			for i, edit := range []func([]byte) []byte{
				func(b []byte) []byte {
					return slices.Concat([]byte("subject=a.example\n\n"), bytes.ReplaceAll(b, []byte("-----\n-----"), []byte("-----\n\n\ntext\n-----")))
				},
				bytes.TrimSpace,
				func(b []byte) []byte { return append(b, root...) },
				func(b []byte) []byte { block, _ := pem.Decode(b); return pem.EncodeToMemory(block) },
			} {
				f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Edit: func(s int, _ http.Header, b []byte) (int, []byte) { return s, edit(b) }}))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example"))
				if err != nil {
					t.Fatalf("%d: %v", i, err)
				}
				if chain, err := cert.Chain(); err != nil || len(chain) != []int{2, 2, 3, 1}[i] {
					t.Errorf("%d: %d certificates, %v", i, len(chain), err)
				}
			}
		}},
		// go-acme/lego#1285
		{"an internal CA: no Link of any kind", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(func(acmetest.Request) *acmetest.Fault {
				return &acmetest.Fault{Header: http.Header{"Link": nil}, Edit: keepBody}
			})
			f.obtains()
		}},
		// NeySlim/ultimate-ca-manager#217, #220
		{"ACME proxies: alternates that lead nowhere", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			page := acmetest.Fault{Status: 405, Body: []byte("<html>405</html>"), Header: http.Header{"Content-Type": {"text/html"}}}
			links := acmetest.Fault{Header: http.Header{"Link": {`<https://ca.test/nowhere>;rel="alternate", <http://upstream.test/x>;rel="alternate", <https://ca.test/certificate/none>;rel="alternate"`}}, Edit: keepBody}
			f.fault(func(r acmetest.Request) *acmetest.Fault {
				switch {
				case r.Kind == acmetest.KindCertificate && !strings.HasSuffix(r.URL, "none"):
					return &links
				case r.Kind == acmetest.KindCertificate || r.Kind == acmetest.KindUnknown:
					return &page
				}
				return nil
			})
			req := f.request("a.example")
			failures := 0
			req.Chain = func(chains iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
				for _, err := range chains {
					if err != nil {
						failures++
					}
				}
				return nil
			}
			if _, err := f.account.Obtain(t.Context(), req); err != nil || failures != 3 {
				t.Errorf("%d failures, %v", failures, err)
			}
		}},
		// smallstep/certificates#193, mathiasertl/django-ca#85: not put up with.
		{"misconfigured proxies: http URLs", acmetest.Options{}, func(t *testing.T, f *fixture) {
			for _, member := range []string{"newNonce", "newOrder"} {
				f.fault(editing(func(m map[string]any) { m[member] = strings.Replace(m[member].(string), "https:", "http:", 1) }, acmetest.KindDirectory))
				_, err := f.newClient().Account(f.key, f.account.URL()).NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example")})
				if !errors.Is(err, acme.ErrInsecureURL) || !strings.Contains(err.Error(), member) {
					t.Errorf("%s: got %v", member, err)
				}
			}
			f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Header: http.Header{"Location": {"http://ca.test/account/1"}}, Edit: keepBody}))
			if _, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); !errors.Is(err, acme.ErrInsecureURL) || !strings.Contains(err.Error(), "Location") {
				t.Errorf("got %v", err)
			}
		}},
		// dvtirol/serles-acme#15
		{"Let's Encrypt: a random member in the directory", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) { m["q7Zk2"] = "https://community.test/"; m["x"] = 5 }, acmetest.KindDirectory))
			f.obtains()
		}},
		// caddyserver/caddy#617, go-acme/lego#338
		{"Let's Encrypt: a maintenance page with 200, bare 429 and 5xx", acmetest.Options{}, func(t *testing.T, f *fixture) {
			page := []byte("<html>The service is down for maintenance</html>")
			f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Status: 200, Body: page}))
			if _, err := f.newClient().Directory(t.Context()); !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), "down for maintenance") {
				t.Errorf("got %v", err)
			}
			for _, status := range []int{429, 503} {
				f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.HTMLError(status)))
				if _, err := f.account.Info(t.Context()); problemIn(t, err).Status != status {
					t.Errorf("got %v", err)
				}
			}
		}},
		// Netflix/lemur#3657
		{"DigiCert: a problem type without the namespace", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 400, Body: []byte(`{"type":"malformed","detail":"x"}`)}))
			if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrMalformed) {
				t.Errorf("got %v", err)
			}
		}},
		// reported for Caddy
		{"private CAs: a problem without status", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 403, Body: []byte(`{"type":"urn:ietf:params:acme:error:unauthorized"}`)}))
			if _, err := f.account.Info(t.Context()); problemIn(t, err).Status != 403 {
				t.Errorf("got %v", err)
			}
		}},
		// hashicorp/vault#19953
		{"Vault: an account with an empty status", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) { m["status"] = "" }, acmetest.KindAccount, acmetest.KindNewAccount))
			if _, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); err != nil {
				t.Error(err)
			}
			if _, err := f.account.Info(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		// hashicorp/vault#31987
		{"Vault: the certificate of a racing finalize", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			other := f.request("a.example")
			other.CSR = acme.NewCSR(newKey(t))
			theirs := f.obtainElsewhere(other)
			f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Edit: func(s int, _ http.Header, _ []byte) (int, []byte) { return s, theirs }}))
			if _, err := f.account.Obtain(t.Context(), f.request("a.example")); !errors.Is(err, acme.ErrCertificateMismatch) {
				t.Errorf("got %v", err)
			}
		}},
		// acmesh-official/acme.sh#6610, rmbolger/Posh-ACME#466, cert-manager/cert-manager#8109
		{"Google Trust Services: no clientAuth in the CSR, refuses IDNs, its own URLs", acmetest.Options{RejectIdentifiers: []string{"xn--bcher-kva.example"}}, func(t *testing.T, f *fixture) {
			f.obtains()
			for _, r := range f.ca.Requests() {
				if r.Kind != acmetest.KindFinalize {
					continue
				}
				csr := csrOf(t, r)
				if len(csr.Extensions) != 1 || csr.Subject.String() != "" {
					t.Errorf("the CSR has more than names: %v", csr.Extensions)
				}
			}
			_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("bücher.example")})
			if !errors.Is(err, acme.ErrRejectedIdentifier) || !strings.Contains(err.Error(), "xn--bcher-kva.example") {
				t.Errorf("got %v", err)
			}
		}},
		// certbot/certbot#8944
		{"Sectigo, ZeroSSL: a second binding of an account is refused", acmetest.Options{ExternalAccounts: map[string][]byte{"k": bytes.Repeat([]byte("m"), 32)}}, func(t *testing.T, f *fixture) {
			eab := &acme.ExternalAccount{KeyID: "k", MACKey: bytes.Repeat([]byte("m"), 32)}
			f.fault(func(r acmetest.Request) *acmetest.Fault {
				if r.Kind == acmetest.KindNewAccount && bytes.Contains(r.Payload, []byte("externalAccountBinding")) && f.ca.Count(acmetest.KindNewAccount) > 2 {
					return &acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Detail: "not awaiting external account binding"}}
				}
				return nil
			})
			key := newKey(t)
			for range 2 {
				if _, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{ExternalAccount: eab}); err != nil {
					t.Error(err)
				}
			}
		}},
		// Posh-ACME, CA comparison
		{"SSL.com: a missing contact is a badCSR", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadCSR), Detail: "contact email is required"}}))
			if _, err := f.account.Obtain(t.Context(), f.request("a.example")); !errors.Is(err, acme.ErrBadCSR) || !strings.Contains(err.Error(), "contact email") {
				t.Errorf("got %v", err)
			}
		}},
		// go-acme/lego#2567
		{"Let's Encrypt: no address as common name", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			req := f.request()
			req.OrderRequest.Identifiers = acme.IP(addr("192.0.2.1"))
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			for _, r := range f.ca.Requests() {
				if r.Kind == acmetest.KindFinalize && csrOf(t, r).Subject.CommonName != "" {
					t.Error("the CSR has a common name")
				}
			}
		}},
		// letsencrypt/boulder#8053, go-acme/lego#2789, icing/mod_md#406
		{"Let's Encrypt, HARICA: replaces is refused", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			for _, problem := range []acmetest.Problem{
				{Type: string(acme.ErrAlreadyReplaced), Status: 409}, {Type: acmetest.ErrorURN + "conflict", Status: 409},
				{Type: string(acme.ErrUnauthorized), Status: 403}, {Type: string(acme.ErrMalformed), Status: 400}, {Type: string(acme.ErrServerInternal), Status: 500},
			} {
				f.ca.Reset()
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					if bytes.Contains(r.Payload, []byte("replaces")) {
						return &acmetest.Fault{Problem: &problem}
					}
					return nil
				})
				req := f.request("a.example")
				req.OrderRequest.Replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Errorf("%s: %v", problem.Type, err)
				}
				if got := f.ca.Count(acmetest.KindNewOrder); got > 5+1 || problem.Status < 500 && got != 2 { // a 500 may pass
					t.Errorf("%s: %d orders", problem.Type, got)
				}
			}
		}},
		// mholt/acmez#34, caddyserver/caddy#6561
		{"Buypass: renewal information without Retry-After", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 200, Header: http.Header{"Retry-After": nil},
				Body: []byte(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}}`)}))
			if info, err := f.client.RenewalInfo(t.Context(), "AQ.AQ"); err != nil || !info.RetryAfter.Equal(time.Now().Add(6*time.Hour)) {
				t.Errorf("got %+v, %v", info, err)
			}
		}},
		// go-acme/lego#3254
		{"Let's Encrypt: the certificate is 404 at first", acmetest.Options{PreValidated: true}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultKind(acmetest.KindCertificate, 3, acmetest.Fault{Status: 404}))
			f.obtains()
		}},
		// caddyserver/certmagic#175, simple-acme/simple-acme#703
		{"keyon, certinext: over 15 s for an answer", acmetest.Options{Latency: 40 * time.Second}, func(_ *testing.T, f *fixture) { f.obtains() }},
		// acmesh-official/acme.sh#6617
		{"EJBCA: wants more in the CSR", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			req := f.request("a.example")
			req.CSR = func(context.Context, []acme.Identifier) ([]byte, error) {
				return csrFor(t, f.certKey, "a.example", []string{"a.example"}), nil
			}
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Error(err)
			}
		}},
		// ietf-plants-wg/merkle-tree-certs#202
		{"Merkle Tree Certificates: an alternate that is not ready", acmetest.Options{PreValidated: true, AlternateChains: 1}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultSequence(acmetest.KindCertificate, acmetest.Fault{}, acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"600"}}}))
			req := f.request("a.example")
			req.Chain = func(chains iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
				for c, err := range chains {
					if p, ok := errors.AsType[*acme.Problem](err); ok && !p.RetryAfter.IsZero() {
						return nil
					}
					_ = c
				}
				t.Error("the alternate was there")
				return nil
			}
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { tt.test(t, newFixture(t, tt.opts)) })
		})
	}
}

// csrOf reads the CSR of a finalize request.
func csrOf(t *testing.T, r acmetest.Request) *x509.CertificateRequest {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(binaryMember(t, r, "csr"))
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", r.Payload, err))
	}
	return csr
}
