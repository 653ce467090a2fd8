package onioncsr01

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// A CAA is the signed CAA record set of a hidden service: what onionCAA has for
// each name (RFC 9799 §6.4).
type CAA struct {
	Records   *string `json:"caa"`    // lines, as in a descriptor; nil: there are none
	Expiry    int64   `json:"expiry"` // Unix seconds
	Signature string  `json:"signature"`
}

// caaLifetime is in the middle of the eight hours that a record set should be good
// for at most (RFC 9799 §6.4), so that the clock may be wrong by some hours.
const caaLifetime = 4 * time.Hour

// OnionCAA returns a function for CertificateRequest.FinalizeExtra that makes the
// member onionCAA (RFC 9799 §6.4): the record sets of the hidden services in the
// order, signed by their keys, and good for four hours. The sets are by [Address],
// anything else is an error; a service that is not among them has none, and says so.
// An order without onion names gets no member.
//
// The sets should be those that the service's descriptor has, if it has any. A
// service below which there are other names has one set for all (RFC 9799 §6).
func (s *Solver) OnionCAA(sets map[string][]caa.Record) func(context.Context, []acme.Identifier) (map[string]any, error) {
	return func(_ context.Context, ids []acme.Identifier) (map[string]any, error) {
		for name := range sets { // a set that is left out would be signed as none
			if _, err := onion.Key(name); err != nil || onion.Address(name) != name {
				return nil, fmt.Errorf("onioncsr01: CAA records for %.300q, which is no address of a hidden service, as Address returns it", name)
			}
		}
		signed := make(map[string]CAA)
		for _, id := range ids {
			address := onion.Address(id.Value)
			if _, done := signed[address]; done || id.Type != acme.TypeDNS || !onion.IsName(id.Value) {
				continue
			}
			key := s.key(id.Value)
			if key == nil {
				return nil, fmt.Errorf("onioncsr01: no key of %s, to sign its CAA records with", id)
			}
			c, err := SignCAA(key, sets[address], time.Now().Add(caaLifetime))
			if err != nil {
				return nil, err
			}
			signed[address] = c
		}
		if len(signed) == 0 {
			return nil, nil
		}
		return map[string]any{"onionCAA": signed}, nil
	}
}

// SignCAA signs a record set with the key of a hidden service. No records are
// signed as such. The expiry should be at most eight hours away (RFC 9799 §6.4).
func SignCAA(key crypto.Signer, set []caa.Record, expiry time.Time) (CAA, error) {
	public, err := publicKey(key)
	if err != nil {
		return CAA{}, err
	}
	c := CAA{Expiry: expiry.Unix()}
	if c.Expiry < 0 {
		return CAA{}, errors.New("onioncsr01: an expiry before 1970")
	}
	if len(set) > 0 {
		lines := make([]string, len(set))
		for i, r := range set {
			if _, err := r.RDATA(); err != nil {
				return CAA{}, fmt.Errorf("onioncsr01: %w", err)
			}
			lines[i] = "caa " + r.String()
		}
		text := strings.Join(lines, "\n")
		c.Records = &text
	}
	signature, err := sign(key, public, c.signed())
	if err != nil {
		return CAA{}, err
	}
	c.Signature = base64.RawURLEncoding.EncodeToString(signature)
	return c, nil
}

// signed returns what the signature is over.
func (c CAA) signed() []byte {
	text := ""
	if c.Records != nil {
		text = *c.Records
	}
	return []byte("onion-caa|" + strconv.FormatInt(c.Expiry, 10) + "|" + text)
}

// Verify checks the signature, by the key in the name of the hidden service, and
// returns the records. The expiry is left to the caller.
func (c CAA) Verify(name string) ([]caa.Record, error) {
	key, err := ParseAddress(name)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(c.Signature, "=")) // with which the example of RFC 9799 §6.4.2 has it
	if err != nil || !ed25519.Verify(key, c.signed(), signature) {
		return nil, fmt.Errorf("onioncsr01: the CAA records are not signed by the key of %s", onion.Address(name))
	}
	if c.Records == nil {
		return nil, nil
	}
	var set []caa.Record
	for line := range strings.SplitSeq(strings.TrimSuffix(*c.Records, "\n"), "\n") {
		text, ok := strings.CutPrefix(line, "caa ")
		if !ok {
			return nil, fmt.Errorf("onioncsr01: %.300q is no line of a CAA record set", line)
		}
		r, err := caa.ParseRecord(text)
		if err != nil {
			return nil, fmt.Errorf("onioncsr01: %w", err)
		}
		set = append(set, r)
	}
	return set, nil
}

// CAARequired reports whether a server wants onionCAA in requests to finalize
// orders (RFC 9799 §6.4.1). The text has two names for the member that says so;
// either will do.
func CAARequired(meta acme.DirectoryMeta) bool {
	var object struct {
		InBand bool `json:"inBandOnionCAARequired"` // RFC 9799 §6.4.1
		IANA   bool `json:"onionCAARequired"`       // RFC 9799 §7.3
	}
	_ = json.Unmarshal(meta.Raw, &object) // of another type, it says nothing
	return object.InBand || object.IANA
}
