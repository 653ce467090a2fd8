package acme_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// What RFC 8555 asks of resources (§7.1), nonces (§7.2) and accounts (§7.3), as
// a server sees it.

// edits makes the CA answer all requests of some kinds with changed members.
func (f *fixture) edits(edit func(m map[string]any), kinds ...acmetest.Kind) {
	f.fault(func(r acmetest.Request) *acmetest.Fault {
		if !slices.Contains(kinds, r.Kind) {
			return nil
		}
		fault := acmetest.EditJSON(edit)
		return &fault
	})
}

// The relations of links hold an issuance up neither when they are missing nor
// when there are many, and a caller can follow them (§7.1).
func TestLinkRelations(t *testing.T) {
	conformance.Claim(t, "8555-7.1-02")
	t.Parallel()
	for name, edit := range map[string]func(http.Header){
		"as they are": func(http.Header) {},
		"absent":      func(h http.Header) { h.Del("Link") },
		"repeated":    func(h http.Header) { h["Link"] = slices.Repeat(h["Link"], 3) },
		"joined":      func(h http.Header) { h.Set("Link", strings.Join(h["Link"], ", ")) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{AlternateChains: 1})
				f.fault(acmetest.FaultAlways("", acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
					edit(h)
					return status, body
				}}))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				z, err := f.account.Authorization(t.Context(), f.ca.Authorizations("")[0])
				if err != nil {
					t.Fatal(err)
				}
				resp, err := f.account.Post(t.Context(), z.Challenges[0].URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				up, index := slices.Compact(resp.Links("up")), slices.Compact(resp.Links("index"))
				want, wantIndex := []string{z.URL}, []string{f.ca.DirectoryURL()}
				if name == "absent" {
					want, wantIndex = nil, nil
				}
				if !slices.Equal(up, want) || !slices.Equal(index, wantIndex) {
					t.Errorf("up %q, index %q", up, index)
				}
			})
		})
	}
}

// A server without newAuthz has no pre-authorization, and is not asked for any
// (§7.1.1).
func TestDirectoryWithoutNewAuthz(t *testing.T) {
	conformance.Claim(t, "8555-7.1.1-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{OmitFromDirectory: []string{"newAuthz"}})
		_, err := f.account.NewAuthorization(t.Context(), acme.DNS("a.example.com")[0])
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "newAuthz") {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Count(""); got != 1 {
			t.Errorf("%d requests, want that of the directory alone", got)
		}
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
	})
}

// All operations work with directories that have no meta, little or too much
// (§7.1.1).
func TestEverythingWorksWithOddDirectories(t *testing.T) {
	conformance.Claim(t, "8555-7.1.1-03")
	t.Parallel()
	unknown := map[string]any{
		"a string": "x", "a number": 1.5, "a boolean": true, "a null": nil, "an array": []any{1, "x", nil}, "an object": map[string]any{"newOrder": 1},
		"NewOrder": "https://evil.test/", "termsofservice": 7,
	}
	for name, edit := range map[string]func(m map[string]any){
		"without meta": func(m map[string]any) { delete(m, "meta") },
		"empty meta":   func(m map[string]any) { m["meta"] = map[string]any{} },
		"null meta":    func(m map[string]any) { m["meta"] = nil },
		"unknown members": func(m map[string]any) {
			maps.Copy(m, unknown)
			m["meta"] = unknown
		},
		"members of other types": func(m map[string]any) {
			m["meta"] = map[string]any{"termsOfService": 1, "website": []any{}, "caaIdentities": "ca.test", "externalAccountRequired": "no"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Website: "https://ca.test/"})
				f.edits(edit, acmetest.KindDirectory)
				for _, v := range f.verbs() {
					if err := v.call(f); err != nil {
						t.Errorf("%s: %v", v.op, err)
					}
				}
				if dir, err := f.client.Directory(t.Context()); err != nil || dir.Meta.TermsOfService != "" || dir.Meta.Website != "" || dir.Meta.ExternalAccountRequired {
					t.Errorf("got %+v, %v", dir, err)
				}
			})
		})
	}
}

