package acme_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// What is preferred is taken if it can be had, with no more downloads than that
// needs, and the default chain otherwise.
func TestPreferredChain(t *testing.T) {
	t.Parallel()
	lost := acmetest.Fault{Status: 403}
	for name, tt := range map[string]struct {
		choose    func(ca *acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate
		fault     acmetest.Fault // of the first alternate
		root      int
		downloads int
	}{
		"root":            {root("acmetest Root 1"), acmetest.Fault{}, 1, 2},
		"root, whole":     {root("CN=acmetest Root 1,O=acmetest"), acmetest.Fault{}, 1, 2},
		"default root":    {root("acmetest Root 0"), acmetest.Fault{}, 0, 1},
		"last root":       {root("acmetest Root 2"), acmetest.Fault{}, 2, 3},
		"no such root":    {root("acmetest Root"), acmetest.Fault{}, 0, 3},
		"empty name":      {root(""), acmetest.Fault{}, 0, 3},
		"nothing wanted":  {root(), acmetest.Fault{}, 0, 1},
		"first of two":    {root("acmetest Root 2", "acmetest Root 1"), acmetest.Fault{}, 2, 3},
		"second of two":   {root("Root 7", "acmetest Root 1"), acmetest.Fault{}, 1, 3},
		"better later":    {root("acmetest Root 1", "acmetest Root 0"), acmetest.Fault{}, 1, 2},
		"alternate fails": {root("acmetest Root 1"), lost, 0, 3},
		"issuer of all": {func(*acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
			return acme.PreferIssuer("acmetest Intermediate")
		}, acmetest.Fault{}, 0, 1},
		"issuer": {func(*acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
			return acme.PreferIssuer("acmetest Root 2")
		}, acmetest.Fault{}, 2, 3},
		"key of the root": {func(ca *acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
			return acme.PreferKeyID(ca.Root(2).SubjectKeyId)
		}, acmetest.Fault{}, 2, 3},
		"no key": {func(*acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
			return acme.PreferKeyID(nil)
		}, acmetest.Fault{}, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true, AlternateChains: 2})
				f.fault(acmetest.FaultSequence(acmetest.KindCertificate, acmetest.Fault{}, tt.fault))
				req := f.request("a.example.com")
				req.Chain = tt.choose(f.ca)
				cert, err := f.account.Obtain(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				chain, err := cert.Chain()
				if err != nil {
					t.Fatal(err)
				}
				if err := chain[len(chain)-1].CheckSignatureFrom(f.ca.Root(tt.root)); err != nil {
					t.Errorf("not of root %d: %v", tt.root, err)
				}
				if got := f.ca.Count(acmetest.KindCertificate); got != tt.downloads {
					t.Errorf("%d downloads, want %d", got, tt.downloads)
				}
			})
		})
	}
}

func root(names ...string) func(*acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
	return func(*acmetest.Server) func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
		return acme.PreferRoot(names...)
	}
}

// The key of an intermediate certificate is found, too, and what cannot be read
// is passed over. (The end-entity certificate's own key is nobody's issuer.)
func TestPreferKeyID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := cert.Chain()
		if err != nil {
			t.Fatal(err)
		}
		chains := func(yield func(*acme.Certificate, error) bool) {
			_ = yield(nil, errors.New("lost")) && yield(&acme.Certificate{PEM: []byte("x")}, nil) && yield(cert, nil)
		}
		if got := acme.PreferKeyID(chain[1].SubjectKeyId)(chains); got != cert {
			t.Error("the intermediate was not found")
		}
		if got := acme.PreferKeyID(chain[0].SubjectKeyId)(chains); got != nil {
			t.Error("the end-entity certificate was taken for an issuer")
		}
	})
}
