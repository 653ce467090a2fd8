package acme_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// dnsSolver notes what it is asked to prove control of.
func dnsSolver(presented *[]string) acme.Solver {
	return testSolver{
		supports: func(a *acme.Attempt) bool { return a.Challenge.Type == acme.DNS01 },
		present: func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
			for _, a := range batch {
				*presented = append(*presented, a.Identifier.Value)
			}
			slices.Sort(*presented)
			return nil, nil
		},
	}
}

// validation of everything.
func valid(context.Context, acmetest.Validation) error { return nil }

// An order may name ancestors, the nearest for each name, and the server
// authorizes any domain up to them; the challenge is for that domain, the
// certificate for the names.
func TestAncestorDomains(t *testing.T) {
	conformance.Claim(t, "9444-4.3-01", "9444-4.3-02")
	t.Parallel()
	for name, tt := range map[string]struct {
		choose    func(name, ancestor string) string
		presented []string
	}{
		"the ancestor": {nil, []string{"b.example.org", "example.org", "example.org", "other.example"}}, // once for the wildcard
		"the name":     {func(name, _ string) string { return strings.TrimPrefix(name, "*.") }, []string{"a.b.example.org", "bar.example.org", "deep.example.org", "foo.bar.example.org", "other.example"}},
		"what is between": {func(name, ancestor string) string {
			if name == "foo.bar.example.org" {
				return "bar.example.org"
			}
			return ancestor
		}, []string{"b.example.org", "bar.example.org", "example.org", "example.org", "other.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{SubdomainAuth: true, ChooseAncestor: tt.choose, Validate: valid, Strict: true})
				names := []string{"foo.bar.example.org", "Bar.example.org", "a.b.example.org", "*.deep.example.org", "other.example"}
				var presented []string
				req := f.request(names...)
				req.Solvers = []acme.Solver{dnsSolver(&presented)}
				req.OrderRequest.AncestorDomains = []string{"Example.org.", "b.example.org"}
				cert, err := f.account.Obtain(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if err := cert.Match(acme.DNS(names...), f.certKey.Public()); err != nil {
					t.Error(err)
				}
				if !slices.Equal(presented, tt.presented) {
					t.Errorf("presented %v, want %v", presented, tt.presented)
				}
				want := `{"identifiers":[{"type":"dns","value":"foo.bar.example.org","ancestorDomain":"example.org"},` +
					`{"type":"dns","value":"bar.example.org","ancestorDomain":"example.org"},` +
					`{"type":"dns","value":"a.b.example.org","ancestorDomain":"b.example.org"},` +
					`{"type":"dns","value":"*.deep.example.org","ancestorDomain":"example.org"},{"type":"dns","value":"other.example"}]}`
				if got := f.last(acmetest.KindNewOrder); got != want {
					t.Errorf("sent %s\nwant %s", got, want)
				}
			})
		})
	}
}

// An ancestor is one by whole labels, and not the domain itself. What is none is
// refused before a request; and nothing is sent that nobody asked for.
func TestBadAncestorDomains(t *testing.T) {
	conformance.Claim(t, "9444-4.3-03", "9444-4.4-01", "9444-7.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{SubdomainAuth: true, IdentifierTypes: []string{"email"}})
		for _, tt := range []struct {
			name, ancestor string
			want           error
		}{
			{"ooo.example.com", "oo.example.com", acme.ErrInvalidOrderRequest},
			{"example.org", "example.org", acme.ErrInvalidOrderRequest},
			{"*.example.org", "example.org", acme.ErrInvalidOrderRequest},
			{"example.org", "www.example.org", acme.ErrInvalidOrderRequest},
			{"www.example.org", "example.com", acme.ErrInvalidOrderRequest},
			{"www.example.org", "*.org", acme.ErrInvalidIdentifier},
			{"www.example.org", "exa mple.org", acme.ErrInvalidIdentifier},
			{"www.example.org", "", acme.ErrInvalidIdentifier},
		} {
			_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS(tt.name), AncestorDomains: []string{tt.ancestor}})
			if !errors.Is(err, tt.want) {
				t.Errorf("%q of %q: %v", tt.ancestor, tt.name, err)
			}
			if errors.Is(err, acme.ErrInvalidOrderRequest) && !strings.Contains(err.Error(), "RFC 9444 §4.3") {
				t.Errorf("%q of %q: no section in %v", tt.ancestor, tt.name, err)
			}
		}
		if f.ca.Count("") != 0 {
			t.Error("a request was sent")
		}
		_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: append(acme.DNS("a.example.org"), id(acme.TypeEmail, "u@a.example.org")...), AncestorDomains: []string{"example.org"}})
		if err != nil || !strings.Contains(f.last(acmetest.KindNewOrder), `{"type":"email","value":"u@a.example.org"}`) {
			t.Errorf("beside a mail address: %v", err)
		}
		if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.org")}); err != nil || strings.Contains(f.last(acmetest.KindNewOrder), "ancestor") {
			t.Errorf("sent %s: %v", f.last(acmetest.KindNewOrder), err)
		}
		f.ca.Update(func(o *acmetest.Options) { o.SubdomainAuth = false })
		account := f.newClient().Account(f.key, f.account.URL())
		f.ca.Reset()
		_, err = account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.org"), AncestorDomains: []string{"example.org"}})
		_, err2 := account.NewSubdomainAuthorization(t.Context(), "example.org")
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err2, errors.ErrUnsupported) || f.ca.Count("") != f.ca.Count(acmetest.KindDirectory) {
			t.Errorf("not offered: %v, %v", err, err2)
		}
	})
}

