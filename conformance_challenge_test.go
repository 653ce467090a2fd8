package acme_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// What RFC 8555 asks of authorizations and challenges (§7.5, §8), of certificate
// files and keys (§9 to §11), as a server sees it.

// answers returns the requests that answered challenges.
func (f *fixture) answers() []acmetest.Request {
	return slices.DeleteFunc(f.signedRequests(acmetest.KindChallenge), func(r acmetest.Request) bool { return len(r.Payload) == 0 })
}

// ask asks a handler for what a server looks for (§8.3).
func ask(h http.Handler, host, path, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://"+host+"/.well-known/acme-challenge/", nil)
	r.URL.Path += path
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The authorizations of an order are read by POST-as-GET (§7.5).
func TestAuthorizationsAreRead(t *testing.T) {
	conformance.Claim(t, "8555-7.5-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.account.Obtain(t.Context(), f.request(names(3)...)); err != nil {
			t.Fatal(err)
		}
		read := map[string]bool{}
		for _, r := range f.signedRequests(acmetest.KindAuthorization) {
			if !f.isPostAsGet(r) {
				t.Errorf("%s %s with %q", r.Method, r.URL, r.Payload)
			}
			read[r.URL] = true
		}
		want := f.ca.Authorizations("")
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(read)); !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

// The answer goes to the URL of the one challenge that was chosen, with what its
// type wants: {}, unless the solver says otherwise (§7.5.1, erratum 5729).
func TestChallengeAnswer(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-01", "8555-7.5.1-02")
	t.Parallel()
	for _, tt := range []struct {
		kind     acme.ChallengeType
		response any
		payload  string
	}{
		{acme.HTTP01, nil, `{}`},
		{acme.DNS01, nil, `{}`},
		{acme.TLSALPN01, nil, `{}`},
		{"example-01", map[string]string{"attObj": "o2NmbXQ"}, `{"attObj":"o2NmbXQ"}`}, // as of device-attest-01
		{"example-02", json.RawMessage(`{"tkauth":"a.b.c"}`), `{"tkauth":"a.b.c"}`},    // as of tkauth-01
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{
					Validate:       failing(),
					ValidationTime: 2 * time.Second,
					ChallengeTypes: []string{"http-01", "dns-01", "tls-alpn-01", "example-01", "example-02"},
				})
				var chosen []string
				solver := always(tt.kind).(testSolver)
				solver.present = func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
					for _, a := range batch {
						chosen = append(chosen, a.Challenge.URL)
						a.Response = tt.response
					}
					return nil, nil
				}
				req := f.request(names(2)...)
				req.Solvers = []acme.Solver{solver}
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				var answered []string
				for _, r := range f.ca.Requests() {
					switch {
					case len(r.Payload) == 0 || r.Kind == acmetest.KindNewOrder || r.Kind == acmetest.KindFinalize:
						continue
					case r.Method != http.MethodPost || r.Kind != acmetest.KindChallenge || string(r.Payload) != tt.payload:
						t.Errorf("%s %s with %s", r.Method, r.URL, r.Payload)
					}
					answered = append(answered, r.URL)
				}
				slices.Sort(chosen)
				slices.Sort(answered)
				if !slices.Equal(answered, chosen) {
					t.Errorf("answered %q, chosen %q", answered, chosen)
				}
			})
		})
	}
}

// When the answer is refused, what was provisioned is gone (§7.5.1).
func TestRefusedAnswerIsCleanedUp(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		token, served := "", 0
		r := &recorder{Solver: testSolver{
			supports: func(a *acme.Attempt) bool { return f.solver.Supports(a) },
			present: func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				token = batch[0].Challenge.Token
				return f.solver.Present(ctx, batch)
			},
		}}
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindChallenge {
				return nil
			}
			served = ask(f.solver, "a.example.com", token, "192.0.2.1:1").Code
			return &acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Detail: "no such response", Status: 400}}
		})
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{r}
		_, err := f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrMalformed) || served != http.StatusOK {
			t.Errorf("got %v, served before with status %d", err, served)
		}
		r.check(t)
		if got := ask(f.solver, "a.example.com", token, "192.0.2.1:1").Code; got != http.StatusNotFound {
			t.Errorf("still served, status %d", got)
		}
	})
}

