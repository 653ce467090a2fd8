package acme_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// Servers say in various ways that nobody has agreed to their terms, and none of
// them knows what that is called here.
func TestAgreementIsAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		terms  string
		agreed bool
		answer acme.ProblemType
		hint   bool
	}{
		"by the RFC":          {"https://ca.test/terms", false, acme.ErrUserActionRequired, true},
		"Boulder":             {"https://ca.test/terms", false, acme.ErrMalformed, true},
		"about another thing": {"https://ca.test/terms", false, acme.ErrInvalidContact, false},
		"agreed":              {"https://ca.test/terms", true, acme.ErrMalformed, false},
		"without terms":       {"", false, acme.ErrMalformed, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{TermsOfService: tt.terms})
				f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(tt.answer), Status: 403}}))
				_, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{TermsOfServiceAgreed: tt.agreed})
				hint := strings.Contains(fmt.Sprint(err), `TermsOfServiceAgreed is not set: has somebody read "https://ca.test/terms"?`)
				if !errors.Is(err, tt.answer) || hint != tt.hint {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestAccountLifecycle(t *testing.T) {
	conformance.Claim(t, "8555-7.3-07")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{TermsOfService: "https://ca.test/terms", OmitLocation: true})
		ctx, key := t.Context(), newKey(t)
		if _, err := f.client.FindAccount(ctx, key); !errors.Is(err, acme.ErrAccountDoesNotExist) {
			t.Errorf("find before: %v", err)
		}
		_, err := f.client.NewAccount(ctx, key, acme.AccountRequest{})
		if !errors.Is(err, acme.ErrUserActionRequired) && !errors.Is(err, acme.ErrMalformed) {
			t.Errorf("without agreement: %v", err)
		}
		a, err := f.client.NewAccount(ctx, key, acme.AccountRequest{TermsOfServiceAgreed: true, Contact: []string{"mailto:admin@example.com"}})
		if err != nil || !a.Created() || a.URL() == "" {
			t.Fatalf("create: %v, %v", a, err)
		}
		again, err := f.client.NewAccount(ctx, key, acme.AccountRequest{TermsOfServiceAgreed: true})
		if err != nil || again.Created() || again.URL() != a.URL() {
			t.Errorf("again: %v, %v", again, err)
		}
		found, err := f.client.FindAccount(ctx, key)
		if err != nil || found.URL() != a.URL() || found.Created() {
			t.Errorf("find: %v, %v", found, err)
		}
		restored := f.newClient().Account(key, a.URL())
		info, err := restored.Info(ctx)
		if err != nil || info.Status != acme.StatusValid || !slices.Equal(info.Contact, []string{"mailto:admin@example.com"}) || len(info.Raw) == 0 {
			t.Errorf("info: %+v, %v", info, err)
		}
		info, err = restored.Update(ctx, []string{"mailto:ops@example.com", "tel:+123"})
		if errors.Is(err, acme.ErrUnsupportedContact) {
			info, err = restored.Update(ctx, []string{"mailto:ops@example.com"})
		}
		if err != nil || info.Contact[0] != "mailto:ops@example.com" {
			t.Errorf("update: %+v, %v", info, err)
		}
		if info, err = restored.Update(ctx, nil); err != nil || len(info.Contact) != 0 {
			t.Errorf("clear: %+v, %v", info, err)
		}
		if restored.URL() != a.URL() {
			t.Errorf("the URL became %q", restored.URL()) // acmez lost it
		}
		if err := restored.Deactivate(ctx); err != nil {
			t.Errorf("deactivate: %v", err)
		}
		if _, err := a.Info(ctx); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("after: %v", err)
		}
	})
}

