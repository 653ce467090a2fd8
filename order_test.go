package acme_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// Every row of §7.1.6, and a status that nobody knows.
func TestOrderTransitions(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-01", "8555-7.1.6-02", "8555-7.1.6-03")
	t.Parallel()
	for _, tt := range []struct {
		seen  []acme.Status // by one reading after the other
		until acme.Status
		final acme.Status // of an OrderError, "" for success
	}{
		{[]acme.Status{"ready"}, "ready", ""},
		{[]acme.Status{"pending", "pending", "ready"}, "ready", ""},
		{[]acme.Status{"pending", "invalid"}, "ready", "invalid"},
		{[]acme.Status{"pending", "processing", "valid"}, "valid", ""}, // states may never be seen
		{[]acme.Status{"ready", "ready", "processing", "valid"}, "valid", ""},
		{[]acme.Status{"processing", "invalid"}, "valid", "invalid"},
		{[]acme.Status{"pending", "valid"}, "ready", "valid"},
		{[]acme.Status{"hibernating", "", "valid"}, "valid", ""},
		{[]acme.Status{"processing", "canceled"}, "valid", "canceled"},
		{[]acme.Status{"invalid"}, "invalid", ""},
	} {
		t.Run(fmt.Sprint(tt.seen, " until ", tt.until), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				o := f.order("a.example.com")
				n := 0
				f.fault(acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) {
					m["status"] = string(tt.seen[n])
					n++
				})))
				got, err := f.account.WaitOrder(t.Context(), o.URL, tt.until)
				oe, failed := errors.AsType[*acme.OrderError](err)
				switch {
				case tt.final == "" && (err != nil || got.Status != tt.until || got.URL != o.URL):
					t.Errorf("got %+v, %v", got, err)
				case tt.final != "" && (!failed || oe.Order.Status != tt.final):
					t.Errorf("got %v, want an OrderError with %s", err, tt.final)
				}
				if n != len(tt.seen) {
					t.Errorf("read %d times, want %d", n, len(tt.seen))
				}
			})
		})
	}
}

func TestAuthorizationTransitions(t *testing.T) {
	conformance.Claim(t, "8555-7.1.4-01")
	t.Parallel()
	for _, tt := range []struct {
		seen []acme.Status
		ok   bool
	}{
		{[]acme.Status{"pending", "valid"}, true},
		{[]acme.Status{"valid"}, true},
		{[]acme.Status{"pending", "pending", "invalid"}, false},
		{[]acme.Status{"pending", "deactivated"}, false}, // x/crypto polled these for ever
		{[]acme.Status{"pending", "expired"}, false},
		{[]acme.Status{"pending", "revoked"}, false},
		{[]acme.Status{"dreaming", "", "valid"}, true},
	} {
		t.Run(fmt.Sprint(tt.seen), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				o := f.order("a.example.com")
				n := 0
				f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
					m["status"] = string(tt.seen[n])
					n++
				})))
				z, err := f.account.WaitAuthorization(t.Context(), o.AuthorizationURLs[0])
				ze, failed := errors.AsType[*acme.AuthorizationError](err)
				last := tt.seen[len(tt.seen)-1]
				if tt.ok && (err != nil || z.Status != last) || !tt.ok && (!failed || ze.Authorization.Status != last) {
					t.Errorf("got %+v, %v", z, err)
				}
				if n != len(tt.seen) {
					t.Errorf("read %d times, want %d", n, len(tt.seen))
				}
			})
		})
	}
}

// A challenge that is invalid ends the wait though the authorization stays
// pending (step-ca), and an error while it is tried again does not.
func TestWaitAuthorizationLooksAtChallenges(t *testing.T) {
	conformance.Claim(t, "8555-7.1.6-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		set := func(status string) {
			f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
				c := m["challenges"].([]any)[0].(map[string]any)
				c["status"], c["error"] = status, map[string]any{"type": "connection", "detail": "refused"}
			})))
		}
		set("invalid")
		_, err := f.account.WaitAuthorization(t.Context(), o.AuthorizationURLs[0])
		if _, ok := errors.AsType[*acme.AuthorizationError](err); !ok || !errors.Is(err, acme.ErrConnection) {
			t.Errorf("got %v", err)
		}
		set("processing")
		ctx, cancel := contextWithTimeout(t, time.Minute)
		defer cancel()
		_, err = f.account.WaitAuthorization(ctx, o.AuthorizationURLs[0])
		w, ok := errors.AsType[*acme.WaitError](err)
		if !ok || w.Reason == nil || !errors.Is(err, acme.ErrConnection) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, want the reason for the delay", err)
		}
	})
}

