package acme_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// What RFC 8555 asks of orders, certificates and revocations (§7.4, §7.6), as a
// server sees it.

// An arrival is a request and when it came.
type arrival struct {
	acmetest.Request
	at time.Time
}

// arrivals makes the CA note the requests of some kinds, and then behave as
// fault says, which may be nil. The function returned tells what came.
func (f *fixture) arrivals(fault func(acmetest.Request) *acmetest.Fault, kinds ...acmetest.Kind) func() []arrival {
	var mu sync.Mutex
	var seen []arrival
	f.fault(func(r acmetest.Request) *acmetest.Fault {
		if slices.Contains(kinds, r.Kind) {
			mu.Lock()
			seen = append(seen, arrival{r, time.Now()})
			mu.Unlock()
		}
		if fault == nil {
			return nil
		}
		return fault(r)
	})
	return func() []arrival {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// signedRequests returns the signed requests of a kind that the CA saw.
func (f *fixture) signedRequests(kind acmetest.Kind) []acmetest.Request {
	var out []acmetest.Request
	for _, r := range f.ca.Requests() {
		if r.Kind == kind && r.Protected != nil {
			out = append(out, r)
		}
	}
	return out
}

// only returns the one request of a kind, or fails the test.
func (f *fixture) only(kind acmetest.Kind) acmetest.Request {
	f.Helper()
	requests := f.signedRequests(kind)
	if len(requests) != 1 {
		f.Fatalf("%d %s requests, want one", len(requests), kind)
	}
	return requests[0]
}

// isPostAsGet reports whether a request is a POST-as-GET by the account (§6.3).
func (f *fixture) isPostAsGet(r acmetest.Request) bool {
	return r.Method == http.MethodPost && r.Protected != nil && len(r.Payload) == 0 && r.AccountURL == f.account.URL()
}

// objectOf splits the JSON object in a payload or a protected header.
func objectOf(t *testing.T, data []byte) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return m
}

// hasMembers fails the test unless an object has these members and no others.
func hasMembers(t *testing.T, m map[string]json.RawMessage, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("members %q, want %q", got, want)
	}
}

// octetsOf decodes a base64url member without padding (§6.1).
func octetsOf(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	octets, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return octets
}

// retryAfterHeader asks for another try in some seconds, also as a date.
func retryAfterHeader(seconds int, asDate bool) http.Header {
	if !asDate {
		return http.Header{"Retry-After": {fmt.Sprint(seconds)}}
	}
	now := time.Now().UTC()
	return http.Header{
		"Date":        {now.Format(http.TimeFormat)},
		"Retry-After": {now.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)},
	}
}

// rfc3339 is date-time of RFC 3339 §5.6, stricter than [time.Parse].
var rfc3339 = regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"$`)

// A newOrder request has the identifiers, and the validity if it was asked for
// (§7.4).
func TestNewOrderRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.4-01", "8555-7.4-02")
	t.Parallel()
	east, west := time.FixedZone("", 5*3600+45*60), time.FixedZone("", -8*3600)
	for name, tt := range map[string]struct {
		notBefore, notAfter time.Time
	}{
		"names alone": {},
		"notBefore":   {notBefore: time.Date(2030, 3, 31, 23, 59, 59, 0, time.UTC)},
		"notAfter":    {notAfter: time.Date(2030, 12, 31, 20, 0, 0, 0, west)},
		"both":        {time.Date(2030, 1, 1, 2, 0, 0, 0, east), time.Date(2030, 1, 8, 0, 4, 0, 0, west)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				ids := append(acme.DNS("www.example.org", "*.example.org", "example.org"), acme.IP(addr("192.0.2.1"))...)
				if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: ids, NotBefore: tt.notBefore, NotAfter: tt.notAfter}); err != nil {
					t.Fatal(err)
				}
				dir, err := f.client.Directory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r := f.only(acmetest.KindNewOrder)
				if r.Method != http.MethodPost || r.URL != dir.NewOrderURL || r.AccountURL != f.account.URL() {
					t.Errorf("%s %s by %q", r.Method, r.URL, r.AccountURL)
				}
				m := objectOf(t, r.Payload)
				want := []string{"identifiers"}
				for member, date := range map[string]time.Time{"notBefore": tt.notBefore, "notAfter": tt.notAfter} {
					if date.IsZero() {
						continue
					}
					want = append(want, member)
					var sent time.Time
					if err := json.Unmarshal(m[member], &sent); err != nil || !rfc3339.Match(m[member]) || !sent.Equal(date) {
						t.Errorf("%s is %s, want %v: %v", member, m[member], date, err)
					}
				}
				hasMembers(t, m, want...)
				var sent []map[string]string
				if err := json.Unmarshal(m["identifiers"], &sent); err != nil || len(sent) != len(ids) {
					t.Fatalf("identifiers %s: %v", m["identifiers"], err)
				}
				for i, id := range ids {
					if !maps.Equal(sent[i], map[string]string{"type": string(id.Type), "value": id.Value}) {
						t.Errorf("identifier %d is %v, want %v", i, sent[i], id)
					}
				}
			})
		})
	}
}