// An authorization is polled by POST-as-GET, at the interval that the server
// asks for, until it is final (§7.5.1).
func TestAuthorizationPolling(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-05", "8555-7.5.1-06")
	t.Parallel()
	for _, fails := range []bool{false, true} {
		for _, ask := range []string{"nothing", "seconds", "date"} {
			t.Run(fmt.Sprintf("fails %v, Retry-After %s", fails, ask), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					opts := acmetest.Options{Validate: failing(), ValidationTime: 10 * time.Second}
					if fails {
						opts.Validate = failing(acme.HTTP01)
					}
					f := newFixture(t, opts)
					o := f.order("a.example.com")
					z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.account.RespondChallenge(t.Context(), z.Challenges[0].URL, nil); err != nil {
						t.Fatal(err)
					}
					f.ca.Reset()
					seen := f.arrivals(func(acmetest.Request) *acmetest.Fault {
						if ask == "nothing" {
							return nil
						}
						return &acmetest.Fault{Header: retryAfterHeader(3, ask == "date")}
					}, acmetest.KindAuthorization)
					start := time.Now()
					z, err = f.account.WaitAuthorization(t.Context(), z.URL)
					if _, failed := errors.AsType[*acme.AuthorizationError](err); failed != fails || !fails && (err != nil || z.Status != acme.StatusValid) {
						t.Fatalf("got %+v, %v", z, err)
					}
					polls := seen()
					for i, r := range polls {
						if r.URL != o.AuthorizationURLs[0] || !f.isPostAsGet(r.Request) {
							t.Errorf("poll %d: %s %s with %q", i, r.Method, r.URL, r.Payload)
						}
						if i == 0 || ask == "nothing" {
							continue
						}
						if gap := r.at.Sub(polls[i-1].at); gap < 3*time.Second || gap > 3300*time.Millisecond {
							t.Errorf("poll %d after %v", i, gap)
						}
					}
					if n := len(polls); n < 4 || n != f.ca.Count("") || polls[n-1].at.Sub(start) < 10*time.Second || polls[n-2].at.Sub(start) >= 10*time.Second {
						t.Errorf("%d polls of %d requests, or not until the end of the validation", n, f.ca.Count(""))
					}
				})
			})
		}
	}
}

// A Retry-After of ages is no reason to sleep for ages (§7.5.1).
func TestAuthorizationRetryAfterIsBounded(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-06")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{OrderLifetime: 365 * 24 * time.Hour})
		o := f.order("a.example.com")
		seen := f.arrivals(func(r acmetest.Request) *acmetest.Fault {
			return &acmetest.Fault{Header: retryAfterHeader(999_999_999, false)}
		}, acmetest.KindAuthorization)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		start := time.Now()
		_, err := f.account.WaitAuthorization(ctx, o.AuthorizationURLs[0])
		if w, ok := errors.AsType[*acme.WaitError](err); !ok || w.RetryAfter.IsZero() || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(8*24*time.Hour, stop)
		if _, err := f.account.WaitAuthorization(ctx, o.AuthorizationURLs[0]); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := len(seen()); n != 3 {
			t.Errorf("polled %d times in 8 days, want the cap to be a week", n-1)
		}
	})
}

// A final authorization may have lost the challenges that were not completed, or
// list them as invalid (§7.5.1).
func TestChallengesOfFinalAuthorizations(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-08")
	t.Parallel()
	for name, others := range map[string]func(valid any) []any{
		"gone":     func(valid any) []any { return []any{valid} },
		"all gone": func(any) []any { return []any{} },
		"invalid": func(valid any) []any {
			return []any{
				map[string]any{"type": "dns-01", "url": "https://ca.test/chall/x", "status": "invalid", "token": "abc", "error": map[string]any{"type": string(acme.ErrDNS)}},
				valid,
				map[string]any{"type": "tls-alpn-01", "url": "https://ca.test/chall/y", "status": "invalid", "token": "abc"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ReuseAuthorizations: true, ValidationTime: time.Second})
				finals, orders := 0, 0
				f.fault(acmetest.Faults(
					acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
						if m["status"] == "valid" {
							finals++
							m["challenges"] = others(m["challenges"].([]any)[0])
						}
					})),
					// So long that the client looks at the authorizations.
					acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) {
						if orders++; orders < 15 {
							m["status"] = "pending"
						}
					})),
				))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				if finals == 0 {
					t.Error("the final authorization was never read: the test tested nothing")
				}
				z, err := f.account.WaitAuthorization(t.Context(), f.ca.Authorizations("")[0])
				if err != nil || z.Status != acme.StatusValid {
					t.Errorf("waiting: %+v, %v", z, err)
				}
				// It is reused by another order.
				f.ca.Reset()
				if _, err := f.account.Obtain(t.Context(), f.request("a.example.com", "b.example.com")); err != nil {
					t.Error(err)
				}
				if got := len(f.answers()); got != 1 {
					t.Errorf("%d challenges were answered, want that of b.example.com", got)
				}
			})
		})
	}
}

