package pebble_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

func TestNonceReject(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{NonceReject: 50})
	c := account(ctx, t, s)
	before := s.Requests()
	for range 50 {
		if _, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers("nonce.example")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Requests() - before; n < 65 || n > 180 { // 100 are to be expected
		t.Errorf("%d requests for 50 orders", n)
	}

	ctx, s, _ = start(t, pebble.Options{})
	c = account(ctx, t, s)
	before = s.Requests()
	for range 50 {
		if _, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers("nonce.example")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Requests() - before; n != 50 {
		t.Errorf("%d requests for 50 orders without rejections", n)
	}
}

func TestAuthorizationReuse(t *testing.T) {
	t.Parallel()
	for percent, want := range map[int][2]int{0: {0, 0}, 50: {25, 75}, 100: {100, 100}} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			t.Parallel()
			ctx, s, r := start(t, pebble.Options{AuthorizationReuse: percent})
			c := account(ctx, t, s)
			if _, _, err := c.obtain(ctx, "http-01", r.solve, "reuse.example"); err != nil {
				t.Fatal(err)
			}
			reused := 0
			for range 100 {
				o, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers("reuse.example")})
				if err != nil {
					t.Fatal(err)
				}
				if o.Status == "ready" {
					reused++
				}
			}
			if reused < want[0] || reused > want[1] {
				t.Errorf("%d of 100 authorizations reused", reused)
			}
		})
	}
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	mac := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	ctx, s, _ := start(t, pebble.Options{ExternalAccounts: map[string]string{"kid-1": mac}, ExternalAccountRequired: true})
	c, err := newClient(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if c.directory.Meta["externalAccountRequired"] != true {
		t.Errorf("meta %v", c.directory.Meta)
	}
	if err := c.register(ctx, nil); err == nil || !strings.Contains(err.Error(), ":externalAccountRequired") {
		t.Error(err)
	}
	for _, wrong := range [][2]string{{"kid-2", mac}, {"kid-1", mac[1:] + "A"}} {
		binding, err := c.binding(wrong[0], wrong[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.register(ctx, binding); err == nil || !strings.Contains(err.Error(), ":unauthorized") {
			t.Error(err)
		}
	}
	binding, err := c.binding("kid-1", mac)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.register(ctx, binding); err != nil {
		t.Error(err)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{Profiles: map[string]pebble.Profile{
		"short": {Description: "Six days", Validity: 6 * 24 * time.Hour},
		"named": {PromoteCommonName: true},
	}})
	c := account(ctx, t, s)
	for name, want := range map[string]time.Duration{"short": 6 * 24 * time.Hour, "named": 90 * 24 * time.Hour} {
		request := map[string]any{"identifiers": identifiers("profile.example"), "profile": name}
		_, chain, err := c.obtainOrder(ctx, request, "http-01", r.solve, "profile.example")
		if err != nil {
			t.Fatal(err)
		}
		if got := chain[0].NotAfter.Sub(chain[0].NotBefore) + time.Second; got != want {
			t.Errorf("%s: valid for %v", name, got)
		}
		if (chain[0].Subject.CommonName != "") != (name == "named") {
			t.Errorf("%s: subject %v", name, chain[0].Subject)
		}
	}
	resp, err := c.post(ctx, c.directory.NewOrder, map[string]any{"identifiers": identifiers("profile.example"), "profile": "none"})
	refused(t, resp, err, "invalidProfile")
	if offered := fmt.Sprint(c.directory.Meta["profiles"]); offered != "map[named: short:Six days]" {
		t.Error(offered)
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ecdsa", "rsa"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			ctx, s, r := start(t, pebble.Options{KeyAlgorithm: algorithm, AlternateRoots: 2, ChainLength: 2})
			c := account(ctx, t, s)
			url, chain, err := c.obtain(ctx, "http-01", r.solve, "chain.example")
			if err != nil {
				t.Fatal(err)
			}
			_, alternates, err := c.chain(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			if len(chain) != 3 || len(alternates) != 2 {
				t.Fatalf("%d certificates, %d alternates", len(chain), len(alternates))
			}
			verify(t, chain, s.Root(0), "chain.example")
			for i, alternate := range alternates {
				chain, _, err := c.chain(ctx, alternate)
				if err != nil {
					t.Fatal(err)
				}
				verify(t, chain, s.Root(i+1), "chain.example")
			}
			if s.Root(3) != nil || s.Root(-1) != nil {
				t.Error("more roots than there should be")
			}
		})
	}
}

func TestShowProcessing(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{ShowProcessing: true, RetryAfterOrder: 2})
	c := account(ctx, t, s)
	o, _ := c.open(ctx, t, "slow.example")
	o, err := c.authorize(ctx, o, "http-01", r.solve)
	if err != nil {
		t.Fatal(err)
	}
	if o, err = c.finalize(ctx, o, "slow.example"); err != nil {
		t.Fatal(err)
	}
	if o, err = c.order(ctx, o.url); err != nil || o.Status != "processing" || o.header.Get("Retry-After") == "" {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = c.wait(ctx, o.url, "processing"); err != nil || o.Status != "valid" {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestProcessingForEver looks whether finalize is answered soon when there is
// no certificate to wait for.
func TestProcessingForEver(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{})
	c := account(ctx, t, s)
	o, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers("never.example"), "notBefore": "tomorrow"})
	if err != nil {
		t.Fatal(err)
	}
	if o, err = c.authorize(ctx, o, "http-01", r.solve); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if o, err = c.finalize(ctx, o, "never.example"); err != nil {
		t.Fatal(err)
	}
	if o, err = c.order(ctx, o.url); err != nil || o.Status != "processing" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestOrdersPerPage(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{OrdersPerPage: 5})
	c := account(ctx, t, s)
	for range 7 {
		c.open(ctx, t, "page.example")
	}
	var info struct{ Orders string }
	if _, err := c.fetch(ctx, c.account, &info); err != nil {
		t.Fatal(err)
	}
	var list struct{ Orders []string }
	resp, err := c.fetch(ctx, info.Orders, &list)
	if err != nil || len(list.Orders) != 5 || !strings.Contains(fmt.Sprint(resp.Header["Link"]), `rel="next"`) {
		t.Errorf("%v, %v, %v", list, resp.Header["Link"], err)
	}
}

