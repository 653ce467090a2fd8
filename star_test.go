package acme_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

const day = 24 * time.Hour

// series makes a valid auto-renewal order, whatever the directory says.
func (f *fixture) series(name string) *acme.Order {
	f.Helper()
	req := f.request(name)
	req.OrderRequest.Extra = map[string]any{"auto-renewal": map[string]any{"end-date": time.Now().Add(30 * day), "lifetime": 345600}}
	var valid *acme.Order
	ctx := acme.WithTrace(f.Context(), &acme.Trace{OrderStatus: func(o *acme.Order) {
		if o.Status == acme.StatusValid {
			valid = o
		}
	}})
	if _, err := f.account.Obtain(ctx, req); err != nil {
		f.Fatal(err)
	}
	return valid
}

// The auto-renewal object is as asked for, and nothing that was not.
func TestAutoRenewalRequest(t *testing.T) {
	conformance.Claim(t, "8739-3.1.1-01", "8739-3.2-02", "8739-3.4-01", "8739-4.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{MinLifetime: time.Hour, MaxDuration: 365 * day}, Strict: true})
		end, start := time.Now().Add(30*day).In(time.FixedZone("", 3600)), time.Now().Add(5*day)
		for want, r := range map[string]*acme.AutoRenewal{
			`{"end-date":"2000-01-31T00:00:00Z","lifetime":345600}`: {EndDate: end}, // four days, by default (RFC 8739 §4.1)
			`{"end-date":"2000-01-31T00:00:00Z","lifetime":86400,"lifetime-adjust":3600,"start-date":"2000-01-06T00:00:00Z"}`: {
				StartDate: start, EndDate: end, Lifetime: day, LifetimeAdjust: time.Hour,
			},
		} {
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), AutoRenewal: r, AllowCertificateGet: true}); err != nil {
				t.Error(err)
			}
			if got := f.last(acmetest.KindNewOrder); got != `{"auto-renewal":`+want+`,"identifiers":[{"type":"dns","value":"a.example.com"}]}` {
				t.Errorf("sent %s, want %s", got, want)
			}
		}
		f.ca.Update(func(o *acmetest.Options) {
			o.AutoRenewal = &acmetest.AutoRenewal{MinLifetime: 5 * day, AllowCertificateGet: true}
		})
		account := f.newClient().Account(f.key, f.account.URL())
		if _, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), AutoRenewal: &acme.AutoRenewal{EndDate: end}, AllowCertificateGet: true}); err != nil {
			t.Error(err)
		}
		if got := f.last(acmetest.KindNewOrder); !strings.Contains(got, `{"allow-certificate-get":true,"end-date":"2000-01-31T00:00:00Z","lifetime":432000}`) {
			t.Errorf("sent %s", got)
		}
		if _, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), AutoRenewal: &acme.AutoRenewal{EndDate: end}}); err != nil {
			t.Error(err)
		}
		if got := f.last(acmetest.KindNewOrder); strings.Contains(got, `allow-certificate-get`) {
			t.Errorf("sent %s", got)
		}
	})
}