// The order URL is the Location of the answer to newOrder and nothing else,
// also in another process that knows only that (§7.4, erratum 5979).
func TestOrderURLIsTheLocation(t *testing.T) {
	conformance.Claim(t, "8555-7.4-03")
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true, IssuanceTime: 10 * time.Second})
				const location = "https://ca.test/elsewhere/7"
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					switch {
					case r.Kind == acmetest.KindNewOrder:
						return &acmetest.Fault{Header: http.Header{"Location": {location}}}
					case r.URL == location: // where the order really is
						info := f.ca.Orders()[0]
						body, err := json.Marshal(map[string]any{
							"status": info.Status, "identifiers": info.Identifiers, "authorizations": []string{},
							"finalize": info.URL + "/finalize", "certificate": info.CertificateURL,
						})
						if err != nil {
							t.Error(err)
						}
						return &acmetest.Fault{Status: 200, Body: body}
					}
					return nil
				})
				o := f.order("a.example.com")
				if o.URL != location {
					t.Errorf("the order's URL is %q", o.URL)
				}
				if restart {
					f.account = f.newClient().Account(f.key, f.account.URL())
					var err error
					if o, err = f.account.Order(t.Context(), location); err != nil {
						t.Fatal(err)
					}
				}
				cert, err := f.account.Complete(t.Context(), o, f.request())
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				polls := 0
				for _, r := range f.signedRequests(acmetest.KindUnknown) {
					if r.URL != location || !f.isPostAsGet(r) {
						t.Errorf("asked %s %s with %q", r.Method, r.URL, r.Payload)
					}
					polls++
				}
				if got := f.ca.Count(acmetest.KindOrder); got != 0 || polls < 2 {
					t.Errorf("%d polls of the Location, %d of another URL", polls, got)
				}
			})
		})
	}
}

// Identifiers and authorizations come in any order (§7.4).
func TestOrderOfTheListsDoesNotMatter(t *testing.T) {
	conformance.Claim(t, "8555-7.4-04")
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var mu sync.Mutex
				solved := map[string]string{} // by token
				solver := always(acme.DNS01).(testSolver)
				solver.present = func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
					mu.Lock()
					defer mu.Unlock()
					for _, a := range batch {
						solved[a.Challenge.Token] = a.String()
					}
					return nil, nil
				}
				f := newFixture(t, acmetest.Options{Shuffle: true, Seed: seed, Validate: func(_ context.Context, v acmetest.Validation) error {
					name := v.Identifier.Value
					if v.Wildcard {
						name = "*." + name
					}
					mu.Lock()
					defer mu.Unlock()
					if got := solved[v.Token]; got != "dns-01 for "+name {
						return fmt.Errorf("%s was answered as %s", name, got)
					}
					return nil
				}})
				asked := []string{"a.example.com", "*.a.example.com", "b.example.com", "c.example.com", "*.d.example.com", "e.example.com", "f.example.com"}
				var o *acme.Order
				ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(created *acme.Order) { o = created }})
				req := f.request(asked...)
				req.Solvers = []acme.Solver{solver}
				cert, err := f.account.Obtain(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com", "x.a.example.com", "b.example.com", "c.example.com", "x.d.example.com", "e.example.com", "f.example.com")
				authorized := make([]acme.Identifier, len(asked))
				for i, u := range o.AuthorizationURLs {
					z, err := f.account.Authorization(ctx, u)
					if err != nil {
						t.Fatal(err)
					}
					if authorized[i] = z.Identifier; z.Wildcard {
						authorized[i].Value = "*." + z.Identifier.Value
					}
				}
				if slices.Equal(o.Identifiers, acme.DNS(asked...)) || slices.Equal(o.Identifiers, authorized) {
					t.Error("the lists are in order: the test tested nothing")
				}
			})
		})
	}
}