// TestRenewal replaces a certificate while the old order is polled, sets
// renewal information and revokes.
func TestRenewal(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{})
	c := account(ctx, t, s)
	_, chain, err := c.obtain(ctx, "http-01", r.solve, "renew.example")
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	id := encode(chain[0].AuthorityKeyId) + "." + encode(chain[0].SerialNumber.Bytes())
	request := map[string]any{"identifiers": identifiers("renew.example"), "replaces": id}

	nothing := func(*client, *authorization, challenge) {}
	if _, _, err := c.obtainOrder(ctx, request, "http-01", nothing, "renew.example"); err == nil {
		t.Error("a certificate without a challenge fulfilled")
	}
	if _, _, err := c.obtainOrder(ctx, request, "http-01", r.solve, "renew.example"); err != nil {
		t.Fatal(err)
	}
	resp, err := c.post(ctx, c.directory.NewOrder, request)
	refused(t, resp, err, "alreadyReplaced")

	const answer = "no JSON"
	if err := s.SetRenewalInfo(chain[0], answer); err != nil {
		t.Error(err)
	}
	if resp, err := c.send(ctx, http.MethodGet, c.directory.RenewalInfo+"/"+id, nil); err != nil {
		t.Error(err)
	} else if body := new(bytes.Buffer); true {
		if _, err := body.ReadFrom(resp.Body); err != nil || body.String() != answer {
			t.Errorf("%q, %v", body, err)
		}
	}
	if err := s.SetRenewalInfo(&x509.Certificate{SerialNumber: big.NewInt(1)}, answer); err == nil {
		t.Error("renewal information for an unknown certificate")
	}

	if _, revoked := s.Revoked(chain[0]); revoked {
		t.Error("revoked")
	}
	if _, err := c.post(ctx, c.directory.RevokeCert, map[string]any{"certificate": encode(chain[0].Raw), "reason": 4}); err != nil {
		t.Error(err)
	}
	if reason, revoked := s.Revoked(chain[0]); !revoked || reason != 4 {
		t.Errorf("%d, %v", reason, revoked)
	}
	resp, err = s.Client().Get(s.ManagementURL() + "/cert-status-by-serial/" + fmt.Sprintf("%x", chain[0].SerialNumber))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var result struct{ Status string }
	if err := json.NewDecoder(resp.Body).Decode(&result); err != nil || result.Status != "Revoked" {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var text bytes.Buffer
	w := writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	})
	ctx, s, r := start(t, pebble.Options{Log: log.New(w, "", 0)})
	c := account(ctx, t, s)
	if _, _, err := c.obtain(ctx, "http-01", r.solve, "log.example"); err != nil {
		t.Fatal(err)
	}
	nothing := func(*client, *authorization, challenge) {}
	if _, _, err := c.obtain(ctx, "http-01", nothing, "wrong.example"); err == nil {
		t.Error("a certificate without a challenge fulfilled")
	}
	mu.Lock()
	defer mu.Unlock()
	// The server depends on the first three lines, see background.go.
	for _, want := range []string{
		`va: authz \S+ set INVALID by completed challenge \S+`,
		`va: order \S+ set INVALID by invalid authz \S+`,
		`ca: Issued certificate serial \S+ for order \S+`,
		`wfe: Configured to reject 0% of good nonces`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(text.String()) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
}