// The status of an account is told, and one that is not valid is told by each
// refusal (§7.1.2).
func TestAccountStatus(t *testing.T) {
	conformance.Claim(t, "8555-7.1.2-01")
	t.Parallel()
	for _, status := range []acme.Status{acme.StatusValid, acme.StatusDeactivated, acme.StatusRevoked} {
		t.Run(string(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.edits(func(m map[string]any) { m["status"] = string(status) }, acmetest.KindAccount)
				if info, err := f.account.Info(t.Context()); err != nil || info.Status != status {
					t.Fatalf("got %+v, %v", info, err)
				}
				f.fault(nil)
				switch status {
				case acme.StatusDeactivated:
					if err := f.account.Deactivate(t.Context()); err != nil {
						t.Fatal(err)
					}
				case acme.StatusRevoked:
					f.ca.RevokeAccount(f.account.URL())
				}
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if valid := status == acme.StatusValid; valid && err != nil || !valid && (!errors.Is(err, acme.ErrUnauthorized) || !strings.Contains(err.Error(), string(status))) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// What is posted to an account changes its contacts or ends it; the rest cannot
// be updated (§7.1.2).
func TestAccountUpdatesHaveNoOtherMembers(t *testing.T) {
	conformance.Claim(t, "8555-7.1.2-02")
	t.Parallel()
	f, wire := everything(t)
	updates := 0
	for _, m := range wire.posts(acme.OpUpdateAccount, acme.OpDeactivateAccount, acme.OpAccount) {
		if m.url != f.account.URL() {
			t.Errorf("%s: sent to %s", m.op, m.url)
		}
		switch m.op {
		case acme.OpUpdateAccount:
			hasMembers(t, strictObject(t, m.jws(t).payload), "contact")
			updates++
		case acme.OpDeactivateAccount:
			hasMembers(t, strictObject(t, m.jws(t).payload), "status")
			updates++
		}
	}
	if updates < 2 {
		t.Errorf("%d updates", updates)
	}
}

// An account object may have little in it (§7.1.2).
func TestSparseAccounts(t *testing.T) {
	conformance.Claim(t, "8555-7.1.2-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.edits(func(m map[string]any) {
			delete(m, "contact")
			delete(m, "orders")
			delete(m, "termsOfServiceAgreed")
		}, acmetest.KindAccount, acmetest.KindNewAccount)
		if a, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{Contact: []string{"mailto:a@example.com"}}); err != nil || !a.Created() {
			t.Error(err)
		}
		if info, err := f.account.Info(t.Context()); err != nil || info.Status != acme.StatusValid || info.Contact != nil || info.OrdersURL != "" {
			t.Errorf("got %+v, %v", info, err)
		}
		if _, err := f.account.Update(t.Context(), []string{"mailto:a@example.com"}); err != nil {
			t.Error(err)
		}
	})
}

// A list of orders is read page by page, by POST-as-GET, to its end, and once
// (§7.1.2.1).
func TestOrdersListHasPages(t *testing.T) {
	conformance.Claim(t, "8555-7.1.2.1-01", "8555-7.1.2.1-02")
	t.Parallel()
	for _, circular := range []bool{false, true} {
		t.Run(fmt.Sprint("circular=", circular), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				list := f.account.URL() + "/orders"
				next := map[string]string{list: list + "?cursor=2", list + "?cursor=2": "?cursor=3"}
				if circular {
					next[list+"?cursor=3"] = "orders"
				}
				n := 0
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind != acmetest.KindOrders {
						return nil
					}
					n++
					fault := &acmetest.Fault{Body: fmt.Appendf(nil, `{"orders":["https://CA.test:443/order/%%7e%d","https://ca.test/order/%d"]}`, 2*n, 2*n+1)}
					if link := next[r.URL]; link != "" {
						fault.Header = http.Header{"Link": {`<https://ca.test/directory>;rel="index"`, `<` + link + `>;rel="next"`}}
					}
					return fault
				})
				var urls []string
				var last error
				for u, err := range f.account.Orders(t.Context()) {
					if last = err; err == nil {
						urls = append(urls, u)
					}
				}
				want := []string{
					"https://CA.test:443/order/%7e2", "https://ca.test/order/3", "https://CA.test:443/order/%7e4", "https://ca.test/order/5",
					"https://CA.test:443/order/%7e6", "https://ca.test/order/7",
				}
				if !slices.Equal(urls, want) || n != 3 || errors.Is(last, acme.ErrMalformedResponse) != circular {
					t.Errorf("%d pages, %q, %v", n, urls, last)
				}
				for _, r := range f.signedRequests(acmetest.KindOrders) {
					if !f.isPostAsGet(r) {
						t.Errorf("%s %s with payload %q", r.Method, r.URL, r.Payload)
					}
				}
			})
		})
	}
}

// Times are those of RFC 3339, with fractions and offsets, and in either case
// (§5.6 there), or none (§7.1.3).
func TestOrderTimes(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		at := time.Date(2016, 1, 20, 14, 9, 7, 0, time.UTC)
		for text, want := range map[string]time.Time{
			"2016-01-20T14:09:07Z":           at,
			"2016-01-20T14:09:07.99Z":        at.Add(990 * time.Millisecond),
			"2016-01-20T14:09:07.123456789Z": at.Add(123456789),
			"2016-01-20T16:09:07+02:00":      at,
			"2016-01-20T08:39:07.5-05:30":    at.Add(time.Second / 2),
			"2016-01-20T14:09:07-00:00":      at,
			"2016-01-20t14:09:07z":           at,
			"":                               {},
			"soon":                           {},
		} {
			f.edits(func(m map[string]any) {
				delete(m, "expires")
				if text != "" {
					m["expires"], m["notBefore"], m["notAfter"] = text, text, text
				}
			}, acmetest.KindOrder)
			read, err := f.account.Order(t.Context(), o.URL)
			if err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string]time.Time{"expires": read.Expires, "notBefore": read.NotBefore, "notAfter": read.NotAfter} {
				if !got.Equal(want) {
					t.Errorf("%s %q is %v, want %v", name, text, got, want)
				}
			}
		}
	})
}