// The finalize request has a DER-encoded CSR for exactly the identifiers that
// were ordered, and comes once, when the order is ready (§7.4).
func TestFinalizeRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.4-05", "8555-7.4-06", "8555-7.4-07", "8555-7.4-08", "8555-7.4-13")
	t.Parallel()
	for name, ids := range map[string][]acme.Identifier{
		"one name":   acme.DNS("example.com"),
		"mixed case": acme.DNS("WWW.Example.COM", "example.com."),
		"wildcard":   acme.DNS("*.example.com", "example.com"),
		"U-labels":   acme.DNS("Bücher.example", "*.straße.example"),
		"addresses":  append(acme.DNS("example.com"), acme.IP(addr("192.0.2.1"), addr("2001:db8::1"))...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing(), ValidationTime: 3 * time.Second})
				seen := f.arrivals(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind == acmetest.KindFinalize {
						if o := f.ca.Orders()[0]; o.Status != "ready" || r.URL != o.URL+"/finalize" {
							t.Errorf("%s while the order is %s", r.URL, o.Status)
						}
					}
					return nil
				}, acmetest.KindFinalize)
				req := f.request()
				req.OrderRequest.Identifiers = ids
				req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if got := len(seen()); got != 1 {
					t.Fatalf("%d finalize requests", got)
				}
				m := objectOf(t, seen()[0].Payload)
				hasMembers(t, m, "csr")
				csr, err := x509.ParseCertificateRequest(octetsOf(t, m["csr"]))
				if err != nil {
					t.Fatal(err)
				}
				if err := csr.CheckSignature(); err != nil {
					t.Error(err)
				}
				var ordered []acme.Identifier
				if err := json.Unmarshal(objectOf(t, f.only(acmetest.KindNewOrder).Payload)["identifiers"], &ordered); err != nil {
					t.Fatal(err)
				}
				requested := acme.DNS(csr.DNSNames...) // each dns identifier is a subject alternative name
				for _, ip := range csr.IPAddresses {
					requested = append(requested, acme.IP(addr(ip.String()))...)
				}
				if cn := csr.Subject.CommonName; cn != "" && !slices.Contains(csr.DNSNames, cn) {
					t.Errorf("common name %q", cn)
				}
				byValue := func(a, b acme.Identifier) int { return strings.Compare(a.Value, b.Value) }
				slices.SortFunc(ordered, byValue)
				slices.SortFunc(requested, byValue)
				if !slices.Equal(ordered, requested) {
					t.Errorf("ordered %v, the CSR is for %v", ordered, requested)
				}
			})
		})
	}
}

// Identifiers that are the same are one too many for an order, and a caller's
// CSR for others than those of the order is not sent (§7.4).
func TestCSRForOtherIdentifiers(t *testing.T) {
	conformance.Claim(t, "8555-7.4-06")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com", "A.example.com")); !errors.Is(err, acme.ErrDuplicateIdentifier) || f.ca.Count("") != 0 {
			t.Errorf("a duplicate: got %v after %d requests", err, f.ca.Count(""))
		}
		for name, names := range map[string][]string{
			"too many": {"a.example.com", "b.example.com", "c.example.com"},
			"too few":  {"a.example.com"},
			"others":   {"a.example.com", "*.b.example.com"},
		} {
			req := f.request("a.example.com", "b.example.com")
			req.CSR = func(context.Context, []acme.Identifier) ([]byte, error) { return csrFor(t, f.certKey, "", names), nil }
			if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrCSRMismatch) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if got := f.ca.Count(acmetest.KindFinalize); got != 0 {
			t.Errorf("%d finalize requests", got)
		}
	})
}

