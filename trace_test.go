package acme_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// The hooks tell the story of an issuance, in order.
func TestTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ValidationTime: 100 * time.Millisecond, IssuanceTime: 100 * time.Millisecond})
		var story []string
		var mu sync.Mutex
		tell := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			if line := fmt.Sprintf(format, args...); len(story) == 0 || story[len(story)-1] != line {
				story = append(story, line)
			}
		}
		trace := &acme.Trace{
			Request: func(r acme.RequestInfo) {
				if r.Err != nil {
					tell("%s failed: %d", r.Operation, r.StatusCode)
				}
			},
			Retry:               func(r acme.RetryInfo) { tell("retry %s %d", r.Operation, r.Attempt) },
			Wait:                func(w acme.WaitInfo) { tell("wait %s", w.Status) },
			OrderCreated:        func(o *acme.Order) { tell("created %s", o.Identifiers) },
			OrderStatus:         func(o *acme.Order) { tell("order %s", o.Status) },
			Present:             func(b []*acme.Attempt) { tell("present %v", b) },
			Presented:           func(b []*acme.Attempt, err error) { tell("presented %d %v", len(b), err) },
			Responded:           func(a *acme.Attempt, c *acme.Challenge, err error) { tell("responded %v %v", a, err) },
			AuthorizationFailed: func(err error) { tell("failed: %v", errors.Is(err, acme.ErrConnection)) },
			CleanedUp:           func(b []*acme.Attempt, err error) { tell("cleaned %d %v", len(b), err) },
			Deactivated:         func(u string, err error) { tell("deactivated %v %v", u != "", err) },
			CertificateIssued:   func(c *acme.Certificate) { tell("issued %v", len(c.PEM) > 0) },
		}
		outer := 0
		ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(*acme.Order) { outer++ }})
		ctx = acme.WithTrace(ctx, trace)
		ctx = acme.WithTrace(ctx, &acme.Trace{}) // all hooks are optional
		f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.Fault{Status: 502}))
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
		if _, err := f.account.Obtain(ctx, req); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"newOrder failed: 502", "retry newOrder 1", "created [a.example.com]", "order pending",
			"present [http-01 for a.example.com]", "presented 1 <nil>", "responded http-01 for a.example.com <nil>",
			"order pending", "wait pending", "order pending", "wait pending", "order invalid", "cleaned 1 <nil>", "failed: true",
			"created [a.example.com]", "order pending",
			"present [dns-01 for a.example.com]", "presented 1 <nil>", "responded dns-01 for a.example.com <nil>",
			"order pending", "wait pending", "order pending", "wait pending", "order ready", "cleaned 1 <nil>",
			"order processing", "wait processing", "order processing", "wait processing", "order valid", "issued true",
		}
		if !slices.Equal(story, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
		}
		if outer != 2 {
			t.Errorf("the outer trace was called %d times", outer)
		}
	})
}

// Nothing secret is printed or logged, whatever goes wrong.
func TestRedact(t *testing.T) {
	t.Parallel()
	mac := []byte("a MAC key that nobody is to see!")
	key := newKey(t)
	c := &acme.Client{DirectoryURL: "https://ca.test/directory"}
	a := c.Account(key, "https://ca.test/account/7")
	eab := acme.ExternalAccount{KeyID: "kid-7", MACKey: mac}
	attempt := &acme.Attempt{
		AccountURL: a.URL(), Identifier: acme.DNS("a.example")[0], Challenge: &acme.Challenge{Type: acme.HTTP01, Token: "secret-token"},
		KeyAuthorization: a.KeyAuthorization("secret-token"), Thumbprint: "secret-thumbprint",
	}
	secrets := map[string]string{
		"MAC key": string(mac), "MAC key (base64)": base64.StdEncoding.EncodeToString(mac)[:20], "MAC key (base64url)": base64.RawURLEncoding.EncodeToString(mac)[:20],
		"MAC key (octets)": strings.Trim(fmt.Sprint(mac[:8]), "[]"), "MAC key (hex octets)": "0x61, 0x20, 0x4d", "token": "secret-token",
		"thumbprint": "secret-thumbprint",
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	for name, v := range map[string]any{
		"Client": c, "Account": a, "Account value": *a, "ExternalAccount": eab, "*ExternalAccount": &eab, "Attempt": attempt, "Attempt value": *attempt,
		"AccountRequest": acme.AccountRequest{ExternalAccount: &eab}, "batch": []*acme.Attempt{attempt}, "KeyAuthorization": slog.AnyValue(attempt.KeyAuthorization).Resolve(),
	} {
		log.Reset()
		logger.Info("x", "v", v)
		text := fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v)
		encoded, _ := json.Marshal(v)
		for what, secret := range secrets {
			for how, out := range map[string]string{"fmt": text, "slog": log.String(), "JSON": string(encoded)} {
				if strings.Contains(out, secret) {
					t.Errorf("%s: the %s is in the %s output: %s", name, what, how, out)
				}
			}
		}
		if strings.Contains(text, "PrivateKey") || strings.Contains(text, "D:") {
			t.Errorf("%s: a private key is in %s", name, text)
		}
	}
	for want, v := range map[string]any{"https://ca.test/account/7": a, "https://ca.test/directory": c, "kid-7": eab, "http-01 for a.example": attempt} {
		if got := fmt.Sprint(v); !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

// A whole issuance at Debug level, with everything that can go wrong, and none
// of the secrets in the log, the trace or the errors.
func TestNothingSecretIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mac := []byte("0123456789abcdef0123456789abcdef")
		f := newFixture(t, acmetest.Options{BadNonce: 0.2, Seed: 3, ExternalAccounts: map[string][]byte{"kid-1": mac}, Validate: func(_ context.Context, v acmetest.Validation) error {
			if v.Type == "http-01" {
				return errors.New("nobody answers")
			}
			return nil
		}})
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&lockedWriter{w: &out}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		f.client.Logger = log
		f.fault(acmetest.FaultEvery("", 7, acmetest.Fault{LoseResponse: true}))
		key := newKey(t)
		account, err := f.client.NewAccount(t.Context(), key, acme.AccountRequest{ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac}})
		if err != nil {
			t.Fatal(err)
		}
		req := f.request("a.example.com", "b.example.com")
		broken := &recorder{Solver: always(acme.DNS01), err: errors.New("record is gone")}
		req.Solvers = []acme.Solver{always(acme.HTTP01), broken}
		if _, err := account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Status: 403}))
		if err := account.DeactivateAuthorization(t.Context(), f.ca.Authorizations("")[0]); err == nil {
			t.Error("no error")
		}
		text := out.String()
		for _, want := range []string{`"level":"DEBUG","msg":"acme: request"`, `"level":"INFO","msg":"acme: order created"`, `"level":"WARN","msg":"acme: sending again"`,
			`"level":"WARN","msg":"acme: clean-up failed"`, `"acme.operation":"newOrder"`, `"acme.identifiers":"a.example.com, b.example.com"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is not in the log", want)
			}
		}
		for _, r := range f.ca.Requests() {
			for what, secret := range map[string]string{"nonce": r.Nonce, "payload": string(r.Payload), "protected header": string(r.Protected)} {
				if len(secret) > 4 && strings.Contains(text, secret) {
					t.Errorf("a %s is in the log: %s", what, secret)
				}
			}
		}
		for what, secret := range map[string]string{"MAC key": string(mac), "thumbprint": account.Thumbprint(), "signature": `"signature"`} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is in the log", what)
			}
		}
	})
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