// It is the authorizations of an order that count, not its identifiers: there
// may be fewer or more, and for other names (§7.1.3).
func TestAuthorizationsNeedNotMatchIdentifiers(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-03")
	t.Parallel()
	for name, tt := range map[string]struct {
		edit    func(m map[string]any, extra string)
		answers int // to challenges
	}{
		"fewer": {func(m map[string]any, _ string) {
			if urls, ok := m["authorizations"].([]any); ok {
				m["authorizations"] = urls[1:] // the first is valid
			}
		}, 1},
		"more": {func(m map[string]any, extra string) {
			if urls, ok := m["authorizations"].([]any); ok {
				m["authorizations"] = append(urls, extra)
			}
		}, 2},
		"for other names": {func(m map[string]any, _ string) {
			if m["identifier"] != nil {
				m["identifier"] = map[string]any{"type": "dns", "value": "example.com"}
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ReuseAuthorizations: true, Validate: failing()})
				req := f.request("a.example.com")
				req.Solvers = []acme.Solver{always(acme.HTTP01)}
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				extra, err := f.account.NewAuthorization(t.Context(), acme.DNS("extra.example.com")[0])
				if err != nil {
					t.Fatal(err)
				}
				f.ca.Reset()
				f.edits(func(m map[string]any) { tt.edit(m, extra.URL) }, acmetest.KindNewOrder, acmetest.KindOrder, acmetest.KindFinalize, acmetest.KindAuthorization)
				req.OrderRequest.Identifiers = acme.DNS("a.example.com", "b.example.com")
				cert, err := f.account.Obtain(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com", "b.example.com")
				if got := f.ca.Count(acmetest.KindChallenge); got != tt.answers {
					t.Errorf("%d challenges were answered, want %d", got, tt.answers)
				}
			})
		})
	}
}

// An order whose identifiers or authorizations change counts as invalid, at
// whichever reading that shows (§7.1.3).
func TestOrderThatChangesIsInvalid(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-04")
	t.Parallel()
	id := func(name string) map[string]any { return map[string]any{"type": "dns", "value": name} }
	for name, tt := range map[string]struct {
		edit func(m map[string]any)
		ok   bool
	}{
		"other identifier":    {func(m map[string]any) { m["identifiers"] = []any{id("a.example.com"), id("evil.example.com")} }, false},
		"fewer identifiers":   {func(m map[string]any) { m["identifiers"] = []any{id("a.example.com")} }, false},
		"more identifiers":    {func(m map[string]any) { m["identifiers"] = append(m["identifiers"].([]any), id("c.example.com")) }, false},
		"other authorization": {func(m map[string]any) { m["authorizations"].([]any)[0] = "https://ca.test/authorization/x" }, false},
		"more authorizations": {func(m map[string]any) {
			m["authorizations"] = append(m["authorizations"].([]any), "https://ca.test/authorization/x")
		}, false},
		"fewer authorizations": {func(m map[string]any) {
			if m["status"] != "valid" { // those that were completed may be fewer
				m["authorizations"] = m["authorizations"].([]any)[1:]
			}
		}, false},
		"another order of them": {func(m map[string]any) {
			slices.Reverse(m["identifiers"].([]any))
			slices.Reverse(m["authorizations"].([]any))
		}, true},
		"upper case": {func(m map[string]any) { m["identifiers"] = []any{id("A.example.com"), id("B.example.com")} }, true},
		"left out": {func(m map[string]any) {
			delete(m, "identifiers")
			delete(m, "authorizations")
		}, true},
	} {
		for _, status := range []string{"pending", "ready", "processing", "valid"} {
			if name == "fewer authorizations" && status == "valid" || tt.ok && status != "ready" {
				continue
			}
			t.Run(name+" "+status, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					late := status == "processing" || status == "valid"
					f := newFixture(t, acmetest.Options{PreValidated: late, ValidationTime: 10 * time.Millisecond, IssuanceTime: 10 * time.Millisecond})
					f.edits(func(m map[string]any) {
						if m["status"] == status {
							tt.edit(m)
						}
					}, acmetest.KindOrder, acmetest.KindFinalize)
					start := time.Now()
					_, err := f.account.Obtain(t.Context(), f.request("a.example.com", "b.example.com"))
					if tt.ok && err != nil || !tt.ok && (!errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), "have changed")) {
						t.Errorf("got %v", err)
					}
					if got := f.ca.Count(acmetest.KindFinalize); !tt.ok && !late && got != 0 {
						t.Errorf("finalized %d times", got)
					}
					if took := time.Since(start); took > 10*time.Second {
						t.Errorf("took %v", took)
					}
				})
			})
		}
	}
}

// A caller who waits is told as well.
func TestWaitForOrderThatChanges(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		n := 0
		f.edits(func(m map[string]any) {
			if n++; n > 2 {
				m["authorizations"] = []any{"https://ca.test/authorization/x"}
			}
		}, acmetest.KindOrder)
		if _, err := f.account.WaitOrder(t.Context(), o.URL, acme.StatusReady); !errors.Is(err, acme.ErrMalformedResponse) || n != 3 {
			t.Errorf("got %v after %d readings", err, n)
		}
	})
}