func TestBadContacts(t *testing.T) {
	conformance.Claim(t, "8555-7.3-02", "8555-7.3-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, contact := range []string{"", "admin@example.com", "mailto:", "mailto:a@example.com?subject=x", "mailto:a@example.com,b@example.com", "mailto:a b@example.com", "mailto:a", ":x"} {
			_, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{Contact: []string{contact}})
			if !errors.Is(err, acme.ErrMalformedContact) || !strings.Contains(err.Error(), fmt.Sprintf("%q", contact)) {
				t.Errorf("%q: got %v", contact, err)
			}
			if _, err := f.account.Update(t.Context(), []string{contact}); !errors.Is(err, acme.ErrMalformedContact) {
				t.Errorf("%q: got %v", contact, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

func TestBadKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		ctx := t.Context()
		if _, err := f.client.NewAccount(ctx, nil, acme.AccountRequest{}); !errors.Is(err, acme.ErrNoKey) {
			t.Errorf("NewAccount: %v", err)
		}
		if _, err := f.client.FindAccount(ctx, nil); !errors.Is(err, acme.ErrNoKey) {
			t.Errorf("FindAccount: %v", err)
		}
		if got := f.ca.Count(acmetest.KindNewAccount); got != 0 {
			t.Errorf("%d newAccount requests", got)
		}
		a := f.client.Account(nil, f.account.URL())
		o := &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/1"}
		f.ca.Reset()
		for name, call := range map[string]func() error{
			"Info":       func() error { _, err := a.Info(ctx); return err },
			"Update":     func() error { _, err := a.Update(ctx, nil); return err },
			"Deactivate": func() error { return a.Deactivate(ctx) },
			"ChangeKey":  func() error { _, err := a.ChangeKey(ctx, newKey(t)); return err },
			"NewOrder": func() error {
				_, err := a.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("a.example")})
				return err
			},
			"Order":                   func() error { _, err := a.Order(ctx, o.URL); return err },
			"WaitOrder":               func() error { _, err := a.WaitOrder(ctx, o.URL, acme.StatusReady); return err },
			"FinalizeOrder":           func() error { _, err := a.FinalizeOrder(ctx, o, nil); return err },
			"NewAuthorization":        func() error { _, err := a.NewAuthorization(ctx, acme.DNS("a.example")[0]); return err },
			"Authorization":           func() error { _, err := a.Authorization(ctx, o.URL); return err },
			"WaitAuthorization":       func() error { _, err := a.WaitAuthorization(ctx, o.URL); return err },
			"DeactivateAuthorization": func() error { return a.DeactivateAuthorization(ctx, o.URL) },
			"RespondChallenge":        func() error { _, err := a.RespondChallenge(ctx, o.URL, nil); return err },
			"Certificate":             func() error { _, err := a.Certificate(ctx, o.URL); return err },
			"RevokeCertificate":       func() error { return a.RevokeCertificate(ctx, nil, 0) },
			"Client.RevokeCertificate": func() error {
				return f.client.RevokeCertificate(ctx, nil, nil, 0) // acmez panicked
			},
			"Post": func() error { _, err := a.Post(ctx, o.URL, nil); return err },
			"Orders": func() error {
				for _, err := range a.Orders(ctx) {
					return err
				}
				return nil
			},
			"Certificates": func() error {
				for _, err := range a.Certificates(ctx, o.URL) {
					return err
				}
				return nil
			},
		} {
			if err := call(); !errors.Is(err, acme.ErrNoKey) || !strings.HasPrefix(err.Error(), "acme: ") {
				t.Errorf("%s: got %v, want ErrNoKey", name, err)
			}
		}
		if a.KeyAuthorization("token") != "" || a.Thumbprint() != "" {
			t.Error("a key authorization without a key")
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

func TestNewAccountWithoutLocation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, location := range []string{"", "http://ca.test/account/1", "https://u:p@ca.test/"} {
			f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Header: http.Header{"Location": {location}},
				Edit: func(s int, _ http.Header, b []byte) (int, []byte) { return s, b }}))
			if _, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); !errors.Is(err, acme.ErrMalformedResponse) {
				t.Errorf("%q: got %v", location, err)
			}
		}
	})
}

func TestExternalAccount(t *testing.T) {
	conformance.Claim(t, "8555-7.1.1-04")
	t.Parallel()
	mac := []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	for _, alg := range []string{"", "HS256", "HS384", "HS512"} {
		t.Run(alg, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}})
				f.ca.Update(func(o *acmetest.Options) { o.ExternalAccountRequired = true })
				ctx, key := t.Context(), newKey(t)
				f.ca.Reset()
				if _, err := f.client.NewAccount(ctx, key, acme.AccountRequest{}); !errors.Is(err, acme.ErrExternalAccountRequired) || !strings.Contains(err.Error(), "ExternalAccount is nil") {
					t.Errorf("without: %v", err)
				}
				eab := &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac, Algorithm: alg}
				a, err := f.client.NewAccount(ctx, key, acme.AccountRequest{ExternalAccount: eab})
				if err != nil || !a.Created() {
					t.Fatalf("with: %v", err)
				}
				// An account that exists needs none, and a second one is not sent.
				for _, req := range []acme.AccountRequest{{}, {ExternalAccount: eab}} {
					again, err := f.client.NewAccount(ctx, key, req)
					if err != nil || again.URL() != a.URL() {
						t.Errorf("again: %v", err)
					}
				}
				bound := 0
				for _, r := range f.ca.Requests() {
					if strings.Contains(string(r.Payload), "externalAccountBinding") {
						bound++
					}
				}
				if bound != 1 {
					t.Errorf("bound %d times", bound)
				}
				for _, bad := range []*acme.ExternalAccount{{KeyID: "kid-1"}, {MACKey: mac}} {
					if _, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{ExternalAccount: bad}); !errors.Is(err, acme.ErrNoKey) {
						t.Errorf("%v: %v", bad, err)
					}
				}
				odd := &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac, Algorithm: "RS256"}
				if _, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{ExternalAccount: odd}); err == nil {
					t.Error("RS256 was taken for a MAC")
				}
			})
		})
	}
}

