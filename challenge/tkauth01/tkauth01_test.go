package tkauth01_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

const (
	thumbprint  = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of all attempts of challengetest
	fingerprint = "SHA256 37:36:CB:B1:78:7C:B8:30:9C:77:EE:8C:37:05:C5:E1:6F:FB:9E:85:97:15:90:1F:1E:4C:59:B1:11:82:F5:7B"
	value       = "MAigBhYENzA5Sg" // the service provider code 709J
)

func numbers() acme.Identifier { return acme.Identifier{Type: acme.TypeTNAuthList, Value: value} }

func attempt() *acme.Attempt {
	return challengetest.NewAttempt(acme.TKAuth01, numbers(), "IlirfxKKXAsHtmzK29Pj8A")
}

// vectors reads testdata/vectors/name.json.
func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var v []T
	if err := json.Unmarshal(data, &v); err != nil || len(v) == 0 {
		t.Fatal("no vectors", err)
	}
	return v
}

type m = map[string]any

// claims are those of a token for the attempts here, less what is nil in changes.
func claims(r tkauth01.Request, changes m) m {
	all := m{
		"exp": time.Now().Add(time.Hour).Unix(), "jti": "id6098364921", "tktype": r.Identifier.Type, "tkvalue": r.Identifier.Value,
		"fingerprint": r.Fingerprint,
	}
	if r.CA {
		all["ca"] = true
	}
	maps.Copy(all, changes)
	atc := m{}
	for _, name := range []string{"tktype", "tkvalue", "fingerprint", "ca"} {
		if all[name] != nil {
			atc[name] = all[name]
		}
		delete(all, name)
	}
	if _, there := all["atc"]; !there {
		all["atc"] = atc
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// jwt makes a token with a signature that nobody can verify.
func jwt(header, payload any) string {
	encode := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return encode(header) + "." + encode(payload) + ".c2lnbmF0dXJl"
}

func es256() m { return m{"alg": "ES256", "typ": "JWT", "x5u": "https://authority.example/cert"} }

// grants is a Token that makes what is asked for.
func grants(_ context.Context, r tkauth01.Request) (string, error) {
	return jwt(es256(), claims(r, nil)), nil
}

func TestSolver(t *testing.T) {
	t.Parallel()
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver { return &tkauth01.Solver{Token: grants} },
		func(_ context.Context, a *acme.Attempt) error {
			r, _ := a.Response.(tkauth01.Response)
			token, err := tkauth01.ParseToken(r.TKAuth)
			if err != nil {
				return err
			}
			return token.Check(tkauth01.Request{Identifier: a.Identifier, Fingerprint: tkauth01.Fingerprint(a.Thumbprint)}, time.Now())
		})
}

// TestRedact: a token is not to end in a log, also in one that is JSON.
func TestRedact(t *testing.T) {
	t.Parallel()
	r := tkauth01.Response{TKAuth: "secret"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "r", r)
	if text := fmt.Sprintf("%v %+v %#v %s", r, r, r, r) + log.String(); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9448-5.4-02")
	for _, v := range vectors[struct{ Name, Thumbprint, Fingerprint string }](t, "fingerprints") {
		if got := tkauth01.Fingerprint(v.Thumbprint); got != v.Fingerprint {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Fingerprint)
		}
	}
	for _, bad := range []string{"", "a", "AAAA", thumbprint + "=", thumbprint + "AAAA"} {
		if got := tkauth01.Fingerprint(bad); got != "" {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

// TestRequest: what the program is asked for, and what is sent then.
func TestRequest(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-3-01", "9447-3.3-01", "9448-4-01")
	for _, ca := range []bool{false, true} {
		var asked tkauth01.Request
		solver := &tkauth01.Solver{CA: ca, Token: func(ctx context.Context, r tkauth01.Request) (string, error) {
			asked = r
			return grants(ctx, r)
		}}
		a := attempt()
		cleanup, err := solver.Present(t.Context(), []*acme.Attempt{a})
		if err != nil {
			t.Fatal(err)
		}
		want := tkauth01.Request{Identifier: numbers(), Fingerprint: fingerprint, CA: ca, Authority: "https://authority.example"}
		if asked != want {
			t.Errorf("asked for %+v, want %+v", asked, want)
		}
		sent, err := json.Marshal(a.Response)
		if err != nil || !strings.HasPrefix(string(sent), `{"tkauth":"ey`) || strings.Count(string(sent), `"`) != 4 {
			t.Errorf("sent %s, %v", sent, err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", a.Response, a.Response, a.Response, a.Response); strings.Contains(text, "ey") {
			t.Errorf("the token is printed: %s", text)
		}
		if err := cleanup(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestSupports: other tkauth-types are for other solvers.
func TestSupports(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-3-01")
	var solver tkauth01.Solver
	with := func(raw string) *acme.Attempt {
		a := attempt()
		a.Challenge.Raw = json.RawMessage(raw)
		return a
	}
	nobody := attempt()
	nobody.Thumbprint = ""
	other := with(`{"tkauth-type":"atc"}`)
	other.Challenge.Type = "tkauth-02"
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt(), true},
		{challengetest.NewAttempt(acme.TKAuth01, acme.Identifier{Type: acme.TypeJWTClaimConstraints, Value: "MAmgBzAFFgNycGg"}, "t"), true},
		{challengetest.NewAttempt(acme.TKAuth01, acme.Identifier{Type: acme.TypeEnhancedJWTClaimConstraints, Value: "MAmgBzAFFgNycGg"}, "t"), true},
		{challengetest.NewAttempt(acme.TKAuth01, acme.DNS("example.com")[0], "t"), false},
		{challengetest.NewAttempt(acme.HTTP01, numbers(), "t"), false},
		{with(`{"tkauth-type":"ATC"}`), false},
		{with(`{"tkauth-type":"new"}`), false},
		{with(`{}`), false},
		{with(`{"tkauth-type":1}`), false},
		{with(`{"tkauth-type":"atc"}`), true},
		{nobody, false},
		{other, false},
		{&acme.Attempt{Identifier: numbers()}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
	unknown := with(`{"tkauth-type":"new"}`)
	_, err := (&tkauth01.Solver{Token: grants}).Present(t.Context(), []*acme.Attempt{unknown})
	if err == nil || unknown.Response != nil || !strings.Contains(err.Error(), `tkauth01: tkauth-01 for TNAuthList:MAigBhYENzA5Sg: the tkauth-type is "new"`) {
		t.Errorf("%v", err)
	}
}

// TestTokenIsChecked: what the CA would refuse is not sent, and the token is in no
// error.
func TestTokenIsChecked(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-4-01", "9447-4-02", "9448-5.4-01", "9447-7-02")
	r := tkauth01.Request{Identifier: numbers(), Fingerprint: fingerprint}
	with := func(changes m) string { return jwt(es256(), claims(r, changes)) }
	good := with(nil)
	for name, tt := range map[string]struct {
		token string
		ca    bool
		says  string
	}{
		"good":              {good, false, ""},
		"ca false":          {with(m{"ca": false}), false, ""},
		"fingerprint":       {with(m{"fingerprint": strings.ToLower(fingerprint)}), false, "another account's"},
		"hex digits":        {with(m{"fingerprint": "SHA256 " + strings.ToLower(fingerprint[7:])}), false, ""},
		"a bit late":        {with(m{"exp": time.Now().Add(-time.Minute).Unix()}), false, ""},
		"late":              {with(m{"exp": time.Now().Add(-time.Hour).Unix()}), false, "it has expired at 20"},
		"exp with fraction": {with(m{"exp": float64(time.Now().Unix()) + 60.5}), false, ""},
		"no jti":            {with(m{"jti": nil}), false, "no jti (RFC 9447 §4)"},
		"empty jti":         {with(m{"jti": ""}), false, "no jti"},
		"no exp":            {with(m{"exp": nil}), false, "no exp (RFC 9447 §4)"},
		"text as exp":       {with(m{"exp": "tomorrow"}), false, "claims cannot be read"},
		"huge exp":          {with(m{"exp": 1e300}), false, "no exp"},
		"negative exp":      {with(m{"exp": -1}), false, "no exp"},
		"no atc":            {with(m{"atc": nil}), false, "no atc (RFC 9447 §4)"},
		"list as atc":       {with(m{"atc": []int{}}), false, "atc cannot be read"},
		"no tktype":         {with(m{"tktype": nil}), false, "no tktype (RFC 9447 §4)"},
		"no tkvalue":        {with(m{"tkvalue": nil}), false, "no tkvalue"},
		"no fingerprint":    {with(m{"fingerprint": nil}), false, "no fingerprint"},
		"other account":     {with(m{"fingerprint": strings.Replace(fingerprint, "37", "38", 1)}), false, "another account's"},
		"TnAuthList":        {with(m{"tktype": "TnAuthList"}), false, `tktype is "TnAuthList", not "TNAuthList"`},
		"other value":       {with(m{"tkvalue": value + "=="}), false, `tkvalue is "MAigBhYENzA5Sg=="`},
		"ca":                {with(m{"ca": true}), false, "ca is true, not false"},
		"no ca":             {good, true, "ca is false, not true"},
		"text as ca":        {with(m{"ca": "true"}), false, "atc cannot be read"},
		"no signature":      {strings.TrimSuffix(good, "c2lnbmF0dXJl"), false, "no signed JWT"},
		"two parts":         {"e30.e30", false, "no signed JWT"},
		"empty":             {"", false, "no signed JWT"},
		"padding":           {good + "=", false, "no signed JWT"},
		"a line break":      {good + "\n", false, "no signed JWT"},
		"no header":         {"W10" + good[strings.Index(good, "."):], false, "header cannot be read"},
		"odd header":        {"A" + good[strings.Index(good, "."):], false, "header cannot be read"},
		"none":              {jwt(m{"alg": "none"}, claims(r, nil)), false, `algorithm "none"`},
		"MAC":               {jwt(m{"alg": "HS256"}, claims(r, nil)), false, `algorithm "HS256"`},
		"no algorithm":      {jwt(m{}, claims(r, nil)), false, `algorithm ""`},
		"long":              {good + strings.Repeat("A", 64<<10), false, "no signed JWT"},
	} {
		solver := &tkauth01.Solver{CA: tt.ca, Token: func(context.Context, tkauth01.Request) (string, error) { return tt.token, nil }}
		a := attempt()
		_, err := solver.Present(t.Context(), []*acme.Attempt{a})
		if (err == nil) != (tt.says == "") || (a.Response == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && tt.token != "" && strings.Contains(err.Error(), tt.token) {
			t.Errorf("%s: the token is in the error: %v", name, err)
		}
	}
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	r := tkauth01.Request{Identifier: numbers(), Fingerprint: fingerprint, CA: true}
	got, err := tkauth01.ParseToken(jwt(es256(), claims(r, m{"exp": 1640995200, "iss": "https://authority.example"})))
	want := tkauth01.Token{
		Algorithm: "ES256", X5U: "https://authority.example/cert", Issuer: "https://authority.example", ID: "id6098364921",
		Expires: time.Unix(1640995200, 0), ATC: tkauth01.ATC{Type: "TNAuthList", Value: value, CA: true, Fingerprint: fingerprint},
	}
	if err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBatch: one token that cannot be had, and no response is set.
func TestBatch(t *testing.T) {
	t.Parallel()
	fails := errors.New("closed")
	solver := &tkauth01.Solver{Token: func(ctx context.Context, r tkauth01.Request) (string, error) {
		if r.Identifier != numbers() {
			return "", fails
		}
		return grants(ctx, r)
	}}
	batch := []*acme.Attempt{attempt(), challengetest.NewAttempt(acme.TKAuth01, acme.Identifier{Type: acme.TypeTNAuthList, Value: "MAigBhYEMTIzNA"}, "t")}
	_, err := solver.Present(t.Context(), batch)
	if !errors.Is(err, fails) || batch[0].Response != nil || batch[1].Response != nil || !strings.Contains(err.Error(), "TNAuthList:MAigBhYEMTIzNA") {
		t.Errorf("%v", err)
	}
	if _, err := new(tkauth01.Solver).Present(t.Context(), batch); err == nil || !strings.Contains(err.Error(), "Solver.Token is nil") {
		t.Errorf("%v", err)
	}
}

// FuzzParseToken: what can be read is complete.
func FuzzParseToken(f *testing.F) {
	f.Add(jwt(es256(), claims(tkauth01.Request{Identifier: numbers(), Fingerprint: fingerprint}, nil)))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := tkauth01.ParseToken(text)
		if err != nil {
			return
		}
		if token.ID == "" || token.ATC.Type == "" || token.ATC.Value == "" || token.ATC.Fingerprint == "" || token.Expires.Year() < 1970 {
			t.Errorf("%+v", token)
		}
	})
}