// What a server must refuse is not sent, and the error says which section
// forbids it.
func TestBadAutoRenewal(t *testing.T) {
	conformance.Claim(t, "8739-3.1.1-02", "8739-3.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{MinLifetime: time.Hour, MaxDuration: 30 * day}})
		now := time.Now()
		for name, tt := range map[string]struct {
			req     acme.OrderRequest
			section string
		}{
			"no end":             {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{}}, "§3.1.1"},
			"past":               {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now}}, "§3.1.1"},
			"ends before start":  {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{StartDate: now.Add(2 * day), EndDate: now.Add(day)}}, "§3.1.1"},
			"negative lifetime":  {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day), Lifetime: -day}}, "§3.1.1"},
			"half a second":      {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day), Lifetime: day + time.Second/2}}, "§3.1.1"},
			"negative adjust":    {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day), LifetimeAdjust: -1 * time.Second}}, "§3.1.1"},
			"NotBefore":          {acme.OrderRequest{NotBefore: now, AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day)}}, "§3.1.1"},
			"NotAfter":           {acme.OrderRequest{NotAfter: now.Add(day), AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day)}}, "§3.1.1"},
			"too short":          {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day), Lifetime: time.Hour - time.Second}}, "§3.2"},
			"too long":           {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(30*day + time.Second)}}, "§3.2"},
			"too long from then": {acme.OrderRequest{AutoRenewal: &acme.AutoRenewal{StartDate: now.Add(day), EndDate: now.Add(31*day + time.Second)}}, "§3.2"},
		} {
			tt.req.Identifiers = acme.DNS("a.example.com")
			_, err := f.account.NewOrder(t.Context(), tt.req)
			if !errors.Is(err, acme.ErrInvalidOrderRequest) || !strings.Contains(err.Error(), "RFC 8739 "+tt.section) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if f.ca.Count(acmetest.KindNewOrder) != 0 {
			t.Error("an order was sent")
		}
		f.ca.Update(func(o *acmetest.Options) { o.AutoRenewal = nil })
		account := f.newClient().Account(f.key, f.account.URL())
		_, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), AutoRenewal: &acme.AutoRenewal{EndDate: now.Add(day)}})
		if !errors.Is(err, errors.ErrUnsupported) || f.ca.Count(acmetest.KindNewOrder) != 0 {
			t.Errorf("not offered: %v", err)
		}
	})
}

// An order long before its time is worth a warning (RFC 8739 §6.1).
func TestAutoRenewalFarInAdvance(t *testing.T) {
	conformance.Claim(t, "8739-6.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{}})
		var logged bytes.Buffer
		f.client.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
		for start, warned := range map[time.Duration]bool{0: false, 6 * day: false, 8 * day: true} {
			logged.Reset()
			r := &acme.AutoRenewal{StartDate: time.Now().Add(start), EndDate: time.Now().Add(30 * day)}
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com"), AutoRenewal: r}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(logged.String(), "RFC 8739 §6.1"); got != warned {
				t.Errorf("%v in advance: %q", start, logged.String())
			}
		}
	})
}

// A series from the first certificate to the end: the values are the server's, the
// certificate is at star-certificate, and when the next one is to be expected
// comes true.
func TestAutoRenewalSeries(t *testing.T) {
	conformance.Claim(t, "8739-3.1.1-03", "8739-3.1.1-04", "8739-3.1.1-05", "8739-3.3-01", "8739-3.3-03", "8739-3.4-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}})
		// The server has another opinion of the dates, and does not agree to GET.
		edit := acmetest.EditJSON(func(m map[string]any) {
			if a, ok := m["auto-renewal"].(map[string]any); ok {
				a["lifetime"], a["lifetime-adjust"] = 86400.0, 50000.0
				delete(a, "allow-certificate-get")
				m["allow-certificate-get"] = true // which is not about a series
			}
		})
		f.fault(acmetest.Faults(acmetest.FaultAlways(acmetest.KindNewOrder, edit), acmetest.FaultAlways(acmetest.KindOrder, edit), acmetest.FaultAlways(acmetest.KindFinalize, edit)))
		req := f.request("a.example.com")
		req.OrderRequest.AutoRenewal = &acme.AutoRenewal{EndDate: time.Now().Add(10 * day), Lifetime: 2 * day}
		req.OrderRequest.AllowCertificateGet = true
		var o *acme.Order
		cert, err := f.account.Obtain(acme.WithTrace(t.Context(), &acme.Trace{OrderStatus: func(read *acme.Order) { o = read }}), req)
		if err != nil {
			t.Fatal(err)
		}
		if a := o.AutoRenewal; a == nil || a.Lifetime != day || a.LifetimeAdjust != 50000*time.Second || !a.EndDate.Equal(time.Now().Add(10*day)) || o.AllowCertificateGet {
			t.Errorf("got %+v, %v", a, o.AllowCertificateGet)
		}
		if o.StarCertificateURL == "" || cert.URL != o.StarCertificateURL || o.CertificateURL != "" || o.Status != acme.StatusValid {
			t.Errorf("the certificate is from %s, the order %+v", cert.URL, o)
		}
		for _, r := range f.ca.Requests() {
			if r.Kind == acmetest.KindCertificate && (r.Method != http.MethodPost || len(r.Payload) > 0) {
				t.Errorf("%s with %q", r.Method, r.Payload)
			}
		}
		// Without the edits, the series as the CA makes it.
		f.fault(nil)
		if o, err = f.account.Order(t.Context(), o.URL); err != nil {
			t.Fatal(err)
		}
		n := 1
		for next := o.AutoRenewal.NextAt(cert.NotAfter); !next.IsZero(); next = o.AutoRenewal.NextAt(cert.NotAfter) {
			pass(time.Until(next) - time.Second)
			if early, err := f.account.OrderCertificate(t.Context(), o); err != nil || !early.NotAfter.Equal(cert.NotAfter) {
				t.Errorf("certificate %d: another one too early, %v", n, err)
			}
			pass(time.Second)
			if cert, err = f.account.OrderCertificate(t.Context(), o); err != nil || !cert.NotBefore.Equal(time.Now()) {
				t.Fatalf("certificate %d: valid from %v, now %v: %v", n, cert.NotBefore, time.Now(), err)
			}
			n++
		}
		if n != 5 || !cert.NotAfter.Equal(o.AutoRenewal.EndDate) {
			t.Errorf("%d certificates, the last until %v", n, cert.NotAfter)
		}
		pass(time.Until(o.AutoRenewal.EndDate))
		f.ca.Reset()
		if _, err = f.account.OrderCertificate(t.Context(), o); !errors.Is(err, acme.ErrAutoRenewalExpired) || f.ca.Count(acmetest.KindCertificate) != 1 {
			t.Errorf("at the end: %v after %d requests", err, f.ca.Count(acmetest.KindCertificate))
		}
		if o, err = f.account.Order(t.Context(), o.URL); err != nil || o.Status != acme.StatusValid {
			t.Errorf("the order is %v, %v", o.Status, err)
		}
	})
}

