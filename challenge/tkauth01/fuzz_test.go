package tkauth01_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
)

// hasAuthority reports whether a challenge names its authority. Names of members
// match in any case, as encoding/json reads them.
func hasAuthority(challenge []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(challenge, &members) != nil {
		return false
	}
	for name := range members {
		if strings.EqualFold(name, "token-authority") {
			return true
		}
	}
	return false
}

// FuzzChallenge: a token is asked for with what the challenge says of the authority,
// and only there where it is an https URL.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"type":"tkauth-01","tkauth-type":"atc","token-authority":"https://authority.example/"}`))
	f.Add([]byte(`{"tkauth-type":"atc","token-authority":"http://169.254.169.254/"}`))
	f.Add([]byte(`{"tkAuth-tYpe":"atc","token-AuthoritY":"0000"}`))
	f.Add([]byte(`{"tkauth-type":5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := challengetest.NewAttempt(acme.TKAuth01, numbers(), "IlirfxKKXAsHtmzK29Pj8A")
		a.Challenge.Raw = data
		stop := errors.New("stop")
		authority := &tkauth01.Authority{Locate: func(url string) (string, error) {
			if url != "" && !hasAuthority(data) {
				t.Errorf("asked for %q", url)
			}
			return "", stop
		}}
		solver := &tkauth01.Solver{Token: func(ctx context.Context, r tkauth01.Request) (string, error) {
			if r.Identifier != numbers() || r.Fingerprint == "" {
				t.Errorf("%+v", r)
			}
			return authority.Token(ctx, r)
		}}
		supports := solver.Supports(a)
		if _, err := solver.Present(t.Context(), []*acme.Attempt{a}); err == nil || a.Response != nil || errors.Is(err, stop) && !supports {
			t.Errorf("%v, %v", a.Response, err)
		}
	})
}