// Of several challenges one is answered, one that a solver supports (§7.1.4).
func TestOneChallengeIsAnswered(t *testing.T) {
	conformance.Claim(t, "8555-7.1.4-02")
	t.Parallel()
	for _, types := range [][]string{
		{"http-01", "dns-01", "tls-alpn-01"}, {"dns-01", "tls-alpn-01", "http-01"}, {"dns-99", "http-01", "http-01"},
	} {
		t.Run(fmt.Sprint(types), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ChallengeTypes: types})
				var answered []*acme.Challenge
				ctx := acme.WithTrace(t.Context(), &acme.Trace{Responded: func(a *acme.Attempt, _ *acme.Challenge, _ error) {
					answered = append(answered, a.Challenge)
				}})
				if _, err := f.account.Obtain(ctx, f.request("a.example.com")); err != nil {
					t.Fatal(err)
				}
				requests := f.signedRequests(acmetest.KindChallenge)
				if len(answered) != 1 || answered[0].Type != acme.HTTP01 || len(requests) != 1 || requests[0].URL != answered[0].URL {
					t.Errorf("answered %v with %d requests", answered, len(requests))
				}
			})
		})
	}
}

// Without a wildcard, wildcard is absent or false: both mean the same (§7.1.4,
// erratum 6364).
func TestWildcardFalse(t *testing.T) {
	conformance.Claim(t, "8555-7.1.4-04")
	t.Parallel()
	for name, edit := range map[string]func(m map[string]any){
		"absent": func(m map[string]any) { delete(m, "wildcard") },
		"false":  func(m map[string]any) { m["wildcard"] = false },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.edits(edit, acmetest.KindAuthorization, acmetest.KindNewAuthz)
				z, err := f.account.NewAuthorization(t.Context(), acme.DNS("a.example.com")[0])
				if err != nil || z.Wildcard || z.Identifier.Value != "a.example.com" {
					t.Fatalf("got %+v, %v", z, err)
				}
				r := &recorder{Solver: f.solver}
				req := f.request("a.example.com", "b.example.com")
				req.Solvers = []acme.Solver{r}
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(r.batches); got != "[[http-01 for a.example.com http-01 for b.example.com]]" {
					t.Errorf("batches %v", got)
				}
			})
		})
	}
}

// An order that has become invalid, by its own expiry or by an authorization's
// end, is over (§7.1.6).
func TestInvalidOrderIsFinal(t *testing.T) {
	conformance.Claim(t, "8555-7.1.6-02")
	t.Parallel()
	for name, end := range map[string]func(f *fixture, authz string){
		"expired": func(*fixture, string) { <-time.After(8 * 24 * time.Hour) },
		"authorization revoked": func(f *fixture, authz string) {
			f.ca.RevokeAuthorization(authz)
		},
		"authorization deactivated": func(f *fixture, authz string) {
			if err := f.account.DeactivateAuthorization(f.Context(), authz); err != nil {
				f.Error(err)
			}
		},
		"while it is read": func(f *fixture, _ string) {
			f.edits(func(m map[string]any) { m["status"] = "invalid" }, acmetest.KindOrder)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				o := f.order("a.example.com")
				if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
					t.Fatal(err)
				}
				end(f, o.AuthorizationURLs[0])
				f.checkInvalid(o)
			})
		})
	}
	t.Run("while it is authorized", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFixture(t, acmetest.Options{})
			f.edits(func(m map[string]any) { m["status"] = "invalid" }, acmetest.KindOrder)
			if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err == nil || f.ca.Count(acmetest.KindFinalize) != 0 {
				t.Errorf("got %v", err)
			}
			if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
				t.Errorf("%d orders", got)
			}
		})
	})
}

// checkInvalid goes on with an order that is over.
func (f *fixture) checkInvalid(o *acme.Order) {
	f.Helper()
	_, waitErr := f.account.WaitOrder(f.Context(), o.URL, acme.StatusReady, acme.StatusValid)
	read, err := f.account.Order(f.Context(), o.URL)
	if err != nil {
		f.Fatal(err)
	}
	_, err = f.account.Complete(f.Context(), read, f.request())
	for _, err := range []error{waitErr, err} {
		if oe, ok := errors.AsType[*acme.OrderError](err); !ok || oe.Order.Status != acme.StatusInvalid {
			f.Errorf("got %v, want an OrderError", err)
		}
	}
	if got := f.ca.Count(acmetest.KindFinalize); got != 0 {
		f.Errorf("%d finalize requests", got)
	}
}