// Where the server agrees, the certificate is fetched by GET, without a signature
// and by anyone; alternate chains too.
func TestCertificateGet(t *testing.T) {
	conformance.Claim(t, "8739-3.4-02", "9115-2.3.5-01")
	t.Parallel()
	for name, tt := range map[string]struct {
		opts acmetest.Options
		star bool
	}{
		"star":     {acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}, AlternateChains: 1}, true},
		"ordinary": {acmetest.Options{AllowCertificateGet: true, AlternateChains: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tt.opts.Strict = true
				f := newFixture(t, tt.opts)
				req := f.request("a.example.com")
				req.OrderRequest.AllowCertificateGet = true
				req.Chain = acme.PreferRoot("acmetest Root 1")
				if tt.star {
					req.OrderRequest.AutoRenewal = &acme.AutoRenewal{EndDate: time.Now().Add(10 * day)}
				}
				var o *acme.Order
				cert, err := f.account.Obtain(acme.WithTrace(t.Context(), &acme.Trace{OrderStatus: func(read *acme.Order) { o = read }}), req)
				if err != nil || !o.AllowCertificateGet {
					t.Fatal(o, err)
				}
				if chain, err := cert.Chain(); err != nil || chain[len(chain)-1].Issuer.CommonName != "acmetest Root 1" {
					t.Errorf("not the alternate chain: %v", err)
				}
				gets := 0
				for _, r := range f.ca.Requests() {
					if r.Kind == acmetest.KindCertificate {
						if gets++; r.Method != http.MethodGet || r.Protected != nil || r.Header.Get("Accept") != "application/pem-certificate-chain" {
							t.Errorf("%s %s, Accept %q", r.Method, r.URL, r.Header.Get("Accept"))
						}
					}
				}
				if gets != 2 {
					t.Errorf("%d requests for certificates", gets)
				}
				if other, err := f.newClient().Certificate(t.Context(), cert.URL); err != nil || !bytes.Equal(other.PEM, cert.PEM) {
					t.Errorf("by anyone: %v", err)
				}
				if other, err := f.account.Certificate(t.Context(), cert.URL); err != nil || !bytes.Equal(other.PEM, cert.PEM) {
					t.Errorf("by POST-as-GET: %v", err)
				}
			})
		})
	}
}