// orderNotReady, although the order goes on: the client reads the order and does
// what its status says (§7.4).
func TestOrderNotReady(t *testing.T) {
	conformance.Claim(t, "8555-7.4-09")
	t.Parallel()
	for status, issuance := range map[acme.Status]time.Duration{acme.StatusProcessing: time.Minute, acme.StatusValid: 0} {
		t.Run(string(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{IssuanceTime: issuance})
				seen := f.arrivals(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Edit: func(int, http.Header, []byte) (int, []byte) {
					return http.StatusForbidden, []byte(`{"type":"urn:ietf:params:acme:error:orderNotReady"}`)
				}}), acmetest.KindFinalize, acmetest.KindOrder, acmetest.KindCertificate)
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				at := slices.IndexFunc(seen(), func(r arrival) bool { return r.Kind == acmetest.KindFinalize })
				if next := seen()[at+1]; next.URL != f.ca.Orders()[0].URL || !f.isPostAsGet(next.Request) {
					t.Errorf("then %s %s with %q", next.Method, next.URL, next.Payload)
				}
				if got := f.ca.Count(acmetest.KindFinalize); got != 1 {
					t.Errorf("%d finalize requests", got)
				}
				// By the steps, too.
				o := f.order("b.example.com")
				if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
					t.Fatal(err)
				}
				if o, err = f.account.FinalizeOrder(t.Context(), o, csrFor(t, f.certKey, "", []string{"b.example.com"})); err != nil || o.Status != status {
					t.Errorf("got %+v, %v, want %s", o, err, status)
				}
			})
		})
	}
}

// A finalize request leaves the order pending, by a 200 or by orderNotReady: the
// client fulfils what is pending instead of waiting for ever (§7.4).
func TestFinalizedOrderIsPending(t *testing.T) {
	conformance.Claim(t, "8555-7.4-12")
	t.Parallel()
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprint("refused ", refused), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				var order []byte // as the CA has it
				f.fault(acmetest.Faults(
					acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Edit: func(status int, _ http.Header, body []byte) (int, []byte) {
						order = bytes.Clone(body)
						return status, bytes.Replace(body, []byte(`"pending"`), []byte(`"ready"`), 1)
					}}),
					acmetest.FaultOnce(acmetest.KindFinalize, acmetest.Fault{Edit: func(status int, _ http.Header, body []byte) (int, []byte) {
						if status != http.StatusForbidden || !bytes.Contains(body, []byte("orderNotReady")) {
							t.Errorf("the CA answered %d %s", status, body)
						}
						if refused {
							return status, body
						}
						return http.StatusOK, order
					}}),
				))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				cert, err := f.account.Obtain(ctx, f.request("a.example.com", "b.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com", "b.example.com")
				if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
					t.Errorf("%d orders", got)
				}
				if got := len(f.signedRequests(acmetest.KindChallenge)); got != 2 {
					t.Errorf("%d challenges were answered", got)
				}
			})
		})
	}
}

// After badCSR the same order takes another CSR (§7.4).
func TestAmendedCSR(t *testing.T) {
	conformance.Claim(t, "8555-7.4-10")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		f.fault(acmetest.FaultOnce(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadCSR), Detail: "no P-256, please"}}))
		o := f.order("a.example.com")
		_, err := f.account.FinalizeOrder(t.Context(), o, csrFor(t, newKey(t), "", []string{"a.example.com"}))
		if !errors.Is(err, acme.ErrBadCSR) || problemIn(t, err).Detail != "no P-256, please" {
			t.Errorf("first: %v", err)
		}
		if o, err = f.account.FinalizeOrder(t.Context(), o, csrFor(t, f.certKey, "", []string{"a.example.com"})); err != nil {
			t.Fatal(err)
		}
		cert, err := f.account.Certificate(t.Context(), o.CertificateURL)
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com")
		if sent := f.signedRequests(acmetest.KindFinalize); len(sent) != 2 || sent[0].URL != sent[1].URL || bytes.Equal(sent[0].Payload, sent[1].Payload) {
			t.Errorf("%d finalize requests, or to several orders, or twice the same", len(sent))
		}
	})
}