// Deactivating sends the status to the authorization's URL (§7.5.2).
func TestDeactivationRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.5.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ReuseAuthorizations: true})
		o := f.order("pending.example.com")
		if _, err := f.account.Obtain(t.Context(), f.request("valid.example.com")); err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{o.AuthorizationURLs[0], f.ca.Authorizations("valid")[0]} {
			f.ca.Reset()
			if err := f.account.DeactivateAuthorization(t.Context(), url); err != nil {
				t.Error(err)
			}
			if r := f.only(acmetest.KindAuthorization); r.Method != http.MethodPost || r.URL != url || string(r.Payload) != `{"status":"deactivated"}` || r.AccountURL != f.account.URL() {
				t.Errorf("%s %s with %s", r.Method, r.URL, r.Payload)
			}
			if z, err := f.account.Authorization(t.Context(), url); err != nil || z.Status != acme.StatusDeactivated {
				t.Errorf("then it is %+v, %v", z, err)
			}
		}
	})
}

// What a challenge has in common with all others is read; types and members
// that nobody knows do not matter (§8).
func TestUnknownChallenges(t *testing.T) {
	conformance.Claim(t, "8555-8-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{
			ChallengeTypes: []string{"quantum-99", "", "http-01"},
			ChallengeFields: map[string]map[string]any{
				"quantum-99": {"token": []any{1, nil}, "validated": false, "error": "none", "qubits": map[string]any{"status": "entangled"}},
				"":           {"url": nil, "status": 7},
				"http-01":    {"Token": "NotTheToken", "keyAuthorization": "x.y", "hints": []any{}},
			},
		})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		o := f.order("b.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil || len(z.Challenges) != 3 {
			t.Fatalf("got %+v, %v", z, err)
		}
		if c := z.Challenges[2]; c.Type != acme.HTTP01 || c.Status != acme.StatusPending || !strings.HasPrefix(c.URL, "https://ca.test/") || c.Token == "" || !c.Validated.IsZero() || c.Error != nil {
			t.Errorf("pending: %+v", c)
		}
		z, err = f.account.Authorization(t.Context(), f.ca.Authorizations("valid")[0])
		if err != nil || len(z.Challenges) != 1 {
			t.Fatalf("got %+v, %v", z, err)
		}
		if c := z.Challenges[0]; c.Status != acme.StatusValid || !c.Validated.Equal(time.Now()) || c.Error != nil {
			t.Errorf("valid: %+v", c)
		}
		f.ca.Update(func(o *acmetest.Options) { o.Validate = failing(acme.HTTP01) })
		if _, err := f.account.Obtain(t.Context(), f.request("c.example.com")); !errors.Is(err, acme.ErrConnection) {
			t.Errorf("got %v", err)
		}
		z, err = f.account.Authorization(t.Context(), f.ca.Authorizations("invalid")[0])
		if err != nil || len(z.Challenges) != 1 {
			t.Fatalf("got %+v, %v", z, err)
		}
		if c := z.Challenges[0]; c.Status != acme.StatusInvalid || c.Error == nil || c.Error.Detail != "no answer from c.example.com" {
			t.Errorf("invalid: %+v", c)
		}
	})
}

// A challenge with an error is not lost while it is processing (§8, erratum 5732).
func TestErrorOfProcessingChallenge(t *testing.T) {
	conformance.Claim(t, "8555-8-02")
	bubble(t, func(t *testing.T) {
		tries := 0
		f := newFixture(t, acmetest.Options{
			ValidationTime: 5 * time.Second, ValidationAttempts: 10,
			Validate: func(context.Context, acmetest.Validation) error {
				if tries++; tries < 4 {
					return &acmetest.Problem{Type: string(acme.ErrConnection), Detail: "refused"}
				}
				return nil
			},
		})
		shown := 0
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["status"] == "processing" && c["error"] != nil {
					shown++
				}
			}
		})))
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com")
		if f.ca.Count(acmetest.KindNewOrder) != 1 || len(f.answers()) != 1 || tries != 4 || shown == 0 {
			t.Errorf("%d orders, %d answers, %d validations, the error was read %d times", f.ca.Count(acmetest.KindNewOrder), len(f.answers()), tries, shown)
		}
		// By the steps, too.
		tries = 0
		o := f.order("b.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.account.RespondChallenge(t.Context(), z.Challenges[0].URL, nil); err != nil {
			t.Fatal(err)
		}
		shown = 0
		if z, err = f.account.WaitAuthorization(t.Context(), z.URL); err != nil || z.Status != acme.StatusValid || shown == 0 {
			t.Errorf("got %+v, %v, the error was read %d times", z, err, shown)
		}
	})
}

// A challenge without a status is pending (erratum 8883).
func TestChallengeWithoutStatus(t *testing.T) {
	conformance.Claim(t, "8555-8-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Second})
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["status"] == "pending" {
					delete(c, "status")
				}
			}
		})))
		o := f.order("a.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil || z.Challenges[0].Status != acme.StatusPending {
			t.Errorf("got %+v, %v", z.Challenges[0], err)
		}
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com")
	})
}

// A publicKey is a crypto.Signer that cannot sign.
type publicKey struct{ crypto.PublicKey }