// The fields that programs read, and those that servers get wrong.
func TestOrderFields(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		url := f.order("a.example.com").URL
		o := f.reads(acmetest.KindOrder, url, `{"status":"valid","expires":"2016-01-20T14:09:07.99Z","notBefore":"2016-01-01T00:00:00+02:00","notAfter":"",
			"identifiers":[{"type":"dns","value":"a.example","x":1}],"authorizations":null,"finalize":"https://ca.test/f","certificate":"/c",
			"profile":"p","replaces":"a.b","error":{},"auto-renewal":{"lifetime":5}}`)
		if o.Expires.Nanosecond() != 990_000_000 || o.NotBefore.UTC().Hour() != 22 || !o.NotAfter.IsZero() || len(o.Identifiers) != 1 ||
			o.AuthorizationURLs != nil || o.CertificateURL != "https://ca.test/c" || o.Profile != "p" || o.Replaces != "a.b" || o.Error == nil ||
			!strings.Contains(string(o.Raw), "auto-renewal") {
			t.Errorf("got %+v", o)
		}
		for _, odd := range []string{`{}`, `{"status":5}`, `{"identifiers":{}}`, `{"expires":"soon","error":"x","authorizations":[1]}`, ` {"error":null} `} {
			f.reads(acmetest.KindOrder, url, odd)
		}
	})
}

// reads has the CA answer body, and reads it as an order.
func (f *fixture) reads(kind acmetest.Kind, url, body string) *acme.Order {
	f.Helper()
	f.fault(acmetest.FaultAlways(kind, acmetest.Fault{Status: 200, Body: []byte(body)}))
	o, err := f.account.Order(f.Context(), url)
	if err != nil {
		f.Fatalf("%s: %v", body, err)
	}
	return o
}

func TestAuthorizationFields(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		url := f.order("a.example.com").AuthorizationURLs[0]
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Status: 200, Body: []byte(
			`{"status":"pending","identifier":{"type":"dns","value":"*.a.example"},"expires":null,"challenges":[null,5,{},
			{"type":"sectigo-email-01","url":"/s","status":"pending"},{"type":"http-01","url":"/h","token":"abc"},
			{"type":"dns-01","url":"/d","status":"invalid","error":{},"validated":"2016-01-20T14:09:07Z","token":5}]}`)}))
		z, err := f.account.Authorization(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if !z.Wildcard || z.Identifier.Value != "a.example" || len(z.Challenges) != 4 {
			t.Fatalf("got %+v", z)
		}
		if c := z.Challenges[2]; c.Status != acme.StatusPending || c.Token != "abc" || c.URL != "https://ca.test/h" { // Posh-ACME#227: no status
			t.Errorf("got %+v", c)
		}
		if c := z.Challenges[3]; c.Error == nil || c.Validated.Year() != 2016 || c.Token != "" { // ZeroSSL: "error":{}
			t.Errorf("got %+v", c)
		}
	})
}

// What json.Marshal writes of an object, json.Unmarshal reads: programs store
// them.
func TestObjectsCanBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), Website: "https://ca.test/"})
		var o *acme.Order
		ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderStatus: func(read *acme.Order) { o = read }})
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		z, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok {
			t.Fatal(err)
		}
		info, err := f.account.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dir, err := f.client.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stores(t, o)
		stores(t, z.Authorization)
		stores(t, info)
		stores(t, dir)
		stores(t, &acme.Certificate{URL: "u", PEM: []byte("p"), AlternateURLs: []string{"v"}})
	})
}