// An order that becomes invalid after finalize is abandoned (§7.4).
func TestInvalidAfterFinalize(t *testing.T) {
	conformance.Claim(t, "8555-7.4-11")
	t.Parallel()
	for _, issuance := range []time.Duration{0, 3 * time.Second} {
		t.Run(issuance.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{IssuanceTime: issuance, IssuanceError: &acmetest.Problem{Type: string(acme.ErrCAA), Detail: "forbidden by CAA"}})
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				failed, ok := errors.AsType[*acme.OrderError](err)
				if !ok || failed.Order.Status != acme.StatusInvalid || !errors.Is(err, acme.ErrCAA) || problemIn(t, err).Detail != "forbidden by CAA" {
					t.Fatalf("got %v", err)
				}
				kinds := f.kinds()
				if kinds[acmetest.KindFinalize] != 1 || kinds[acmetest.KindNewOrder] != 1 || kinds[acmetest.KindCertificate] != 0 {
					t.Errorf("requests: %v", kinds)
				}
				last := f.ca.Requests()[len(f.ca.Requests())-1]
				if want := map[bool]acmetest.Kind{true: acmetest.KindFinalize, false: acmetest.KindOrder}[issuance == 0]; last.Kind != want {
					t.Errorf("the last request is %s, want %s to be the last", last.Kind, want)
				}
			})
		})
	}
}

// After finalize the client waits as long as the server asks for, polls the URL
// that it knows of newOrder, and downloads when the order is valid (§7.4).
func TestProcessingOrder(t *testing.T) {
	conformance.Claim(t, "8555-7.4-14", "8555-7.4-15", "8555-7.4-16")
	t.Parallel()
	for _, issuance := range []time.Duration{0, 5 * time.Second} {
		for _, ask := range []string{"nothing", "seconds", "date"} {
			t.Run(fmt.Sprint("Retry-After ", ask, ", issued after ", issuance), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{IssuanceTime: issuance, OmitLocation: true})
					finalized := false
					seen := f.arrivals(func(r acmetest.Request) *acmetest.Fault {
						finalized = finalized || r.Kind == acmetest.KindFinalize
						if ask == "nothing" || !finalized || r.Kind != acmetest.KindFinalize && r.Kind != acmetest.KindOrder {
							return nil
						}
						return &acmetest.Fault{Header: retryAfterHeader(2, ask == "date")}
					}, acmetest.KindNewOrder, acmetest.KindFinalize, acmetest.KindOrder, acmetest.KindCertificate)
					cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
					if err != nil {
						t.Fatal(err)
					}
					f.verify(cert, "a.example.com")
					after := seen()[slices.IndexFunc(seen(), func(r arrival) bool { return r.Kind == acmetest.KindFinalize }):]
					polls, download := after[1:len(after)-1], after[len(after)-1]
					if issuance == 0 && len(polls) != 0 || issuance != 0 && len(polls) == 0 {
						t.Errorf("%d polls", len(polls))
					}
					last := after[0].at
					for _, poll := range polls {
						if poll.URL != f.ca.Orders()[0].URL || !f.isPostAsGet(poll.Request) {
							t.Errorf("polled %s %s with %q", poll.Method, poll.URL, poll.Payload)
						}
						if gap := poll.at.Sub(last); ask != "nothing" && gap < 2*time.Second || gap > 6*time.Second {
							t.Errorf("polled after %v", gap)
						}
						last = poll.at
					}
					if download.URL != f.ca.Orders()[0].CertificateURL || !f.isPostAsGet(download.Request) {
						t.Errorf("then %s %s with %q", download.Method, download.URL, download.Payload)
					}
				})
			})
		}
	}
}

// An order that the server refuses is a Problem with all its subproblems (§7.4).
func TestRefusedOrder(t *testing.T) {
	conformance.Claim(t, "8555-7.4-17")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{RejectIdentifiers: []string{"bad.example.com", "worse.example.com"}})
		_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("good.example.com", "bad.example.com", "worse.example.com")})
		p := problemIn(t, err)
		if !errors.Is(err, acme.ErrRejectedIdentifier) || p.Detail == "" || len(p.Subproblems) != 2 {
			t.Fatalf("got %+v", p)
		}
		for i, name := range []string{"bad.example.com", "worse.example.com"} {
			if s := p.Subproblems[i]; s.Type != acme.ErrRejectedIdentifier || s.Identifier != acme.DNS(name)[0] || !strings.Contains(err.Error(), name) {
				t.Errorf("subproblem %d: %+v of %v", i, s, err)
			}
		}
		f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Problem: &acmetest.Problem{
			Type: string(acme.ErrMalformed), Detail: "notBefore cannot be chosen",
			Subproblems: []acmetest.Subproblem{{Type: string(acme.ErrMalformed), Detail: "leave notBefore out"}},
		}}))
		_, err = f.account.Obtain(t.Context(), f.request("good.example.com"))
		p = problemIn(t, err)
		if p.Type != acme.ErrMalformed || p.Detail != "notBefore cannot be chosen" || len(p.Subproblems) != 1 || p.Subproblems[0].Detail != "leave notBefore out" {
			t.Errorf("got %+v", p)
		}
	})
}