// A nonce is fetched by HEAD when there is none, anew each time, though an answer
// might be cached (§7.2).
func TestNonceIsFetchedWhenNoneIsLeft(t *testing.T) {
	conformance.Claim(t, "8555-7.2-01", "8555-7.2-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		wire := f.tap()
		f.fault(acmetest.Faults(
			acmetest.FaultKind(acmetest.KindAccount, 2, acmetest.Fault{Header: http.Header{"Replay-Nonce": nil}}),
			acmetest.FaultAlways(acmetest.KindNewNonce, acmetest.Fault{Header: http.Header{"Cache-Control": {"public, max-age=3600"}}}),
		))
		for range 4 {
			if _, err := f.account.Info(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var story []string
		var fetched []string
		for _, m := range wire.sent() {
			story = append(story, m.method+" "+string(m.op))
			if m.op == acme.OpNewNonce {
				fetched = append(fetched, m.nonce)
				if got := m.header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("Cache-Control %q", got)
				}
			}
		}
		want := "GET directory, HEAD newNonce, POST account, HEAD newNonce, POST account, HEAD newNonce, POST account, POST account"
		if got := strings.Join(story, ", "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for i, m := range wire.posts()[:3] {
			if got := stringIn(t, m.jws(t).protected, "nonce"); got != fetched[i] {
				t.Errorf("nonce %q, want %q", got, fetched[i])
			}
		}
	})
}

// Whatever its status is, an answer of newNonce with a nonce will do (§7.2,
// erratum 6030).
func TestNewNonceStatus(t *testing.T) {
	conformance.Claim(t, "8555-7.2-02")
	t.Parallel()
	for _, status := range []int{200, 202, 204} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindNewNonce, acmetest.Fault{Status: status}))
				if _, err := f.account.Info(t.Context()); err != nil {
					t.Error(err)
				}
				if got := f.ca.Count(acmetest.KindNewNonce); got != 1 {
					t.Errorf("%d newNonce requests", got)
				}
			})
		})
	}
}

// Without a usable nonce nothing is sent that needs one (§7.2, §6.5.1).
func TestNoUsableNonce(t *testing.T) {
	conformance.Claim(t, "8555-7.2-04", "8555-6.5.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, nonce := range []string{"", "=", "YQ==", "a+b", "a/b", "a b", "abc, def", "a.b", "ä", `"a"`} {
			f.fault(acmetest.FaultAlways("", acmetest.Fault{Header: http.Header{"Replay-Nonce": {nonce}}}))
			a := f.newClient().Account(f.key, f.account.URL())
			if _, err := a.Info(t.Context()); !errors.Is(err, acme.ErrNoNonce) || !strings.Contains(err.Error(), "newNonce") {
				t.Errorf("%q: got %v", nonce, err)
			}
		}
		if got := f.ca.Count(acmetest.KindAccount); got != 0 {
			t.Errorf("%d signed requests", got)
		}
	})
}

// An account is made from what the caller says and nothing else (§7.3); terms
// are agreed to only if the caller says so.
func TestNewAccountRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.3-01", "8555-7.3-04")
	bubble(t, func(t *testing.T) {
		mac := bytes.Repeat([]byte("k"), 64)
		f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}})
		wire := f.tap()
		contact := []string{"mailto:a@example.com", "mailto:b@example.com"}
		eab := &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac}
		for _, tt := range []struct {
			req     acme.AccountRequest
			members []string
		}{
			{acme.AccountRequest{}, nil},
			{acme.AccountRequest{Contact: []string{}}, nil},
			{acme.AccountRequest{Contact: contact}, []string{"contact"}},
			{acme.AccountRequest{TermsOfServiceAgreed: true}, []string{"termsOfServiceAgreed"}},
			{acme.AccountRequest{Contact: contact, TermsOfServiceAgreed: true, ExternalAccount: eab}, []string{"contact", "externalAccountBinding", "termsOfServiceAgreed"}},
		} {
			a, err := f.client.NewAccount(t.Context(), newKey(t), tt.req)
			if err != nil || !a.Created() {
				t.Fatal(err)
			}
			sent := wire.posts(acme.OpNewAccount)
			m := strictObject(t, sent[len(sent)-1].jws(t).payload)
			hasMembers(t, m, tt.members...)
			if m["contact"] != nil {
				got := stringsIn(t, m, "contact")
				if !slices.Equal(got, contact) || slices.ContainsFunc(got, func(s string) bool { u, err := url.Parse(s); return err != nil || !u.IsAbs() }) {
					t.Errorf("contact %s", m["contact"])
				}
			}
			if agreed := m["termsOfServiceAgreed"]; agreed != nil && string(agreed) != "true" {
				t.Errorf("termsOfServiceAgreed %s", agreed)
			}
		}
	})
}

// Who did not agree to the terms learns where they are, and must say that a
// person did (§7.3).
func TestTermsAreForPeople(t *testing.T) {
	conformance.Claim(t, "8555-7.3-04", "8555-7.3-05")
	bubble(t, func(t *testing.T) {
		const terms = "https://ca.test/terms/2026"
		f := newFixture(t, acmetest.Options{TermsOfService: terms})
		key := newKey(t)
		_, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{Contact: []string{"mailto:a@example.com"}})
		if !errors.Is(err, acme.ErrUserActionRequired) || !slices.Equal(problemIn(t, err).Links("terms-of-service"), []string{terms}) {
			t.Errorf("got %v", err)
		}
		hasMembers(t, objectOf(t, f.only(acmetest.KindNewAccount).Payload), "contact")
		if dir, err := f.client.Directory(t.Context()); err != nil || dir.Meta.TermsOfService != terms {
			t.Errorf("got %+v, %v", dir, err)
		}
		f.ca.Reset()
		if _, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{TermsOfServiceAgreed: true}); err != nil {
			t.Error(err)
		}
		if got := string(f.only(acmetest.KindNewAccount).Payload); got != `{"termsOfServiceAgreed":true}` {
			t.Errorf("sent %s", got)
		}
	})
}