// Whatever becomes of the answer, the caller knows which key holds.
func TestChangeKey(t *testing.T) {
	conformance.Claim(t, "8555-7.3.5-08")
	t.Parallel()
	refused := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Status: 403}}
	for name, tt := range map[string]struct {
		fault func(acmetest.Request) *acmetest.Fault
		want  error // nil: the new key holds
	}{
		"plain":          {nil, nil},
		"answer lost":    {acmetest.FaultKind(acmetest.KindKeyChange, 1, acmetest.Fault{LoseResponse: true}), nil},
		"request lost":   {acmetest.FaultKind(acmetest.KindKeyChange, 1, acmetest.Fault{LoseRequest: true}), nil},
		"500, no effect": {acmetest.FaultKind(acmetest.KindKeyChange, 1, acmetest.Fault{Status: 500}), nil},
		"always lost":    {acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{LoseRequest: true}), errAny},
		"refused":        {acmetest.FaultAlways(acmetest.KindKeyChange, refused), acme.ErrUnauthorized},
		"501 (step-ca)":  {acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{Status: 501}), errors.ErrUnsupported},
		"404 (ZeroSSL)":  {acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{Status: 404}), errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(tt.fault)
				key := newKey(t)
				changed, err := f.account.ChangeKey(t.Context(), key)
				f.fault(nil)
				holds, dead := f.account, f.client.Account(key, f.account.URL())
				if tt.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					holds, dead = changed, f.account
				} else if err == nil || !errors.Is(tt.want, errAny) && !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if _, err := holds.Info(t.Context()); err != nil {
					t.Errorf("the key that holds: %v", err)
				}
				if _, err := dead.Info(t.Context()); err == nil {
					t.Error("the other key holds too")
				}
			})
		})
	}
}

var errAny = errors.New("any error")

func TestChangeKeyRefusals(t *testing.T) {
	conformance.Claim(t, "8555-7.3.5-09")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		ctx := t.Context()
		if _, err := f.account.ChangeKey(ctx, f.key); !errors.Is(err, acme.ErrSameKey) {
			t.Errorf("the same key: %v", err)
		}
		if _, err := f.account.ChangeKey(ctx, nil); !errors.Is(err, acme.ErrNoKey) {
			t.Errorf("no key: %v", err)
		}
		used := newKey(t)
		other, err := f.client.NewAccount(ctx, used, acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.account.ChangeKey(ctx, used)
		if p := problemIn(t, err); p.Status != 409 || p.Header.Get("Location") != other.URL() || !errors.Is(err, acme.ErrKeyInUse) {
			t.Errorf("key in use: %v", err)
		}
		// The answer is lost, and so is the look.
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{LoseResponse: true}),
			acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{LoseResponse: true}),
		))
		if _, err := f.account.ChangeKey(ctx, newKey(t)); !errors.Is(err, acme.ErrKeyUnknown) {
			t.Errorf("neither could be confirmed: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{LoseResponse: true}))
		third, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := third.ChangeKey(ctx, used); !errors.Is(err, acme.ErrKeyInUse) || !strings.Contains(err.Error(), other.URL()) {
			t.Errorf("key in use, answer lost: %v", err)
		}
		f.ca.Update(func(o *acmetest.Options) {
			o.OmitFromDirectory = []string{"keyChange", "revokeCert", "newAuthz"}
			o.Fault = nil
		})
		a := f.newClient().Account(f.key, f.account.URL())
		if _, err := a.ChangeKey(ctx, newKey(t)); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "offers no keyChange") {
			t.Errorf("not offered: %v", err)
		}
		if _, err := a.NewAuthorization(ctx, acme.DNS("a.example")[0]); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("not offered: %v", err)
		}
	})
}