func (k publicKey) Public() crypto.PublicKey { return k.PublicKey }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

// Thumbprints and key authorizations of known keys, some of which have a
// coordinate with a leading zero octet (§8.1, erratum 7565).
func TestKnownKeyAuthorizations(t *testing.T) {
	conformance.Claim(t, "8555-8.1-01", "8555-8.1-02")
	t.Parallel()
	zeros := 0
	for _, file := range []string{"thumbprints", "keyauthorizations"} {
		data, err := os.ReadFile(filepath.Join("testdata", "vectors", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct {
			Name, Token, Thumbprint, KeyAuthorization string
			JWK                                       json.RawMessage
		}
		if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
			t.Fatalf("%d vectors: %v", len(vectors), err)
		}
		for _, v := range vectors {
			var jwk jose.JSONWebKey
			if err := json.Unmarshal(v.JWK, &jwk); err != nil {
				t.Fatal(err)
			}
			for _, coordinate := range []string{"x", "y"} {
				if raw := objectOf(t, v.JWK)[coordinate]; raw != nil && octetsOf(t, raw)[0] == 0 {
					zeros++
				}
			}
			a := new(acme.Client).Account(publicKey{jwk.Public().Key}, "https://ca.test/account/1")
			if got := a.Thumbprint(); got != v.Thumbprint {
				t.Errorf("%s: thumbprint %s, want %s", v.Name, got, v.Thumbprint)
			}
			if got := a.KeyAuthorization(v.Token); v.Token != "" && (string(got) != v.KeyAuthorization || string(got) != v.Token+"."+v.Thumbprint) {
				t.Errorf("%s: %s, want %s", v.Name, string(got), v.KeyAuthorization)
			}
		}
	}
	if zeros < 3 {
		t.Errorf("%d keys with a leading zero octet", zeros)
	}
}

// Nothing is provisioned for a challenge without a usable token (§8.1).
func TestChallengeWithoutToken(t *testing.T) {
	conformance.Claim(t, "8555-8.1-03")
	t.Parallel()
	for name, token := range map[string]any{"path": "../x", "space": "a b", "empty": "", "none": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
					for _, c := range m["challenges"].([]any) {
						c.(map[string]any)["token"] = token
					}
				})))
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				switch text, _ := token.(string); {
				case err == nil:
					t.Error("no error")
				case text != "" && (!errors.Is(err, acme.ErrInvalidToken) || !strings.Contains(err.Error(), fmt.Sprintf("its token %q is not base64url", text))):
					t.Errorf("got %v", err)
				case text == "" && !strings.Contains(err.Error(), "the challenge has no token"):
					t.Errorf("got %v", err)
				}
				if got := len(f.answers()); got != 0 {
					t.Errorf("%d challenges were answered", got)
				}
				if got := f.account.KeyAuthorization(fmt.Sprint(token)); token != nil && got != "" {
					t.Errorf("key authorization %q", string(got))
				}
			})
		})
	}
}

// A challenge is answered when its solver is ready, and not before (§8.2).
func TestAnswerWaitsForSolver(t *testing.T) {
	conformance.Claim(t, "8555-8.2-01")
	t.Parallel()
	down := errors.New("provider is down")
	for name, fails := range map[string]error{"ready": nil, "fails": down} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing()})
				seen := f.arrivals(nil, acmetest.KindChallenge)
				var ready time.Time
				solver := testSolver{supports: always(acme.DNS01).Supports, present: func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
					<-time.After(5 * time.Minute) // until the name servers have it
					ready = time.Now()
					return nil, fails
				}}
				req := f.request(names(3)...)
				req.Solvers = []acme.Solver{solver}
				if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, fails) {
					t.Errorf("got %v", err)
				}
				want := map[error]int{nil: 3, down: 0}[fails]
				if got := len(seen()); got != want {
					t.Errorf("%d answers, want %d", got, want)
				}
				for _, r := range seen() {
					if r.at.Before(ready) {
						t.Errorf("answered %v too early", ready.Sub(r.at))
					}
				}
			})
		})
	}
}

