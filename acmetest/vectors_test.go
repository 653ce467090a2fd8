package acmetest

import (
	"encoding/json"
	"os"
	"testing"
)

// A vector is one of JOSE, which the CA must read in its own way.
type vector struct {
	Name, Protected, Payload, Signature, Thumbprint, Stripped string
	Header                                                    json.RawMessage `json:"header"`
	JWK                                                       map[string]any
}

// vectors reads a file; public halves of keys are all that a CA has, but for MACs.
func vectors(t *testing.T, name string) []vector {
	t.Helper()
	data, err := os.ReadFile("../testdata/vectors/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil || len(v) == 0 {
		t.Fatalf("%d vectors, %v", len(v), err)
	}
	for i := range v {
		for _, private := range []string{"d", "p", "q"} {
			delete(v[i].JWK, private)
		}
	}
	return v
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVectorSignatures(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "signatures") {
		members := map[string]any{"protected": v.Protected, "payload": v.Payload, "signature": v.Signature}
		if v.Header != nil { // RFC 8555 §6.2
			members["header"] = v.Header
			if _, r := parseJWS(encoded(t, members)); r == nil {
				t.Errorf("%s: an unprotected header was taken", v.Name)
			}
			delete(members, "header")
		}
		j, r := parseJWS(encoded(t, members))
		if r != nil {
			t.Fatalf("%s: %v", v.Name, r)
		}
		verifies := func(j *jws) bool {
			if k, ok := v.JWK["k"].(string); ok {
				mac, err := decode64(k)
				return err == nil && j.authenticatedBy(mac)
			}
			key, r := parseJWK(encoded(t, v.JWK))
			return r == nil && algorithmOf(key) == j.alg && j.signedBy(key)
		}
		if !verifies(j) {
			t.Errorf("%s does not verify", v.Name)
		}
		if j.input[len(j.input)-1] ^= 1; verifies(j) {
			t.Errorf("%s verifies for another payload", v.Name)
		}
	}
}

func TestVectorThumbprints(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "thumbprints") {
		key, r := parseJWK(encoded(t, v.JWK))
		if r != nil {
			t.Fatalf("%s: %v", v.Name, r)
		}
		if got := thumbprint(key); got != v.Thumbprint || got == v.Stripped {
			t.Errorf("%s: %s", v.Name, got)
		}
	}
}