// Pre-authorization names the exact identifier; the answer's Location and body
// are the authorization, also of one that exists (§7.4.1, erratum 5861).
func TestNewAuthorizationRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.4.1-01", "8555-7.4.1-03")
	t.Parallel()
	for _, status := range []int{http.StatusCreated, http.StatusOK} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				want := acme.StatusPending
				if status == http.StatusOK {
					want = acme.StatusValid
					valid := acmetest.EditJSON(func(m map[string]any) { m["status"] = "valid" })
					f.fault(acmetest.FaultAlways(acmetest.KindNewAuthz, acmetest.Fault{Edit: func(_ int, h http.Header, body []byte) (int, []byte) {
						return valid.Edit(status, h, body)
					}}))
				}
				id := acme.DNS("www.example.org")[0]
				z, err := f.account.NewAuthorization(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if z.Status != want || z.Identifier != id || z.Wildcard || len(z.Challenges) != 3 {
					t.Errorf("got %+v", z)
				}
				if urls := f.ca.Authorizations(""); len(urls) != 1 || z.URL != urls[0] {
					t.Errorf("the authorization is %q, want %q", z.URL, urls)
				}
				dir, err := f.client.Directory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r := f.only(acmetest.KindNewAuthz)
				m := objectOf(t, r.Payload)
				hasMembers(t, m, "identifier")
				if r.Method != http.MethodPost || r.URL != dir.NewAuthzURL || string(m["identifier"]) != `{"type":"dns","value":"www.example.org"}` {
					t.Errorf("%s %s with %s", r.Method, r.URL, r.Payload)
				}
				if read, err := f.account.Authorization(t.Context(), z.URL); err != nil || read.Identifier != id {
					t.Errorf("reading it: %+v, %v", read, err)
				}
			})
		})
	}
}

// A certificate is downloaded by POST-as-GET; its chain is read whatever the
// parameters and the case of the type (§7.4.2).
func TestCertificateDownload(t *testing.T) {
	conformance.Claim(t, "8555-7.4.2-01", "8555-7.4.2-02", "8555-7.4.2-03")
	t.Parallel()
	for _, contentType := range []string{
		"application/pem-certificate-chain", "application/pem-certificate-chain; charset=utf-8", "Application/PEM-Certificate-Chain",
	} {
		t.Run(contentType, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Header: http.Header{"Content-Type": {contentType}}}))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if err != nil {
					t.Fatal(err)
				}
				r := f.only(acmetest.KindCertificate)
				if r.URL != f.ca.Orders()[0].CertificateURL || !f.isPostAsGet(r) {
					t.Errorf("%s %s with %q", r.Method, r.URL, r.Payload)
				}
				if got := r.Header.Values("Accept"); !slices.Equal(got, []string{"application/pem-certificate-chain"}) {
					t.Errorf("Accept %q", got)
				}
				chain, err := cert.Chain()
				if err != nil || len(chain) != 2 {
					t.Fatalf("%d certificates: %v", len(chain), err)
				}
				if !chain[0].Equal(f.ca.Issued()[0]) || chain[0].CheckSignatureFrom(chain[1]) != nil || chain[1].CheckSignatureFrom(f.ca.Root(0)) != nil {
					t.Error("not the leaf and what certifies it, in that order")
				}
			})
		})
	}
}