// While the server tries, the client may ask for another try by the same answer
// in a new request; what the server says about its tries is there to be read
// (§8.2).
func TestRetryOfChallenge(t *testing.T) {
	conformance.Claim(t, "8555-8.2-02", "8555-8.2-03")
	bubble(t, func(t *testing.T) {
		tries := 0
		f := newFixture(t, acmetest.Options{
			RetryAfter: "20", ValidationTime: 10 * time.Second, ValidationAttempts: 10,
			Validate: func(context.Context, acmetest.Validation) error {
				if tries++; tries < 3 {
					return &acmetest.Problem{Type: string(acme.ErrConnection), Detail: fmt.Sprint("refused, try ", tries)}
				}
				return nil
			},
		})
		o := f.order("a.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		respond := func() *acme.Challenge {
			t.Helper()
			c, err := f.account.RespondChallenge(t.Context(), z.Challenges[0].URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := respond(); c.Status != acme.StatusProcessing || c.Error != nil || !c.RetryAfter.Equal(time.Now().Add(20*time.Second)) {
			t.Errorf("first answer: %+v", c)
		}
		<-time.After(10 * time.Second) // the first try fails
		if z, err = f.account.Authorization(t.Context(), z.URL); err != nil || z.Challenges[0].Error == nil || z.Challenges[0].Error.Detail != "refused, try 1" {
			t.Errorf("after the first try: %+v, %v", z.Challenges[0], err)
		}
		c := respond() // the second try is made, and fails
		if c.Status != acme.StatusProcessing || !errors.Is(c.Error, acme.ErrConnection) || c.Error.Detail != "refused, try 2" || !c.RetryAfter.Equal(time.Now().Add(20*time.Second)) {
			t.Errorf("second answer: %+v", c)
		}
		if c := respond(); c.Status != acme.StatusValid || c.Error != nil || tries != 3 {
			t.Errorf("third answer: %+v", c)
		}
		sent := f.answers()
		nonces := map[string]bool{}
		for _, r := range sent {
			nonces[r.Nonce] = true
			if r.URL != sent[0].URL || string(r.Payload) != "{}" {
				t.Errorf("%s with %s", r.URL, r.Payload)
			}
		}
		if len(sent) != 3 || len(nonces) != 3 {
			t.Errorf("%d answers with %d nonces", len(sent), len(nonces))
		}
	})
}

// A wait goes by the Retry-After of the challenge, and tells the interim error
// (§8.2).
func TestWaitTellsInterimError(t *testing.T) {
	conformance.Claim(t, "8555-8.2-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 5 * time.Second, ValidationAttempts: 1000, Validate: failing(acme.HTTP01)})
		seen := f.arrivals(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindChallenge {
				return nil
			}
			return &acmetest.Fault{Header: retryAfterHeader(7, false)}
		}, acmetest.KindChallenge, acmetest.KindOrder)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		w, ok := errors.AsType[*acme.WaitError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || w.Reason == nil || w.Reason.Type != acme.ErrConnection || w.Reason.Detail != "no answer from a.example.com" {
			t.Errorf("got %v", err)
		}
		if gap := seen()[1].at.Sub(seen()[0].at); gap < 7*time.Second || gap > 8*time.Second {
			t.Errorf("the first poll came %v after the answer", gap)
		}
	})
}

// The http-01 resource is the key authorization, at its path under http, for
// whoever asks by whatever address, and is gone when the challenge is over (§8.3).
func TestHTTP01Resource(t *testing.T) {
	conformance.Claim(t, "8555-8.3-01", "8555-8.3-02", "8555-8.3-03", "8555-8.3-06")
	t.Parallel()
	for _, outcome := range []string{"valid", "invalid", "cancelled"} {
		t.Run(outcome, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				solver := new(http01.Solver)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var mu sync.Mutex
				var tokens []string
				look := func(_ context.Context, v acmetest.Validation) error {
					mu.Lock()
					tokens = append(tokens, v.Token)
					mu.Unlock()
					for _, from := range []string{"192.0.2.1:40000", "[2001:db8::1]:40000"} {
						w := ask(solver, v.Identifier.Value, v.Token, from)
						if got := w.Body.Bytes(); w.Code != http.StatusOK || !bytes.Equal(got, []byte(v.KeyAuthorization)) {
							t.Errorf("%s from %s: status %d, body %q, want %q", v.Identifier.Value, from, w.Code, got, v.KeyAuthorization)
						}
					}
					switch outcome {
					case "invalid":
						return errors.New("not convinced")
					case "cancelled":
						cancel()
					}
					return nil
				}
				f := newFixture(t, acmetest.Options{Validate: look, ValidationTime: 3 * time.Second})
				f.solver = solver
				_, err := f.account.Obtain(ctx, f.request("example.com", "www.example.com"))
				switch {
				case outcome == "valid" && err != nil,
					outcome == "invalid" && !errors.Is(err, acme.ErrIncorrectResponse),
					outcome == "cancelled" && !errors.Is(err, context.Canceled):
					t.Errorf("got %v", err)
				}
				if len(tokens) == 0 {
					t.Error("nobody asked")
				}
				for _, token := range tokens {
					if w := ask(solver, "example.com", token, "192.0.2.1:40000"); w.Code != http.StatusNotFound {
						t.Errorf("afterwards: status %d", w.Code)
					}
				}
			})
		})
	}
}