// Not asked for, not offered, not agreed to: then the certificate needs the account.
func TestCertificateGetNotAgreed(t *testing.T) {
	conformance.Claim(t, "9115-2.3.5-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Strict: true})
		req := f.request("a.example.com")
		req.OrderRequest.AllowCertificateGet = true // which the directory does not offer
		cert, err := f.account.Obtain(t.Context(), req)
		if err != nil || strings.Contains(f.last(acmetest.KindNewOrder), "allow-certificate-get") {
			t.Fatalf("sent %s: %v", f.last(acmetest.KindNewOrder), err)
		}
		f.ca.Update(func(o *acmetest.Options) { o.AllowCertificateGet = true; o.Strict = false })
		if _, err := f.client.Certificate(t.Context(), cert.URL); problemIn(t, err).Status != http.StatusMethodNotAllowed {
			t.Errorf("got %v", err)
		}
		f.ca.Reset()
		silent := acmetest.EditJSON(func(m map[string]any) { delete(m, "allow-certificate-get") })
		f.fault(acmetest.Faults(acmetest.FaultAlways(acmetest.KindNewOrder, silent), acmetest.FaultAlways(acmetest.KindOrder, silent), acmetest.FaultAlways(acmetest.KindFinalize, silent)))
		account := f.newClient().Account(f.key, f.account.URL())
		if _, err = account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.ca.Requests() {
			if r.Kind == acmetest.KindCertificate && r.Method != http.MethodPost {
				t.Errorf("%s %s", r.Method, r.URL)
			}
		}
		if !strings.Contains(f.last(acmetest.KindNewOrder), `"allow-certificate-get":true`) {
			t.Errorf("sent %s", f.last(acmetest.KindNewOrder))
		}
	})
}

// The fields with the certificate's dates are taken or left; the certificate
// rules, and the operator hears of a difference.
func TestCertNotBefore(t *testing.T) {
	conformance.Claim(t, "8739-3.3-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{}})
		o := f.series("a.example.com")
		leaf := f.ca.Issued()[0]
		for name, tt := range map[string]struct {
			header http.Header
			warns  bool
		}{
			"as the CA has them": {nil, false},
			"absent":             {http.Header{"Cert-Not-Before": nil, "Cert-Not-After": nil}, false},
			"others":             {http.Header{"Cert-Not-After": {"Fri, 31 Dec 1999 23:59:59 GMT"}}, true},
			"no date":            {http.Header{"Cert-Not-Before": {"soon"}}, true},
		} {
			var logged bytes.Buffer
			client := f.newClient()
			client.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
			f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Header: tt.header}))
			cert, err := client.Account(f.key, f.account.URL()).OrderCertificate(t.Context(), o)
			if err != nil || !cert.NotBefore.Equal(leaf.NotBefore) || !cert.NotAfter.Equal(leaf.NotAfter) || (logged.Len() > 0) != tt.warns {
				t.Errorf("%s: %v to %v, %v, logged %q", name, cert.NotBefore, cert.NotAfter, err, logged.String())
			}
		}
	})
}