// What is wrong with a contact is told apart (§7.3).
func TestRefusedContacts(t *testing.T) {
	conformance.Claim(t, "8555-7.3-08")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for contact, want := range map[string]acme.ProblemType{"tel:+4930123": acme.ErrUnsupportedContact, "mailto:a@b@c": acme.ErrInvalidContact} {
			_, createErr := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{Contact: []string{contact}})
			_, updateErr := f.account.Update(t.Context(), []string{contact})
			for _, err := range []error{createErr, updateErr} {
				for _, kind := range []acme.ProblemType{acme.ErrUnsupportedContact, acme.ErrInvalidContact} {
					if errors.Is(err, kind) != (kind == want) {
						t.Errorf("%s: got %v, want %v", contact, err, want)
					}
				}
				if p := problemIn(t, err); !strings.Contains(p.Detail, contact) || !strings.Contains(err.Error(), contact) {
					t.Errorf("%s: no detail in %v", contact, err)
				}
			}
		}
	})
}

// A caller sees in the account object whether the server knows an extension
// (§7.3).
func TestUnknownExtensionIsNotReflected(t *testing.T) {
	conformance.Claim(t, "8555-7.3-09")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, known := range []bool{false, true} {
			f.edits(func(m map[string]any) {
				if known {
					m["new-extension"] = map[string]any{"on": true}
				}
			}, acmetest.KindAccount)
			info, err := f.account.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			resp, err := f.account.Post(t.Context(), f.account.URL(), map[string]any{"contact": []string{}})
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range [][]byte{info.Raw, resp.Body} {
				if got := objectOf(t, object)["new-extension"] != nil; got != known {
					t.Errorf("known %v: %s", known, object)
				}
			}
		}
	})
}

// Looking an account up by its key does not make one (§7.3.1).
func TestFindAccount(t *testing.T) {
	conformance.Claim(t, "8555-7.3.1-01", "8555-7.3.1-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		wire := f.tap()
		key := newKey(t)
		for range 2 {
			if a, err := f.client.FindAccount(t.Context(), key); a != nil || !errors.Is(err, acme.ErrAccountDoesNotExist) {
				t.Errorf("got %v, %v", a, err)
			}
		}
		for _, m := range wire.posts() {
			s := m.jws(t)
			if string(s.payload) != `{"onlyReturnExisting":true}` || !sameKey(keyOfJWK(t, s.protected["jwk"]), key.Public()) {
				t.Errorf("sent %s under %s", s.payload, s.header)
			}
		}
		created, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{})
		if err != nil || !created.Created() {
			t.Fatalf("there was an account: %v", err)
		}
		if found, err := f.client.FindAccount(t.Context(), key); err != nil || found.URL() != created.URL() || found.Created() {
			t.Errorf("got %v, %v", found, err)
		}
	})
}

// What is asked of an account that exists has no effect, and the caller can see
// that (§7.3.1).
func TestExistingAccountIsAsItWas(t *testing.T) {
	conformance.Claim(t, "8555-7.3.1-03", "8555-7.3-07")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		key := newKey(t)
		first, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{Contact: []string{"mailto:old@example.com"}})
		if err != nil || !first.Created() {
			t.Fatal(err)
		}
		again, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{Contact: []string{"mailto:new@example.com"}})
		if err != nil || again.Created() || again.URL() != first.URL() {
			t.Fatalf("got %v, %v", again, err)
		}
		if info, err := again.Info(t.Context()); err != nil || !slices.Equal(info.Contact, []string{"mailto:old@example.com"}) {
			t.Errorf("got %+v, %v", info, err)
		}
	})
}

// An update is sent to the account, by the account, with what is to change, and
// gives what came of it (§7.3.2).
func TestAccountUpdate(t *testing.T) {
	conformance.Claim(t, "8555-7.3.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, contact := range [][]string{{"mailto:a@example.com", "mailto:b@example.com"}, {}} {
			f.ca.Reset()
			f.edits(func(m map[string]any) { m["server-says"] = "done" }, acmetest.KindAccount)
			info, err := f.account.Update(t.Context(), contact)
			if err != nil || !slices.Equal(info.Contact, contact) || objectOf(t, info.Raw)["server-says"] == nil {
				t.Errorf("got %+v, %v", info, err)
			}
			r := f.only(acmetest.KindAccount)
			m := objectOf(t, r.Payload)
			hasMembers(t, m, "contact")
			if r.URL != f.account.URL() || r.AccountURL != f.account.URL() || !slices.Equal(stringsIn(t, m, "contact"), contact) {
				t.Errorf("%s by %s: %s", r.URL, r.AccountURL, r.Payload)
			}
		}
	})
}