// An authorization of a domain and all that is below it, in advance; orders for
// names below are plain, and ready at once.
func TestSubdomainAuthorization(t *testing.T) {
	conformance.Claim(t, "9444-4.1-01", "9444-4.2-01", "9444-5-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{SubdomainAuth: true, Strict: true})
		z, err := f.account.NewSubdomainAuthorization(t.Context(), "Example.org")
		if err != nil || !z.SubdomainAuthAllowed || z.Identifier.Value != "example.org" {
			t.Fatalf("got %+v, %v", z, err)
		}
		if got := f.last(acmetest.KindNewAuthz); got != `{"identifier":{"subdomainAuthAllowed":true,"type":"dns","value":"example.org"}}` {
			t.Errorf("sent %s", got)
		}
		c := pick(t, z, acme.HTTP01)
		cleanup, err := f.solver.Present(t.Context(), []*acme.Attempt{{Identifier: z.Identifier, Challenge: c, KeyAuthorization: f.account.KeyAuthorization(c.Token)}})
		if err != nil {
			t.Fatal(err)
		}
		defer cleanup(t.Context()) //nolint:errcheck // in memory
		if _, err = f.account.RespondChallenge(t.Context(), c.URL, nil); err != nil {
			t.Fatal(err)
		}
		if z, err = f.account.WaitAuthorization(t.Context(), z.URL); err != nil || !z.SubdomainAuthAllowed {
			t.Fatalf("got %+v, %v", z, err)
		}
		for _, name := range []string{"sub1.example.org", "sub2.example.org"} {
			req := f.request(name)
			req.Solvers = nil
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Error(err)
			}
			if got := f.last(acmetest.KindNewOrder); got != `{"identifiers":[{"type":"dns","value":"`+name+`"}]}` {
				t.Errorf("sent %s", got)
			}
		}
		f.ca.Reset()
		if _, err := f.account.NewSubdomainAuthorization(t.Context(), "*.example.org"); !errors.Is(err, acme.ErrInvalidIdentifier) || f.ca.Count("") != 0 {
			t.Errorf("a wildcard: %v", err)
		}
		// A server that declines, and one that says nothing.
		for name, allowed := range map[string]any{"declines": false, "says nothing": nil, "nonsense": "yes"} {
			f.fault(acmetest.FaultOnce(acmetest.KindNewAuthz, acmetest.EditJSON(func(m map[string]any) {
				if m["subdomainAuthAllowed"] = allowed; allowed == nil {
					delete(m, "subdomainAuthAllowed")
				}
			})))
			if z, err := f.account.NewSubdomainAuthorization(t.Context(), "example.com"); err != nil || z.SubdomainAuthAllowed {
				t.Errorf("%s: %+v, %v", name, z, err)
			}
		}
		if z, err := f.account.NewAuthorization(t.Context(), acme.DNS("example.net")[0]); err != nil || z.SubdomainAuthAllowed {
			t.Errorf("plain: %+v, %v", z, err)
		}
	})
}

// What directories have of the extensions, in all states.
func TestDirectoryFlags(t *testing.T) {
	conformance.Claim(t, "9444-4.4-01", "9115-2.3.4-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, value := range []any{true, false, nil, "true", 1} {
			for name, flag := range map[string]func(*acme.DirectoryMeta) bool{
				"subdomainAuthAllowed":   func(m *acme.DirectoryMeta) bool { return m.SubdomainAuthAllowed },
				"delegation-enabled":     func(m *acme.DirectoryMeta) bool { return m.DelegationEnabled },
				"allow-certificate-get":  func(m *acme.DirectoryMeta) bool { return m.AllowCertificateGet },
				"inBandOnionCAARequired": func(m *acme.DirectoryMeta) bool { return m.InBandOnionCAARequired },
				"onionCAARequired":       func(m *acme.DirectoryMeta) bool { return m.InBandOnionCAARequired },
			} {
				f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) {
					m["meta"] = map[string]any{name: value, "x": 1}
				})))
				dir, err := f.newClient().Directory(t.Context())
				if err != nil || flag(&dir.Meta) != (value == true) || !strings.Contains(string(dir.Meta.Raw), `"x":1`) {
					t.Errorf("%s %v: %+v, %v", name, value, dir, err)
				}
			}
		}
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) { delete(m, "meta") })))
		if dir, err := f.newClient().Directory(t.Context()); err != nil || dir.Meta.SubdomainAuthAllowed || dir.Meta.DelegationEnabled {
			t.Errorf("no meta: %+v, %v", dir, err)
		}
	})
}
