package bpnodeid00_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/internal/cbor"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// token is the token-bundle of the bundles here.
func token() []byte { return []byte("0123456789abcdef") }

// record makes a challenge record with the id-chal of the attempts; change may edit
// its members.
func record(t *testing.T, change func(members map[int64]any)) []byte {
	t.Helper()
	id, err := base64.RawURLEncoding.DecodeString(idChal)
	if err != nil {
		t.Fatal(err)
	}
	members := map[int64]any{1: id, 2: token(), 4: []any{-16}}
	if change != nil {
		change(members)
	}
	var content cbor.Map
	for key, value := range members {
		content = append(content, cbor.Pair{Key: key, Value: value})
	}
	data, err := cbor.Marshal([]any{255, content})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bundle makes a bundle that is to be answered.
func bundle(t *testing.T, change func(members map[int64]any)) bpnodeid00.Bundle {
	t.Helper()
	return bpnodeid00.Bundle{
		Source: "dtn://ca/", Destination: "dtn://node/", Timestamp: 1000, Sequence: 7,
		Age: 10 * time.Second, Lifetime: time.Minute, Trusted: true, Acknowledge: true, Payload: record(t, change),
	}
}

func responder(t *testing.T) *bpnodeid00.Responder {
	t.Helper()
	c, err := bpnodeid00.NewChallenge(attempt())
	if err != nil {
		t.Fatal(err)
	}
	return bpnodeid00.NewResponder(c)
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors has the example of RFC 9891 Appendix B, from the tokens to the records.
func TestVectors(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-3-02", "9891-3.3-01", "9891-3.4-01")
	data, err := os.ReadFile("../../testdata/vectors/nodeids.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		NodeID, IDChal, TokenChal, TokenBundle, Thumbprint string
		KeyAuthorization, Digest                           string
		ChallengeRecord, ResponseRecord                    string
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, v := range vectors {
		c := bpnodeid00.Challenge{NodeID: v.NodeID, ID: v.IDChal, Token: v.TokenChal, Thumbprint: v.Thumbprint}
		k := c.KeyAuthorization(unbase64(t, v.TokenBundle))
		if string(k) != v.KeyAuthorization {
			t.Errorf("key authorization %s, want %s", string(k), v.KeyAuthorization)
		}
		if got := base64.RawURLEncoding.EncodeToString(bpnodeid00.SHA256.Digest(k)); got != v.Digest {
			t.Errorf("digest %s, want %s", got, v.Digest)
		}
		payload, err := hex.DecodeString(v.ChallengeRecord)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := bpnodeid00.ParseRecord(payload)
		if err != nil || parsed.ID != v.IDChal || string(parsed.Token) != string(unbase64(t, v.TokenBundle)) || len(parsed.Hashes) != 1 || parsed.Hashes[0] != bpnodeid00.SHA256 {
			t.Errorf("%+v, %v", parsed, err)
		}
		reply, err := bpnodeid00.NewResponder(c).Respond(bpnodeid00.Bundle{
			Source: "dtn://acme-server/", Destination: v.NodeID, Age: 30 * time.Second, Lifetime: time.Minute,
			Trusted: true, Acknowledge: true, Payload: payload,
		})
		if err != nil || hex.EncodeToString(reply.Payload) != v.ResponseRecord || reply.Lifetime != 30*time.Second {
			t.Errorf("%x, %v, %v", reply.Payload, reply.Lifetime, err)
		}
	}
}

// TestHashes: the server's most preferred algorithm that there is.
func TestHashes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accepted []any
		want     int64
	}{
		{[]any{-16, -43}, -16},
		{[]any{-43, -16}, -43},
		{[]any{-44, -16}, -44},
		{[]any{-18, "SHA-256", -16}, -16}, // SHAKE128, and a name
	} {
		reply, err := responder(t).Respond(bundle(t, func(m map[int64]any) { m[4] = tt.accepted }))
		if err != nil {
			t.Fatal(err)
		}
		item, err := cbor.Unmarshal(reply.Payload)
		if err != nil {
			t.Fatal(err)
		}
		pair, _ := item.([]any)[1].(cbor.Map).Get(int64(3))
		c, _ := bpnodeid00.NewChallenge(attempt())
		want := string(bpnodeid00.Hash(tt.want).Digest(c.KeyAuthorization(token())))
		if got := pair.([]any); got[0] != tt.want || string(got[1].([]byte)) != want {
			t.Errorf("%v: %v", tt.accepted, got)
		}
	}
	for h, octets := range map[bpnodeid00.Hash]int{bpnodeid00.SHA256: 32, bpnodeid00.SHA384: 48, bpnodeid00.SHA512: 64, -18: 0, 5: 0} {
		if n := len(h.Digest("x")); n != octets {
			t.Errorf("%d: %d octets", h, n)
		}
	}
}

// TestIgnored: challenge bundles that are not to be answered.
func TestIgnored(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-3.3.1-01")
	other := unbase64(t, tokenChal)
	for says, change := range map[string]func(b *bpnodeid00.Bundle){
		"1m1s old":                 func(b *bpnodeid00.Bundle) { b.Age = 61 * time.Second },
		"a bundle -1ns old":        func(b *bpnodeid00.Bundle) { b.Age = -1 },
		"integrity block":          func(b *bpnodeid00.Bundle) { b.Trusted = false },
		"acknowledgement":          func(b *bpnodeid00.Bundle) { b.Acknowledge = false },
		`for "dtn://other/"`:       func(b *bpnodeid00.Bundle) { b.Destination = "dtn://other/" },
		"another id-chal":          func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { m[1] = other }) },
		"no id-chal":               func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { delete(m, 1) }) },
		"no token-bundle":          func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { m[2] = token()[1:] }) },
		"no token-bundle of 128":   func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { m[2] = "0123456789abcdef" }) },
		"none of the hash algo":    func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { m[4] = []any{-18, "x"} }) },
		"but []":                   func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { m[4] = []any{} }) },
		"no list of hash algo":     func(b *bpnodeid00.Bundle) { b.Payload = record(t, func(m map[int64]any) { delete(m, 4) }) },
		"no administrative record": func(b *bpnodeid00.Bundle) { b.Payload = []byte{0x82, 0x01, 0xa0} },
		"type 255":                 func(b *bpnodeid00.Bundle) { b.Payload = []byte{0xa0} },
		"cbor: it ends too early":  func(b *bpnodeid00.Bundle) { b.Payload = b.Payload[:20] },
		"octets are too many":      func(b *bpnodeid00.Bundle) { b.Payload = make([]byte, 5000) },
	} {
		b := bundle(t, nil)
		change(&b)
		r := responder(t)
		if reply, err := r.Respond(b); err == nil || reply.Payload != nil || !strings.HasPrefix(err.Error(), "bpnodeid00: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %x, %v", says, reply.Payload, err)
		}
		if _, err := r.Respond(bundle(t, nil)); err != nil {
			t.Errorf("after one that is ignored (%s): %v", says, err)
		}
	}
}