func stores[T any](t *testing.T, v *T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	again := new(T)
	if err := json.Unmarshal(data, again); err != nil || !reflect.DeepEqual(v, again) {
		t.Errorf("stored %+v, read %+v: %v", v, again, err)
	}
}

// The URL of an order comes from newOrder and nothing takes it away; what later
// readings leave out is kept (Entrust, in-house servers).
func TestOrderFieldsThatVanish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Second, IssuanceTime: time.Second, OmitLocation: true})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindOrder && r.Kind != acmetest.KindFinalize {
				return nil
			}
			fault := acmetest.EditJSON(func(m map[string]any) {
				m["identififiers"] = m["identifiers"]
				delete(m, "identifiers")
				delete(m, "finalize")
				m["authorizations"] = nil
			})
			return &fault
		})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com")
	})
}

func TestOddNewOrders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(map[string]any)
		want error
	}{
		"relative URLs": {func(m map[string]any) { m["finalize"] = strings.TrimPrefix(m["finalize"].(string), "https://ca.test") }, nil},
		"upper case": {func(m map[string]any) {
			m["identifiers"] = []any{map[string]any{"type": "dns", "value": "A.EXAMPLE.COM"}}
		}, nil},
		"without": {func(m map[string]any) { delete(m, "identifiers") }, nil},
		"others": {func(m map[string]any) {
			m["identifiers"] = []any{map[string]any{"type": "dns", "value": "b.example.com"}}
		}, acme.ErrMalformedResponse},
		"more":        {func(m map[string]any) { m["x"] = map[string]any{}; m["expires"] = "" }, nil},
		"no finalize": {func(m map[string]any) { delete(m, "finalize") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.EditJSON(tt.edit)))
				if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestFinalizeRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		csr, err := acme.NewCSR(f.certKey)(t.Context(), o.Identifiers)
		if err != nil {
			t.Fatal(err)
		}
		// Too early: the server says so, and the order is still pending.
		if _, err := f.account.FinalizeOrder(t.Context(), o, csr); !errors.Is(err, acme.ErrOrderNotReady) {
			t.Errorf("pending: %v", err)
		}
		if got := f.ca.Count(acmetest.KindFinalize); got != 1 {
			t.Errorf("sent %d times", got)
		}
		if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
			t.Fatal(err)
		}
		bare := *o
		bare.FinalizeURL = ""
		if _, err := f.account.FinalizeOrder(t.Context(), &bare, csr); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("no finalize URL: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.EditJSON(func(m map[string]any) {
			m["status"], m["error"] = "invalid", map[string]any{"type": "caa", "detail": "forbidden"}
		})))
		if _, err := f.account.FinalizeOrder(t.Context(), o, csr); !errors.Is(err, acme.ErrCAA) {
			t.Errorf("invalid at once: %v", err)
		}
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{LoseResponse: true}),
			acmetest.FaultAlways(acmetest.KindOrder, acmetest.Fault{Status: 403}),
		))
		if _, err := f.account.FinalizeOrder(t.Context(), o, csr); problemIn(t, err).Status != 403 {
			t.Errorf("lost, and the look refused: %v", err)
		}
	})
}

func TestRespondChallengeLooksFirst(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(acmetest.Request) *acmetest.Fault{
		"answer lost":              acmetest.FaultKind(acmetest.KindChallenge, 1, acmetest.Fault{LoseResponse: true}),
		"request lost":             acmetest.FaultKind(acmetest.KindChallenge, 1, acmetest.Fault{LoseRequest: true}),
		"answer lost, look failed": acmetest.FaultSequence(acmetest.KindChallenge, acmetest.Fault{LoseResponse: true}, acmetest.Fault{Status: 405}),
		"no body": acmetest.FaultKind(acmetest.KindChallenge, 1, acmetest.Fault{Edit: func(s int, _ http.Header, _ []byte) (int, []byte) {
			return s, nil
		}}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(fault)
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if lost := name == "answer lost, look failed"; lost != (err != nil) {
					t.Errorf("got %v", err)
				}
				if got := f.withPayload(acmetest.KindChallenge); got != 1 && name != "request lost" || got > 2 {
					t.Errorf("answered %d times", got)
				}
			})
		})
	}
}