// TestPaths compares the paths that front.go knows with Pebble's.
func TestPaths(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{})
	c := account(ctx, t, s)
	o, a := c.open(ctx, t, "path.example")
	for url, want := range map[string]string{
		c.directory.NewOrder:  "/order-plz",
		c.directory.KeyChange: "/rollover-account-key",
		o.url:                 "/my-order/",
		o.Finalize:            "/finalize-order/",
		a.url:                 "/authZ/",
		a.Challenges[0].URL:   "/chalZ/",
	} {
		if path := strings.TrimPrefix(url, strings.TrimSuffix(s.DirectoryURL(), "/dir")); !strings.HasPrefix(path, want) {
			t.Errorf("%s is not below %s", url, want)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]pebble.Options{
		"NonceReject 101":        {NonceReject: 101},
		"AuthorizationReuse -1":  {AuthorizationReuse: -1},
		"ChainLength -1":         {ChainLength: -1},
		"HTTPPort 65536":         {HTTPPort: 65536},
		`KeyAlgorithm "dsa"`:     {KeyAlgorithm: "dsa"},
		"no number of seconds":   {Profiles: map[string]pebble.Profile{"p": {Validity: time.Millisecond}}},
		`external account "kid"`: {ExternalAccounts: map[string]string{"kid": "=="}},
	} {
		s, err := pebble.Start(opts)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "pebble: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestEnvironment sees to it that settings come from the options only, and
// that nothing of them stays behind.
func TestEnvironment(t *testing.T) {
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "100")
	if err := os.Unsetenv("PEBBLE_AUTHZREUSE"); err != nil {
		t.Fatal(err)
	}
	ctx, s, _ := start(t, pebble.Options{})
	account(ctx, t, s)
	if value := os.Getenv("PEBBLE_WFE_NONCEREJECT"); value != "100" {
		t.Errorf("nonce rejection %q", value)
	}
	if value, set := os.LookupEnv("PEBBLE_AUTHZREUSE"); set {
		t.Errorf("authorization reuse %q", value)
	}
}