// TestOnce: one response for a bundle, and one for each of several bundles.
func TestOnce(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-3-03")
	r := responder(t)
	first, second := bundle(t, nil), bundle(t, func(m map[int64]any) { m[2] = []byte("fedcba9876543210") })
	second.Sequence++
	one, err := r.Respond(first)
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.Respond(second)
	if err != nil || string(one.Payload) == string(two.Payload) {
		t.Errorf("%x, then %x, %v", one.Payload, two.Payload, err)
	}
	for _, b := range []bpnodeid00.Bundle{first, second} {
		if reply, err := r.Respond(b); err == nil || reply.Payload != nil || !strings.Contains(err.Error(), "answered before") {
			t.Errorf("%x, %v", reply.Payload, err)
		}
	}
	for i := range uint64(998) { // sources and times tell bundles apart, too
		first.Timestamp = 5000 + i
		if _, err := r.Respond(first); err != nil {
			t.Fatal(err)
		}
	}
	first.Source = "dtn://ca2/"
	if _, err := r.Respond(first); err == nil || !strings.Contains(err.Error(), "which is enough") {
		t.Errorf("%v", err)
	}
}

// TestDestination: other spellings of the node ID.
func TestDestination(t *testing.T) {
	t.Parallel()
	for destination, same := range map[string]bool{
		"dtn://node/": true, "DTN://node/": true, "dtn://n%6Fde/": true, "dtn://node": false, "dtn://node/x": false, "ipn://node/": false, "": false, "dtn://Node/": false,
	} {
		b := bundle(t, nil)
		b.Destination = destination
		if _, err := responder(t).Respond(b); (err == nil) != same {
			t.Errorf("%s: %v", destination, err)
		}
	}
	for destination, same := range map[string]bool{
		"dtn://a%2Fb/%7E%c3%A9": true, "dtn://%61%2fb/~%C3%a9": true, "dtn://a/b/~%C3%A9": false, "dtn://a%252Fb/~%C3%A9": false, "dtn://a%2Fb/~é": false,
		"dtn://a%2Fb/~%C3%A9%": false, "dtn://a%2Fb/~%C3%A": false, "dtn://a%2Fb/~%C3%A9%00": false,
	} {
		b := bundle(t, nil)
		b.Destination = destination
		r := responder(t)
		r.NodeID = "dtn://a%2Fb/~%C3%A9"
		if _, err := r.Respond(b); (err == nil) != same {
			t.Errorf("%s: %v", destination, err)
		}
	}
}

// FuzzRespond: whatever is in a bundle's payload, it is answered or ignored.
func FuzzRespond(f *testing.F) {
	seed, _ := hex.DecodeString("8218ffa30150743b5abe26133d45854b734adfb6167d0250a77c916055382b1c1068742327645d8904812f")
	f.Add(seed)
	f.Add([]byte{0x82, 0x18, 0xff, 0xa0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := bpnodeid00.NewResponder(bpnodeid00.Challenge{NodeID: "dtn://node/", ID: idChal, Token: tokenChal, Thumbprint: thumbprint})
		reply, err := r.Respond(bpnodeid00.Bundle{Destination: "dtn://node/", Lifetime: 1, Trusted: true, Acknowledge: true, Payload: payload})
		if (err == nil) != (reply.Payload != nil) {
			t.Errorf("%x, %v", reply.Payload, err)
		}
		if err == nil {
			if _, err := bpnodeid00.ParseRecord(payload); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAllocations: to see that a bundle was answered costs the same, however many
// were.
func TestAllocations(t *testing.T) {
	again := bundle(t, nil)
	cost := func(answered uint64) float64 {
		r := responder(t)
		for i := range answered {
			b := again
			b.Sequence += i
			if _, err := r.Respond(b); err != nil {
				t.Fatal(err)
			}
		}
		least := math.Inf(1)
		for range 5 { // pools lose something now and then, under the race detector
			least = min(least, testing.AllocsPerRun(100, func() { _, _ = r.Respond(again) }))
		}
		return least
	}
	if one, all := cost(1), cost(1000); all > one+1 {
		t.Errorf("%v allocations with 1 bundle answered, %v with 1000", one, all)
	}
}