// What is asked for and was not provisioned is not served, and never echoed,
// even if it looks like a token (§8.3).
func TestHTTP01DoesNotCopyTokens(t *testing.T) {
	conformance.Claim(t, "8555-8.3-04", "8555-8.3-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Second, Validate: failing()})
		thumbprint := f.account.Thumbprint()
		asked := 0
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindOrder { // while a challenge is provisioned
				return nil
			}
			for _, token := range []string{"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "<script>alert(1)</script>", `"><img src=x>`, "a.b", "a\r\nX: y", ""} {
				asked++
				w := ask(f.solver, "a.example.com", token, "192.0.2.1:40000")
				body := w.Body.String()
				if w.Code != http.StatusNotFound || strings.Contains(body, thumbprint) || token != "" && strings.Contains(body+fmt.Sprint(w.Header()), token) {
					t.Errorf("%q: status %d, %v, %s", token, w.Code, w.Header(), body)
				}
				if got := f.account.KeyAuthorization(token); got != "" && strings.ContainsAny(token, "<>\".\r\n") {
					t.Errorf("%q: key authorization %q", token, string(got))
				}
			}
			return nil
		})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil || asked == 0 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	})
}

// A zone is a DNS server of TXT records.
type zone struct {
	mu      sync.Mutex
	records map[string][]string
}

func (z *zone) add(name, value string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name] = append(z.records[name], value)
}

// remove takes away one record and no other.
func (z *zone) remove(name, value string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	i := slices.Index(z.records[name], value)
	if i < 0 {
		return fmt.Errorf("%s has no %s", name, value)
	}
	z.records[name] = slices.Delete(z.records[name], i, i+1)
	return nil
}

func (z *zone) at(name string) []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.records[name])
}

// solver is what a dns-01 solver is at its simplest: it needs nothing but what
// an Attempt has.
func (z *zone) solver() acme.Solver {
	return acme.Each(always(acme.DNS01).Supports, func(_ context.Context, a *acme.Attempt) (acme.Cleanup, error) {
		digest := a.KeyAuthorization.Digest()
		name, value := "_acme-challenge."+a.Identifier.Value, base64.RawURLEncoding.EncodeToString(digest[:])
		z.add(name, value)
		return func(context.Context) error { return z.remove(name, value) }, nil
	})
}

// A solver for dns-01 gets the name without "*.", the digest, both values of a
// name and its wildcard in place at once, and its clean-up at the end of the
// challenge (§8.4). How records get into a zone is its own business.
func TestDNS01(t *testing.T) {
	conformance.Claim(t, "8555-8.4-01", "8555-8.4-02", "8555-8.4-03", "8555-8.4-04")
	t.Parallel()
	for _, outcome := range []string{"valid", "invalid", "cancelled"} {
		t.Run(outcome, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const name, foreign = "_acme-challenge.example.org", "another client's"
				z := &zone{records: map[string][]string{name: {foreign}}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var mu sync.Mutex
				looked := 0
				f := newFixture(t, acmetest.Options{ValidationTime: 2 * time.Second, Validate: func(_ context.Context, v acmetest.Validation) error {
					mu.Lock()
					looked++
					mu.Unlock()
					sum := sha256.Sum256([]byte(v.KeyAuthorization))
					value := base64.RawURLEncoding.EncodeToString(sum[:])
					if got := z.at("_acme-challenge." + v.Identifier.Value); !slices.Contains(got, value) || len(value) != 43 {
						t.Errorf("%v, wildcard %v: %q is not among %q", v.Identifier, v.Wildcard, value, got)
					}
					if got := z.at(name); len(got) != 3 {
						t.Errorf("%q at %s, want both and the foreign one", got, name)
					}
					switch outcome {
					case "invalid":
						return errors.New("not convinced")
					case "cancelled":
						cancel()
					}
					return nil
				}})
				req := f.request("example.org", "*.example.org", "www.example.org")
				req.Solvers = []acme.Solver{z.solver()}
				_, err := f.account.Obtain(ctx, req)
				switch {
				case outcome == "valid" && err != nil,
					outcome == "invalid" && !errors.Is(err, acme.ErrIncorrectResponse),
					outcome == "cancelled" && !errors.Is(err, context.Canceled):
					t.Errorf("got %v", err)
				}
				if looked == 0 || outcome == "valid" && looked != 3 {
					t.Errorf("looked %d times", looked)
				}
				if got := z.at(name); !slices.Equal(got, []string{foreign}) {
					t.Errorf("left at %s: %q", name, got)
				}
				if got := z.at("_acme-challenge.www.example.org"); len(got) != 0 {
					t.Errorf("left at www: %q", got)
				}
			})
		})
	}
}

// The first certificate of a file is the end-entity certificate; the others may
// stop short of the root (§9.1, erratum 5983).
func TestChainFiles(t *testing.T) {
	conformance.Claim(t, "8555-9.1-01", "8555-9.1-02", "8555-9.1-03")
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(leaf, intermediate, root string) string
		want int // certificates; 0: an error
	}{
		"LF":                 {func(l, i, _ string) string { return l + i }, 2},
		"CRLF":               {func(l, i, _ string) string { return strings.ReplaceAll(l+i, "\n", "\r\n") }, 2},
		"blank line":         {func(l, i, _ string) string { return l + "\n" + i }, 2},
		"blank CRLF":         {func(l, i, _ string) string { return strings.ReplaceAll(l+"\n"+i, "\n", "\r\n") }, 2},
		"no final line end":  {func(l, i, _ string) string { return strings.TrimSpace(l + i) }, 2},
		"leaf alone":         {func(l, _, _ string) string { return l }, 1},
		"with the root":      {func(l, i, r string) string { return l + i + r }, 3},
		"intermediate first": {func(l, i, _ string) string { return i + l }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true})
				file := f.serveChain(tt.edit)
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if tt.want == 0 {
					if !errors.Is(err, acme.ErrCertificateMismatch) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				chain, err := cert.Chain()
				if err != nil || len(chain) != tt.want {
					t.Fatalf("%d certificates, want %d: %v", len(chain), tt.want, err)
				}
				if block, _ := pem.Decode(file()); !bytes.Equal(chain[0].Raw, block.Bytes) || !chain[0].Equal(f.ca.Issued()[0]) {
					t.Error("the first certificate is not the first of the file")
				}
				if !bytes.Equal(cert.PEM, file()) {
					t.Error("the file is not as it was served")
				}
			})
		})
	}
}

// serveChain has the CA serve another file in place of a certificate. The
// function returned tells what it was.
func (f *fixture) serveChain(edit func(leaf, intermediate, root string) string) func() []byte {
	var served []byte
	f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Edit: func(status int, _ http.Header, body []byte) (int, []byte) {
		leaf, rest := pem.Decode(body)
		intermediate, _ := pem.Decode(rest)
		root := &pem.Block{Type: "CERTIFICATE", Bytes: f.ca.Root(0).Raw}
		served = []byte(edit(string(pem.EncodeToMemory(leaf)), string(pem.EncodeToMemory(intermediate)), string(pem.EncodeToMemory(root))))
		return status, served
	}}))
	return func() []byte { return served }
}

// A chain whose certificates do not certify each other in turn is given as it is,
// with a warning (§9.1).
func TestChainOutOfOrder(t *testing.T) {
	conformance.Claim(t, "8555-9.1-04")
	t.Parallel()
	for name, tt := range map[string]struct {
		edit  func(leaf, intermediate, root string) string
		order []string // common names
		warns bool
	}{
		"in order":     {func(l, i, r string) string { return l + i + r }, []string{"", "acmetest Intermediate", "acmetest Root 0"}, false},
		"without root": {func(l, i, _ string) string { return l + i }, []string{"", "acmetest Intermediate"}, false},
		"turned round": {func(l, i, r string) string { return l + r + i }, []string{"", "acmetest Root 0", "acmetest Intermediate"}, true},
		"a gap":        {func(l, _, r string) string { return l + r }, []string{"", "acmetest Root 0"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true})
				f.serveChain(tt.edit)
				var log bytes.Buffer
				f.client.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				chain, err := cert.Chain()
				if err != nil {
					t.Fatal(err)
				}
				var order []string
				for _, c := range chain {
					order = append(order, c.Subject.CommonName)
				}
				if !slices.Equal(order, tt.order) {
					t.Errorf("chain %q, want %q", order, tt.order)
				}
				if warned := strings.Contains(log.String(), cert.URL); warned != tt.warns {
					t.Errorf("logged %q", log.String())
				}
			})
		})
	}
}

// A man in the middle may forge badSignatureAlgorithm: the client signs nothing
// in another way because of it (§10.1).
func TestNoDowngradeOfSignatures(t *testing.T) {
	conformance.Claim(t, "8555-10.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		forged := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadSignatureAlgorithm), Detail: "use RS256", Algorithms: []string{"RS256"}}}
		f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, forged))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if p := problemIn(t, err); p.Type != acme.ErrBadSignatureAlgorithm || !strings.Contains(string(p.Raw), `"algorithms":["RS256"]`) {
			t.Errorf("got %v", err)
		}
		f.only(acmetest.KindNewOrder)
		f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, forged))
		if _, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); !errors.Is(err, acme.ErrBadSignatureAlgorithm) {
			t.Errorf("newAccount: got %v", err)
		}
		f.fault(nil)
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
		for _, r := range f.ca.Requests() {
			if r.Protected != nil && string(objectOf(t, r.Protected)["alg"]) != `"ES256"` {
				t.Errorf("%s is signed with %s", r.Kind, r.Protected)
			}
		}
		f.only(acmetest.KindNewAccount)
	})
}

// What is provisioned for a token depends on the account's key: it is of no use
// to another account (§10.2).
func TestKeyAuthorizationIsBoundToAccount(t *testing.T) {
	conformance.Claim(t, "8555-10.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				c.(map[string]any)["token"] = token
			}
		})))
		provisioned := map[string]bool{}
		for range 2 {
			f.ca.Reset()
			account, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{})
			if err != nil {
				t.Fatal(err)
			}
			// The thumbprint of an EC key by hand (RFC 7638 §3.1).
			jwk := objectOf(t, objectOf(t, f.only(acmetest.KindNewAccount).Protected)["jwk"])
			sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%s,"y":%s}`, jwk["x"], jwk["y"]))
			want := token + "." + base64.RawURLEncoding.EncodeToString(sum[:])
			solver := always(acme.HTTP01).(testSolver)
			solver.present = func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if got := string(batch[0].KeyAuthorization); got != want || batch[0].AccountURL != account.URL() || batch[0].Thumbprint != account.Thumbprint() {
					t.Errorf("key authorization %q for %s, want %q", got, batch[0].AccountURL, want)
				}
				provisioned[want] = true
				return nil, nil
			}
			req := f.request("a.example.com")
			req.Solvers = []acme.Solver{solver}
			if _, err := account.Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if len(provisioned) != 2 {
			t.Errorf("%d key authorizations of two accounts", len(provisioned))
		}
	})
}

