package acmetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// respondToBundle answers a challenge bundle by cutting its record apart, as the records of this CA are.
func respondToBundle(record []byte, tokenChal, thumbprint string) []byte {
	const idAt = 7 // 82 18 ff a3 01 58 10
	id, token := record[idAt:idAt+16], record[idAt+16+3:idAt+16+3+16]
	digest := sha256.Sum256([]byte(base64.RawURLEncoding.EncodeToString(token) + tokenChal + "." + thumbprint))
	return []byte("\x82\x18\xff\xa3\x01\x50" + string(id) + "\x02\x50" + string(token) + "\x03\x82\x2f\x58\x20" + string(digest[:]))
}

func TestValidateBPNodeID00(t *testing.T) {
	t.Parallel()
	good := func(b acmetest.Bundle) []byte { return respondToBundle(b.Record, "token-chal", "thumbprint") }
	edit := func(old, replacement string) func(acmetest.Bundle) []byte {
		return func(b acmetest.Bundle) []byte { return bytes.Replace(good(b), []byte(old), []byte(replacement), 1) }
	}
	for name, tt := range map[string]struct {
		agent    func(acmetest.Bundle) []byte
		response string
		want     string
	}{
		"good":         {good, `{}`, ""},
		"rtt":          {good, `{"rtt":300.0}`, ""},
		"rtt of zero":  {good, `{"rtt":0}`, ""},
		"negative rtt": {good, `{"rtt":-1}`, "the least is zero"},
		"text as rtt":  {good, `{"rtt":"1"}`, "wrong type"},
		"more members": {good, `{"RTT":1}`, "unknown member"},
		"no answer":    {func(acmetest.Bundle) []byte { return nil }, `{}`, "no response"},
		"token":        {func(b acmetest.Bundle) []byte { return respondToBundle(b.Record, "other", "thumbprint") }, `{}`, "not that of the key auth"},
		"thumbprint":   {func(b acmetest.Bundle) []byte { return respondToBundle(b.Record, "token-chal", "other") }, `{}`, "not that of the key auth"},
		"record type":  {edit("\x18\xff", "\x18\xfe"), `{}`, "type 255"},
		"algorithm":    {edit("\x82\x2f", "\x82\x2e"), `{}`, "the algorithm is -15"},
		"other id-chal": {func(b acmetest.Bundle) []byte {
			b.Record[10] ^= 1
			return good(b)
		}, `{}`, "another challenge bundle"},
		"one more":      {edit("\xa3", "\xa4\x09\x09"), `{}`, "not three members"},
		"trailing":      {func(b acmetest.Bundle) []byte { return append(good(b), 0) }, `{}`, "type 255"},
		"empty":         {func(acmetest.Bundle) []byte { return []byte{} }, `{}`, "cut off"},
		"the challenge": {func(b acmetest.Bundle) []byte { return b.Record }, `{}`, "no pair"},
	} {
		var seen []acmetest.Bundle
		agent := func(_ context.Context, b acmetest.Bundle) ([]byte, error) {
			seen = append(seen, b)
			if record := tt.agent(b); record != nil {
				return record, nil
			}
			return nil, errors.New("timeout")
		}
		err := acmetest.ValidateBPNodeID00(agent)(t.Context(), acmetest.Validation{
			Identifier: acmetest.Identifier{Type: "bundleEID", Value: "dtn://node/"}, Type: "bp-nodeid-00", Token: "token-chal",
			Thumbprint: "thumbprint", Challenge: []byte(`{"id-chal":"dDtaviYTPUWFS3NK37YWfQ"}`), Response: []byte(tt.response),
		})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if tt.want != "" {
			continue
		}
		if len(seen) != 2 || bytes.Equal(seen[0].Record, seen[1].Record) || seen[0].Sequence == seen[1].Sequence || seen[0].Destination != "dtn://node/" {
			t.Errorf("%s: bundles %+v", name, seen)
		}
		if want := map[string]time.Duration{"good": 10 * time.Second, "rtt": time.Minute, "rtt of zero": time.Second}[name]; seen[0].Lifetime != want {
			t.Errorf("%s: lifetime %v, want %v", name, seen[0].Lifetime, want)
		}
	}
	if err := acmetest.ValidateBPNodeID00(nil)(t.Context(), acmetest.Validation{Type: "http-01"}); err == nil {
		t.Error("validated http-01")
	}
}