// When the terms have changed, the error has the page to visit and the new terms
// (§7.3.3).
func TestTermsHaveChanged(t *testing.T) {
	conformance.Claim(t, "8555-7.3.3-01", "9457-3.1.5-01")
	t.Parallel()
	for name, tt := range map[string]struct{ instance, terms string }{
		"absolute": {"https://people.test/agreement/?token=W8Ih3PswD-8", "https://people.test/terms/2"},
		"relative": {"/agreement/?token=W8Ih3PswD-8", "/terms/2"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{TermsOfService: "https://ca.test/terms/1"})
				f.ca.Update(func(o *acmetest.Options) { o.TermsOfService = tt.terms })
				f.edits(func(m map[string]any) {
					if m["instance"] != nil {
						m["instance"] = tt.instance
					}
				}, acmetest.KindNewOrder)
				host := map[string]string{"absolute": "", "relative": "https://ca.test"}[name]
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				p := problemIn(t, err)
				if !errors.Is(err, acme.ErrUserActionRequired) || p.Status != http.StatusForbidden || p.Instance != host+tt.instance ||
					!slices.Equal(p.Links("terms-of-service"), []string{host + tt.terms}) || !strings.Contains(err.Error(), host+tt.instance) {
					t.Errorf("visit %q, terms at %q: %v", p.Instance, p.Links("terms-of-service"), err)
				}
				if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
					t.Errorf("asked %d times", got)
				}
				f.ca.AgreeToTerms()
				if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The binding is a JWS in the request, of the account key's JWK, for the
// request's URL, with a MAC by the CA's key under the CA's name for it, and no
// nonce (§7.3.4).
func TestExternalAccountBinding(t *testing.T) {
	conformance.Claim(t, "8555-7.3.4-01", "8555-7.3.4-02", "8555-7.3.4-03", "8555-7.3.4-04", "8555-7.3.4-05", "8555-7.3.4-06", "8555-7.3.4-08")
	t.Parallel()
	keys := accountKeys()
	for alg, key := range map[string]crypto.Signer{"HS256": keys["ES256"], "HS384": keys["RS256"], "HS512": keys["EdDSA"]} {
		for _, kid := range []string{"kid-1", `a/b+c==`, `"<&>\' ~` + "`", strings.Repeat("x", 300), "12345"} {
			t.Run(fmt.Sprintf("%s %.10s", alg, kid), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					mac := bytes.Repeat([]byte{0, 0xff, '=', 'k'}, 16)
					f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{kid: mac}})
					wire := f.tap()
					if _, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{
						ExternalAccount: &acme.ExternalAccount{KeyID: kid, MACKey: mac, Algorithm: alg},
					}); err != nil {
						t.Fatal(err)
					}
					outer := wire.posts(acme.OpNewAccount)[0].jws(t)
					inner := parseSignedJSON(t, strictObject(t, outer.payload)["externalAccountBinding"]) // an object, not a string
					hasMembers(t, inner.members, "protected", "payload", "signature")
					hasMembers(t, inner.protected, "alg", "kid", "url") // no nonce
					inner.verifiesMAC(t, mac)
					if got := stringIn(t, inner.protected, "alg"); got != alg {
						t.Errorf("alg %q", got)
					}
					if got := stringIn(t, inner.protected, "kid"); got != kid {
						t.Errorf("kid %q, want %q", got, kid)
					}
					if got, want := stringIn(t, inner.protected, "url"), stringIn(t, outer.protected, "url"); got != want {
						t.Errorf("url %q, want %q", got, want)
					}
					if !bytes.Equal(inner.payload, outer.protected["jwk"]) || !sameKey(keyOfJWK(t, inner.payload), key.Public()) {
						t.Errorf("bound %s, registered %s", inner.payload, outer.protected["jwk"])
					}
				})
			})
		}
	}
}

// A binding that the CA did not verify is not in the account object (§7.3.4).
func TestUnverifiedBindingIsNotReflected(t *testing.T) {
	conformance.Claim(t, "8555-7.3.4-09")
	t.Parallel()
	mac := bytes.Repeat([]byte("k"), 64)
	for name, accounts := range map[string]map[string][]byte{"verified": {"kid-1": mac}, "ignored": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ExternalAccounts: accounts})
				a, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac}})
				if err != nil {
					t.Fatal(err)
				}
				info, err := a.Info(t.Context())
				if err != nil || (info.ExternalAccountBinding != nil) != (accounts != nil) {
					t.Fatalf("got %+v, %v", info, err)
				}
				sent := f.signedRequests(acmetest.KindNewAccount)
				if want := objectOf(t, sent[len(sent)-1].Payload)["externalAccountBinding"]; accounts != nil && !bytes.Equal(info.ExternalAccountBinding, want) {
					t.Errorf("reflected %s, sent %s", info.ExternalAccountBinding, want)
				}
			})
		})
	}
}