func TestOrdersList(t *testing.T) {
	conformance.Claim(t, "8555-7.1.2.1-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{OrdersPerPage: 3})
		var want []string
		for i := range 7 {
			want = append(want, f.order(fmt.Sprintf("n%d.example.com", i)).URL)
		}
		list := func() (urls []string, err error) {
			for u, err := range f.account.Orders(t.Context()) {
				if err != nil {
					return urls, err
				}
				urls = append(urls, u)
			}
			return urls, nil
		}
		got, err := list()
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %d of %d: %v", len(got), len(want), err)
		}
		if f.ca.Count(acmetest.KindOrders) < 2 {
			t.Error("the list has one page only: paging was not tested")
		}
		f.ca.Reset()
		for u, err := range f.account.Orders(t.Context()) {
			if u == "" || err != nil {
				t.Errorf("got %q, %v", u, err)
			}
			break
		}
		if got := f.ca.Count(acmetest.KindOrders); got != 1 {
			t.Errorf("%d pages were read for one URL", got)
		}
		// step-ca: a bare array.
		f.fault(acmetest.FaultAlways(acmetest.KindOrders, acmetest.Fault{Status: 200, Body: []byte(`["https://ca.test/order/1","/order/2"]`)}))
		if got, err := list(); err != nil || !slices.Equal(got, []string{"https://ca.test/order/1", "https://ca.test/order/2"}) {
			t.Errorf("bare array: %v, %v", got, err)
		}
		// A list that goes round in circles, and one that never ends.
		f.fault(acmetest.FaultAlways(acmetest.KindOrders, acmetest.Fault{Status: 200, Body: []byte(`{"orders":[]}`), Header: http.Header{"Link": {`<>;rel="next"`}}}))
		if _, err := list(); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("circle: %v", err)
		}
		n, next := 0, f.ca.Transport()
		f.fault(nil)
		f.client.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/orders") {
				return next.RoundTrip(r)
			}
			n++ // not the CA's, which would check a thousand signatures
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{}`)), Header: http.Header{
				"Link": {fmt.Sprintf(`<?cursor=%d>;rel="next"`, n)}, "Replay-Nonce": {fmt.Sprint("n", n)},
			}}, nil
		})}
		if _, err := list(); !errors.Is(err, acme.ErrMalformedResponse) || n != 1000 {
			t.Errorf("endless: %v after %d pages", err, n)
		}
		f.client.HTTPClient = f.ca.HTTPClient()
		f.fault(acmetest.FaultAlways(acmetest.KindOrders, acmetest.Fault{Status: 200, Body: []byte(`5`)}))
		if _, err := list(); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("number: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.EditJSON(func(m map[string]any) { delete(m, "orders") })))
		if _, err := list(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("none: %v", err)
		}
	})
}

func TestPreAuthorization(t *testing.T) {
	conformance.Claim(t, "8555-7.4.1-02", "8555-7.1.4-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ReuseAuthorizations: true})
		ctx := t.Context()
		z, err := f.account.NewAuthorization(ctx, acme.DNS("Bücher.example")[0])
		if err != nil || z.URL == "" || z.Identifier.Value != "xn--bcher-kva.example" {
			t.Fatalf("got %+v, %v", z, err)
		}
		for _, id := range append(acme.DNS("*.example.com", ""), acme.Identifier{}) {
			if _, err := f.account.NewAuthorization(ctx, id); !errors.Is(err, acme.ErrInvalidIdentifier) {
				t.Errorf("%v: %v", id, err)
			}
		}
		if got := f.ca.Count(acmetest.KindNewAuthz); got != 1 {
			t.Errorf("%d newAuthz requests", got)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindNewAuthz, acmetest.Fault{Header: http.Header{"Location": nil},
			Edit: func(s int, _ http.Header, b []byte) (int, []byte) { return s, b }}))
		if _, err := f.account.NewAuthorization(ctx, acme.DNS("a.example")[0]); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("no Location: %v", err)
		}
	})
}

// A deactivation that the server accepts but does not do is an error.
func TestDeactivationWithoutEffect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		for body, want := range map[string]error{
			`{"status":"valid"}`: acme.ErrMalformedResponse, `{"status":"deactivated"}`: nil, `{}`: nil, ``: nil, `null`: nil, `<html>`: nil,
		} {
			f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Status: 200, Body: []byte(body + " ")}))
			if err := f.account.DeactivateAuthorization(t.Context(), o.AuthorizationURLs[0]); !errors.Is(err, want) {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
}

func TestDirectory(t *testing.T) {
	conformance.Claim(t, "8555-7.1.1-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Website: "https://ca.test/", CAAIdentities: []string{"ca.test"}, TermsOfService: "https://ca.test/terms"})
		dir, err := f.client.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if dir.Meta.Website != "https://ca.test/" || !slices.Equal(dir.Meta.CAAIdentities, []string{"ca.test"}) ||
			dir.Meta.TermsOfService != "https://ca.test/terms" || dir.Meta.ExternalAccountRequired || len(dir.Raw) == 0 || len(dir.Meta.Raw) == 0 {
			t.Errorf("got %+v", dir)
		}
		for range 10 {
			again, err := f.client.Directory(t.Context())
			if err != nil || again != dir {
				t.Fatalf("got %v, %v", again, err)
			}
		}
		if got := f.ca.Count(""); got != 1 {
			t.Errorf("%d requests", got)
		}
		// A day later it is fetched again; a failure then costs nothing.
		pass(25 * time.Hour)
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Status: 404}))
		if again, err := f.client.Directory(t.Context()); err != nil || again != dir {
			t.Errorf("CA is down: %v", err)
		}
		f.fault(nil)
		if again, err := f.client.Directory(t.Context()); err != nil || again != dir || f.ca.Count("") != 2 {
			t.Errorf("asked again at once: %d requests, %v", f.ca.Count(""), err)
		}
		pass(2 * time.Hour)
		if again, err := f.client.Directory(t.Context()); err != nil || again == dir || f.ca.Count("") != 3 {
			t.Errorf("an hour later: %v", err)
		}
		if _, err := (&acme.Client{}).Directory(t.Context()); !errors.Is(err, acme.ErrNoDirectoryURL) {
			t.Errorf("no URL: %v", err)
		}
	})
}

// What is odd in a directory does not matter; what is relative is made absolute.
func TestOddDirectories(t *testing.T) {
	conformance.Claim(t, "8555-7.1.1-03")
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(map[string]any)
		want error
	}{
		"random members": {func(m map[string]any) {
			m["AbC123"] = "https://community.example/"
			m["x"] = []any{1}
			m["keyChange"] = 5
		}, nil},
		"no meta":   {func(m map[string]any) { delete(m, "meta") }, nil},
		"meta null": {func(m map[string]any) { m["meta"] = nil }, nil},
		"odd meta": {func(m map[string]any) {
			m["meta"] = map[string]any{"caaIdentities": "x", "website": 1, "profiles": []any{}}
		}, nil},
		"meta a string": {func(m map[string]any) { m["meta"] = "x" }, nil},
		"relative": {func(m map[string]any) {
			for k, v := range m {
				if s, ok := v.(string); ok {
					m[k] = strings.TrimPrefix(s, "https://ca.test")
				}
			}
		}, nil},
		"no keyChange": {func(m map[string]any) { delete(m, "keyChange"); delete(m, "revokeCert") }, nil},
		"no newOrder":  {func(m map[string]any) { delete(m, "newOrder") }, acme.ErrMalformedResponse},
		"no newNonce":  {func(m map[string]any) { delete(m, "newNonce") }, acme.ErrMalformedResponse},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(tt.edit)))
				if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// An old directory is good enough for those who would wait for the new one.
func TestOldDirectoryIsUsedMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.client.Directory(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(25 * time.Hour)
		f.ca.Update(func(o *acmetest.Options) { o.Latency = time.Minute })
		var wg sync.WaitGroup
		start := time.Now()
		took := make([]time.Duration, 3)
		for i := range took {
			wg.Go(func() {
				if _, err := f.client.Directory(t.Context()); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(start)
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []time.Duration{time.Minute, 0, 0}; !slices.Equal(took, want) {
			t.Errorf("waited %v, want %v", took, want)
		}
		if n := f.ca.Count(acmetest.KindDirectory); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// Concurrent first users share one fetch, and the end of one's context is not
// the others'.
func TestDirectoryIsSharedByConcurrentCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: time.Second})
		first, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 11)
		go func() { _, err := f.client.Directory(first); errs <- err }()
		pass(100 * time.Millisecond)
		for range 9 {
			go func() { _, err := f.client.Directory(t.Context()); errs <- err }()
		}
		brief, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		go func() { _, err := f.client.Directory(brief); errs <- err }()
		pass(500 * time.Millisecond)
		cancel()
		failed := 0
		for range 11 {
			if err := <-errs; err != nil {
				failed++
				if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		}
		if failed != 2 || f.ca.Count("") > 2 {
			t.Errorf("%d failed, want 2; %d requests", failed, f.ca.Count(""))
		}
	})
}