// Alternate chains are found however the Link fields are written, and fetched by
// POST-as-GET; the caller chooses (§7.4.2).
func TestAlternateChains(t *testing.T) {
	conformance.Claim(t, "8555-7.4.2-04")
	t.Parallel()
	for name, tt := range map[string]struct {
		fields []string // %[1]s and %[2]s are the URLs, %[3]s and %[4]s their paths, %[5]s and %[6]s relative to the certificate
		want   int
	}{
		"none":            {[]string{`<https://ca.test/directory>;rel="index"`}, 0},
		"one":             {[]string{`<https://ca.test/directory>;rel="index"`, `<%[1]s>;rel="alternate"`}, 1},
		"several fields":  {[]string{`<%[1]s>;rel="alternate"`, `<https://ca.test/directory>;rel="index"`, `<%[2]s>;rel="alternate"`}, 2},
		"one field":       {[]string{`<https://ca.test/directory>;rel="index", <%[1]s>;rel="alternate",<%[2]s>; rel=alternate`}, 2},
		"parameters":      {[]string{`<%[1]s>; title="a, \"b\"; c"; rel="alternate"; type="application/pem-certificate-chain"`, `<%[2]s> ; x ; REL="other alternate"`}, 2},
		"absolute paths":  {[]string{`<%[3]s>;rel="alternate"`, `<%[4]s>;rel="alternate"`}, 2},
		"relative paths":  {[]string{`<%[5]s>;rel="alternate", <%[6]s>;rel="alternate"`}, 2},
		"other relations": {[]string{`<%[1]s>;rel="up"`, `<%[2]s>;rel="alternates"`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true, AlternateChains: 2})
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind != acmetest.KindCertificate {
						return nil
					}
					u, err := url.Parse(f.ca.Orders()[0].CertificateURL)
					if err != nil {
						t.Error(err)
					}
					id := u.Path[strings.LastIndex(u.Path, "/")+1:]
					var fields []string
					for _, field := range tt.fields {
						text := fmt.Sprintf(field, u.String()+"/1", u.String()+"/2", u.Path+"/1", u.Path+"/2", id+"/1", id+"/2")
						text, _, _ = strings.Cut(text, "%!(EXTRA")
						fields = append(fields, text)
					}
					return &acmetest.Fault{Header: http.Header{"Link": fields}}
				})
				req := f.request("a.example.com")
				req.Solvers = nil
				cert, err := f.account.Obtain(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				certificateURL := f.ca.Orders()[0].CertificateURL
				if want := []string{certificateURL + "/1", certificateURL + "/2"}[:tt.want]; !slices.Equal(cert.AlternateURLs, want) {
					t.Fatalf("alternates %q, want %q", cert.AlternateURLs, want)
				}
				f.ca.Reset()
				n := 0
				for c, err := range f.account.Certificates(t.Context(), cert.URL) {
					if err != nil {
						t.Fatal(err)
					}
					chain, err := c.Chain()
					if err != nil {
						t.Fatal(err)
					}
					if !chain[0].Equal(f.ca.Issued()[0]) || chain[1].CheckSignatureFrom(f.ca.Root(n)) != nil {
						t.Errorf("chain %d ends in another root", n)
					}
					n++
				}
				for i, r := range f.ca.Requests() {
					if want := append([]string{certificateURL}, cert.AlternateURLs...)[i]; r.URL != want || !f.isPostAsGet(r) {
						t.Errorf("download %d: %s %s", i, r.Method, r.URL)
					}
				}
				if n != 1+tt.want || f.ca.Count("") != n {
					t.Errorf("%d chains by %d requests", n, f.ca.Count(""))
				}
			})
		})
	}
}

// A renewed certificate comes of a new order (§7.4.2).
func TestRenewalIsANewOrder(t *testing.T) {
	conformance.Claim(t, "8555-7.4.2-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ReuseAuthorizations: true})
		req := f.request("a.example.com")
		first, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(60 * 24 * time.Hour)
		f.ca.Reset()
		second, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if r := f.only(acmetest.KindCertificate); r.URL != second.URL || second.URL == first.URL {
			t.Errorf("%s was downloaded again", r.URL)
		}
		if f.ca.Count(acmetest.KindNewOrder) != 1 || len(f.ca.Issued()) != 2 || bytes.Equal(first.PEM, second.PEM) {
			t.Errorf("%d new orders, %d certificates", f.ca.Count(acmetest.KindNewOrder), len(f.ca.Issued()))
		}
		f.verify(second, "a.example.com")
	})
}