// A key change is a request by the old key about one by the new key (§7.3.5).
func TestKeyChangeRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.3.5-01", "8555-7.3.5-02", "8555-7.3.5-03", "8555-7.3.5-04", "8555-7.3.5-05", "8555-7.3.5-06", "8555-7.3.5-07", "8555-7.3.5-08")
	t.Parallel()
	for name, key := range accountKeys() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				wire := f.tap()
				dir, err := f.client.Directory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				changed, err := f.account.ChangeKey(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				m := wire.posts(acme.OpKeyChange)[0]
				outer := m.jws(t)
				outer.verifies(t, f.key.Public())
				hasMembers(t, outer.protected, "alg", "kid", "nonce", "url")
				if stringIn(t, outer.protected, "kid") != f.account.URL() || stringIn(t, outer.protected, "url") != dir.KeyChangeURL || m.url != dir.KeyChangeURL {
					t.Errorf("outer header %s, sent to %s", outer.header, m.url)
				}
				inner := parseSignedJSON(t, outer.payload)
				hasMembers(t, inner.members, "protected", "payload", "signature")
				hasMembers(t, inner.protected, "alg", "jwk", "url") // no kid, no nonce
				newOne := keyOfJWK(t, inner.protected["jwk"])
				inner.verifies(t, newOne)
				object := strictObject(t, inner.payload)
				hasMembers(t, object, "account", "oldKey")
				oldOne := keyOfJWK(t, object["oldKey"])
				if !sameKey(newOne, key.Public()) || !sameKey(oldOne, f.key.Public()) || sameKey(newOne, oldOne) {
					t.Errorf("from %s to %s", object["oldKey"], inner.protected["jwk"])
				}
				if stringIn(t, inner.protected, "url") != dir.KeyChangeURL || stringIn(t, object, "account") != f.account.URL() {
					t.Errorf("inner header %s, payload %s", inner.header, inner.payload)
				}
				// The new key has the account from now on.
				if _, err := changed.Info(t.Context()); err != nil {
					t.Error(err)
				}
				last := wire.posts(acme.OpAccount)[0].jws(t)
				last.verifies(t, key.Public())
				if got := stringIn(t, last.protected, "kid"); got != f.account.URL() || changed.URL() != got {
					t.Errorf("kid %q", got)
				}
			})
		})
	}
}

// A key change leaves orders as they are; what is answered after it is answered
// with the new key (§7.3.5, §8.1).
func TestOrdersSurviveKeyChange(t *testing.T) {
	conformance.Claim(t, "8555-7.3.5-10")
	t.Parallel()
	for _, status := range []acme.Status{acme.StatusPending, acme.StatusReady} {
		t.Run(string(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				o := f.order("a.example.com")
				if status == acme.StatusReady {
					if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
						t.Fatal(err)
					}
				}
				changed, err := f.account.ChangeKey(t.Context(), newKey(t))
				if err != nil {
					t.Fatal(err)
				}
				var proofs []string
				ctx := acme.WithTrace(t.Context(), &acme.Trace{Present: func(batch []*acme.Attempt) {
					for _, a := range batch {
						proofs = append(proofs, string(a.KeyAuthorization))
					}
				}})
				if o, err = changed.Order(ctx, o.URL); err != nil || o.Status != status {
					t.Fatalf("got %+v, %v", o, err)
				}
				cert, err := changed.Complete(ctx, o, f.request())
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				if want := map[acme.Status]int{acme.StatusPending: 1}[status]; len(proofs) != want ||
					slices.ContainsFunc(proofs, func(s string) bool { return !strings.HasSuffix(s, "."+changed.Thumbprint()) }) {
					t.Errorf("presented %q", proofs)
				}
			})
		})
	}
}

// An account is deactivated by one request, after which all its requests are
// refused, once each (§7.3.6).
func TestDeactivatedAccount(t *testing.T) {
	conformance.Claim(t, "8555-7.3.6-01", "8555-7.3.6-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		verbs := f.verbs()
		authz := f.ca.Authorizations("")[0]
		wire := f.tap()
		if err := f.account.Deactivate(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := wire.posts()[0]
		s := m.jws(t)
		s.verifies(t, f.key.Public())
		if string(s.payload) != `{"status":"deactivated"}` || m.url != f.account.URL() || stringIn(t, s.protected, "kid") != f.account.URL() {
			t.Errorf("sent %s to %s under %s", s.payload, m.url, s.header)
		}
		start := time.Now()
		for _, v := range verbs {
			before := len(wire.posts())
			err := v.callOn(f, authz)
			if p := problemIn(t, err); !errors.Is(err, acme.ErrUnauthorized) || p.Status != http.StatusUnauthorized {
				t.Errorf("%s: got %v", v.op, err)
			}
			if got := len(wire.posts()) - before; got != 1 {
				t.Errorf("%s: sent %d times", v.op, got)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// callOn is call, with an authorization where a new one cannot be had.
func (v verb) callOn(f *fixture, authz string) error {
	if v.op == acme.OpDeactivateAuthorization {
		return f.account.DeactivateAuthorization(f.Context(), authz)
	}
	return v.call(f)
}
