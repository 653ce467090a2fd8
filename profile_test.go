package acme_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// Profiles are shown with their descriptions, asked for, checked before anything
// is sent, and kept when a request is used again; the order has what the server
// chose.
func TestProfiles(t *testing.T) {
	conformance.Claim(t, "profiles-3-01", "profiles-4-01", "profiles-4-02", "profiles-4-03", "profiles-6.3-01")
	bubble(t, func(t *testing.T) {
		profiles := map[string]string{"classic": "what you are used to", "shortlived": "https://ca.test/docs/shortlived"}
		f := newFixture(t, acmetest.Options{Profiles: profiles, DefaultProfile: "classic", Strict: true, PreValidated: true})
		dir, err := f.client.Directory(t.Context())
		if err != nil || !maps.Equal(dir.Meta.Profiles, profiles) {
			t.Errorf("got %v, %v", dir.Meta.Profiles, err)
		}
		req := f.request("a.example.com")
		req.OrderRequest.Profile = "shortlived"
		for range 2 { // a renewal is the same request again
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if got := f.last(acmetest.KindNewOrder); got != `{"identifiers":[{"type":"dns","value":"a.example.com"}],"profile":"shortlived"}` {
				t.Errorf("sent %s", got)
			}
		}
		o, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com")})
		if err != nil || o.Profile != "classic" || strings.Contains(f.last(acmetest.KindNewOrder), "profile") {
			t.Errorf("the server's choice: %+v, %v", o, err)
		}
		f.ca.Reset()
		req.OrderRequest.Profile = "shortLived"
		_, err = f.account.Obtain(t.Context(), req)
		unlisted, ok := errors.AsType[*acme.ProfileError](err)
		if !ok || !errors.Is(err, acme.ErrInvalidProfile) || !maps.Equal(unlisted.Profiles, profiles) || unlisted.Profile != "shortLived" || f.ca.Count("") != 0 {
			t.Errorf("not listed: %v after %d requests", err, f.ca.Count(""))
		}
		if want := `does not advertise the profile "shortLived", but "classic", "shortlived"`; !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		// Agreed upon otherwise: the server may know it, or not.
		req.OrderRequest.AnyProfile = true
		_, err = f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrInvalidProfile) || problemIn(t, err).Operation != acme.OpNewOrder || f.ca.Count(acmetest.KindNewOrder) != 1 {
			t.Errorf("the server's refusal: %v", err)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrInvalidProfile), Status: 403}}))
		req.OrderRequest.Profile = "classic"
		_, err = f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrInvalidProfile) || problemIn(t, err).Operation != acme.OpFinalize {
			t.Errorf("at finalize: %v", err)
		}
		f.ca.Update(func(o *acmetest.Options) { o.Profiles = nil })
		client := f.newClient()
		if dir, err := client.Directory(t.Context()); err != nil || len(dir.Meta.Profiles) != 0 {
			t.Errorf("no profiles: %v, %v", dir.Meta.Profiles, err)
		}
		req.OrderRequest.AnyProfile = false
		if _, err := client.Account(f.key, f.account.URL()).Obtain(t.Context(), req); !errors.Is(err, acme.ErrInvalidProfile) || !strings.Contains(err.Error(), "but none") {
			t.Errorf("no profiles: %v", err)
		}
	})
}