// A revocation request has the certificate in DER and the reason if there is
// one, and is signed by the account or by the certificate's key (§7.6).
func TestRevocationRequest(t *testing.T) {
	conformance.Claim(t, "8555-7.6-01", "8555-7.6-02", "8555-7.6-03")
	t.Parallel()
	for _, byAccount := range []bool{true, false} {
		for _, reason := range []acme.RevocationReason{acme.ReasonUnspecified, acme.ReasonKeyCompromise, acme.ReasonAACompromise} {
			t.Run(fmt.Sprintf("by account %v, reason %d", byAccount, reason), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{PreValidated: true})
					cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
					if err != nil {
						t.Fatal(err)
					}
					f.ca.Reset()
					client := f.newClient() // which knows no account
					if byAccount {
						err = f.account.RevokeCertificate(t.Context(), cert.PEM, reason)
					} else {
						err = client.RevokeCertificate(t.Context(), f.certKey, cert.PEM, reason)
					}
					if err != nil {
						t.Fatal(err)
					}
					dir, err := client.Directory(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					r := f.only(acmetest.KindRevokeCert)
					if r.Method != http.MethodPost || r.URL != dir.RevokeCertURL {
						t.Errorf("%s %s", r.Method, r.URL)
					}
					header := objectOf(t, r.Protected)
					if byAccount {
						hasMembers(t, header, "alg", "kid", "nonce", "url")
					} else {
						hasMembers(t, header, "alg", "jwk", "nonce", "url")
					}
					if byAccount && r.AccountURL != f.account.URL() || f.ca.Count(acmetest.KindNewAccount) != 0 {
						t.Errorf("signed by account %q", r.AccountURL)
					}
					m := objectOf(t, r.Payload)
					leaf := f.ca.Issued()[0]
					if got := octetsOf(t, m["certificate"]); !bytes.Equal(got, leaf.Raw) {
						t.Errorf("certificate %x, want %x", got, leaf.Raw)
					}
					code, revoked := f.ca.Revoked(leaf)
					if reason == acme.ReasonUnspecified {
						hasMembers(t, m, "certificate")
						code++ // -1: none
					} else {
						hasMembers(t, m, "certificate", "reason")
					}
					if got := string(m["reason"]); code != int(reason) || !revoked || reason != 0 && got != fmt.Sprint(int(reason)) {
						t.Errorf("reason %s, revoked %v with %d", got, revoked, code)
					}
				})
			})
		}
	}
}

// Numbers that are no reason code (RFC 5280 §5.3.1) are not sent (§7.6).
func TestRevocationReasonsThatAreNone(t *testing.T) {
	conformance.Claim(t, "8555-7.6-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		f.ca.Reset()
		for _, reason := range []acme.RevocationReason{-1, 7, 11, 256} {
			if err := f.account.RevokeCertificate(t.Context(), cert.PEM, reason); !errors.Is(err, acme.ErrBadRevocationReason) {
				t.Errorf("reason %d: %v", reason, err)
			}
			if err := f.client.RevokeCertificate(t.Context(), f.certKey, cert.PEM, reason); !errors.Is(err, acme.ErrBadRevocationReason) {
				t.Errorf("reason %d, by the certificate's key: %v", reason, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

// The answers to a revocation request are told apart (§7.6).
func TestRevocationAnswers(t *testing.T) {
	conformance.Claim(t, "8555-7.6-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		kinds := []acme.ProblemType{acme.ErrAlreadyRevoked, acme.ErrBadRevocationReason, acme.ErrUnauthorized}
		for _, kind := range kinds {
			f.fault(acmetest.FaultAlways(acmetest.KindRevokeCert, acmetest.Fault{Problem: &acmetest.Problem{Type: string(kind), Detail: "for a reason"}}))
			err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded)
			for _, other := range kinds {
				if errors.Is(err, other) != (other == kind) {
					t.Errorf("%s: got %v", kind, err)
				}
			}
			if problemIn(t, err).Detail != "for a reason" {
				t.Errorf("%s: got %v", kind, err)
			}
		}
		f.fault(acmetest.FaultAlways(acmetest.KindRevokeCert, acmetest.Fault{Status: http.StatusOK, Header: http.Header{"Content-Length": {"0"}}}))
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded); err != nil {
			t.Errorf("200 without a body: %v", err)
		}
	})
}