// A key that is known to be in use is refused for a rollover, and one that turns
// out to be in use is an error; the old key holds (§11.1).
func TestRolloverToKeyInUse(t *testing.T) {
	conformance.Claim(t, "8555-11.1-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.account.ChangeKey(t.Context(), f.key); !errors.Is(err, acme.ErrSameKey) {
			t.Errorf("the account's own key: %v", err)
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests for the account's own key", got)
		}
		other := newKey(t)
		if _, err := f.client.NewAccount(t.Context(), other, acme.AccountRequest{}); err != nil {
			t.Fatal(err)
		}
		if changed, err := f.account.ChangeKey(t.Context(), other); err == nil || changed != nil || problemIn(t, err).Status != http.StatusConflict {
			t.Errorf("another account's key: %v", err)
		}
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Errorf("the old key: %v", err)
		}
	})
}

// A file with anything but certificates is refused, wherever that is, and text
// around them is not passed on (§11.4).
func TestChainFilesHaveOnlyCertificates(t *testing.T) {
	conformance.Claim(t, "8555-11.4-01", "8555-11.4-02")
	t.Parallel()
	// A certificate under another name: the name alone decides.
	block := func(kind string) func(string) string {
		return func(cert string) string { return strings.ReplaceAll(cert, "CERTIFICATE", kind) }
	}
	text := func(s string) func(string) string { return func(string) string { return s } }
	for name, bad := range map[string]func(string) string{
		"EC private key": block("EC PRIVATE KEY"), "private key": block("PRIVATE KEY"), "CRL": block("X509 CRL"), "CSR": block("CERTIFICATE REQUEST"),
		"trusted": block("TRUSTED CERTIFICATE"), "cut off": text("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n"), "in a line": text("key: -----BEGIN RSA PRIVATE KEY----- MHc=\n"),
	} {
		for place, edit := range map[string]func(leaf, intermediate, root string) string{
			"first":      func(l, i, r string) string { return bad(r) + l + i },
			"in between": func(l, i, r string) string { return l + bad(r) + i },
			"last":       func(l, i, r string) string { return l + i + bad(r) },
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{PreValidated: true})
					f.serveChain(edit)
					if cert, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !errors.Is(err, acme.ErrInvalidChain) || cert != nil {
						t.Errorf("got %v, %v", cert, err)
					}
					if cert, err := f.account.Certificate(t.Context(), f.ca.Orders()[0].CertificateURL); !errors.Is(err, acme.ErrInvalidChain) || cert != nil {
						t.Errorf("got %v, %v", cert, err)
					}
				})
			})
		}
	}
	t.Run("text", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFixture(t, acmetest.Options{PreValidated: true})
			f.serveChain(func(l, i, _ string) string {
				return "subject=CN = a.example.com\n" + l + "# and what certifies it\n\n" + i + "ssl_password_file /etc/passwd;\n"
			})
			cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
			if err != nil {
				if !errors.Is(err, acme.ErrInvalidChain) {
					t.Errorf("got %v", err)
				}
				return
			}
			var want []byte
			chain, err := cert.Chain()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range chain {
				if _, err := x509.ParseCertificate(c.Raw); err != nil {
					t.Error(err)
				}
				want = append(want, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
			}
			if !bytes.Equal(cert.PEM, want) || len(chain) != 2 {
				t.Errorf("got %s", cert.PEM)
			}
		})
	})
}