// A series is ended by canceling its order, once, and by nothing else.
func TestCancelOrder(t *testing.T) {
	conformance.Claim(t, "8739-3.1.1-05", "8739-3.1.2-01", "8739-3.1.2-02", "8739-3.1.2-03", "8739-3.3-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{}})
		o := f.series("a.example.com")
		if err := f.account.RevokeCertificate(t.Context(), f.ca.Issued()[0].Raw, acme.ReasonSuperseded); !errors.Is(err, acme.ErrAutoRenewalRevocationNotSupported) {
			t.Errorf("revoked: %v", err)
		}
		canceled, err := f.account.CancelOrder(t.Context(), o)
		if err != nil || canceled.Status != acme.StatusCanceled || canceled.URL != o.URL {
			t.Fatalf("got %+v, %v", canceled, err)
		}
		requests := f.ca.Requests()
		if last := requests[len(requests)-1]; last.URL != o.URL || string(last.Payload) != `{"status":"canceled"}` {
			t.Errorf("sent %s to %s", last.Payload, last.URL)
		}
		if _, err = f.account.OrderCertificate(t.Context(), o); !errors.Is(err, acme.ErrAutoRenewalCanceled) {
			t.Errorf("its certificate: %v", err)
		}
		_, err = f.account.Complete(t.Context(), canceled, f.request("a.example.com"))
		if failed, ok := errors.AsType[*acme.OrderError](err); !ok || failed.Order.Status != acme.StatusCanceled {
			t.Errorf("completed: %v", err)
		}
		if _, err = f.account.WaitOrder(t.Context(), o.URL, acme.StatusValid); !strings.Contains(err.Error(), "canceled") {
			t.Errorf("waited for: %v", err)
		}
		f.ca.Reset()
		for _, other := range []acme.Status{acme.StatusPending, acme.StatusReady, acme.StatusProcessing, acme.StatusInvalid, acme.StatusCanceled, ""} {
			o := *o
			o.Status = other
			if _, err := f.account.CancelOrder(t.Context(), &o); !errors.Is(err, acme.ErrNotCancelable) || !strings.Contains(err.Error(), "RFC 8739 §3.1.2") {
				t.Errorf("%s: %v", other, err)
			}
		}
		if _, err := f.account.CancelOrder(t.Context(), &acme.Order{URL: o.URL, Status: acme.StatusValid}); !errors.Is(err, acme.ErrNotCancelable) {
			t.Errorf("no auto-renewal order: %v", err)
		}
		if f.ca.Count("") != 0 {
			t.Error("a request was sent")
		}
		// What the program knows may be old: the server minds.
		if _, err := f.account.CancelOrder(t.Context(), o); !errors.Is(err, acme.ErrAutoRenewalCancellationInvalid) {
			t.Errorf("again: %v", err)
		}
	})
}

// The answer to the cancellation is lost, or says something else.
func TestCancelOrderAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{}})
		o := f.series("a.example.com")
		f.fault(acmetest.FaultOnce(acmetest.KindOrder, acmetest.Fault{LoseResponse: true}))
		if canceled, err := f.account.CancelOrder(t.Context(), o); err != nil || canceled.Status != acme.StatusCanceled {
			t.Errorf("lost: %+v, %v", canceled, err)
		}
		o = f.series("b.example.com")
		f.fault(acmetest.FaultOnce(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) { m["status"] = "valid" })))
		if _, err := f.account.CancelOrder(t.Context(), o); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("still valid: %v", err)
		}
	})
}

// The example of RFC 8739 §3.5.1, and what is left to guess where the server says
// little.
func TestVectorAutoRenewal(t *testing.T) {
	conformance.Claim(t, "8739-3.5-01")
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", "autorenewal.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name                     string
		EndDate                  time.Time
		Lifetime, LifetimeAdjust int64
		NotAfter                 time.Time
		Next                     *time.Time
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 3 {
		t.Fatal(err)
	}
	for _, v := range vectors {
		r := acme.AutoRenewal{EndDate: v.EndDate, Lifetime: time.Duration(v.Lifetime) * time.Second, LifetimeAdjust: time.Duration(v.LifetimeAdjust) * time.Second}
		got := r.NextAt(v.NotAfter)
		if v.Next == nil && !got.IsZero() || v.Next != nil && !got.Equal(*v.Next) {
			t.Errorf("%s: %v, want %v", v.Name, got, v.Next)
		}
	}
}

// The directory and orders of an odd server.
func TestAutoRenewalMeta(t *testing.T) {
	conformance.Claim(t, "8739-3.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for meta, want := range map[string]*acme.AutoRenewalMeta{
			`{"min-lifetime":86400,"max-duration":31536000,"allow-certificate-get":true}`: {MinLifetime: day, MaxDuration: 365 * day, AllowCertificateGet: true},
			`{"min-lifetime":86400,"max-duration":31536000}`:                              {MinLifetime: day, MaxDuration: 365 * day},
			`{"min-lifetime":"x","max-duration":-5,"allow-certificate-get":1}`:            {},
			`{"max-duration":9223372036854775807}`:                                        {MaxDuration: time.Duration(9223372036) * time.Second},
			`[]`:                                                                          nil, `true`: nil, `null`: nil,
		} {
			f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) {
				m["meta"] = map[string]any{"auto-renewal": json.RawMessage(meta)}
			})))
			dir, err := f.newClient().Directory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := dir.Meta.AutoRenewal
			if (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("%s: %+v, want %+v", meta, got, want)
			}
		}
	})
}
