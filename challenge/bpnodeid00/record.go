package bpnodeid00

import (
	"crypto"
	_ "crypto/sha512" // for the algorithms -43 and -44
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/cbor"
)

// RecordType is the type code of the administrative records of this challenge type
// (RFC 9891 §7.3).
const RecordType = 255

// The keys of a record (RFC 9891 §3.3, §3.4).
const (
	keyID     int64 = 1
	keyToken  int64 = 2
	keyDigest int64 = 3
	keyHashes int64 = 4
)

// A Hash is a hash algorithm of the registry "COSE Algorithms".
type Hash int64

// Hash algorithms (RFC 9054). All support SHA256 (RFC 9891 §3.3).
const (
	SHA256 Hash = -16
	SHA384 Hash = -43
	SHA512 Hash = -44
)

// Digest returns the digest of a key authorization, nil if the algorithm is not one
// of this package.
func (h Hash) Digest(k acme.KeyAuthorization) []byte {
	algorithm := map[Hash]crypto.Hash{SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512}[h]
	if algorithm == 0 {
		return nil
	}
	digest := algorithm.New()
	digest.Write([]byte(k))
	return digest.Sum(nil)
}

// A Record is the contents of a challenge bundle (RFC 9891 §3.3).
type Record struct {
	ID     string // id-chal, as base64url: which challenge it is about
	Token  []byte // token-bundle
	Hashes []Hash // that the server accepts, the best first; less those that have no number
}

const maxRecord = 4096 // octets

// ParseRecord reads the administrative record of a challenge bundle: the payload
// block's data. An agent that answers for several challenges finds the right
// [Responder] by ID.
func ParseRecord(payload []byte) (Record, error) {
	r, err := parseRecord(payload)
	if err != nil {
		return Record{}, fmt.Errorf("bpnodeid00: no challenge record: %w", err)
	}
	return r, nil
}

func parseRecord(payload []byte) (r Record, err error) {
	if len(payload) > maxRecord {
		return r, fmt.Errorf("%d octets are too many", len(payload))
	}
	item, err := cbor.Unmarshal(payload)
	if err != nil {
		return r, err
	}
	parts, _ := item.([]any)
	if len(parts) != 2 || parts[0] != int64(RecordType) {
		return r, fmt.Errorf("it is no administrative record of type %d", RecordType)
	}
	content, _ := parts[1].(cbor.Map)
	id, _ := content.Get(keyID)
	token, _ := content.Get(keyToken)
	hashes, _ := content.Get(keyHashes)
	octets, _ := id.([]byte)
	r.ID = encode(octets)
	r.Token, _ = token.([]byte)
	switch list, ok := hashes.([]any); {
	case len(octets) == 0:
		return r, errors.New("it has no id-chal")
	case len(r.Token) < minOctets:
		return r, errors.New("it has no token-bundle of 128 bits or more (RFC 9891 §3.3)")
	case !ok:
		return r, errors.New("it has no list of hash algorithms")
	default:
		for _, v := range list {
			if number, ok := v.(int64); ok {
				r.Hashes = append(r.Hashes, Hash(number))
			}
		}
	}
	return r, nil
}

// respond makes the record of the response bundle (RFC 9891 §3.4), with the
// server's most preferred of the algorithms that there are.
func (c Challenge) respond(r Record) ([]byte, error) {
	for _, h := range r.Hashes {
		digest := h.Digest(c.KeyAuthorization(r.Token))
		if digest == nil {
			continue
		}
		id, err := decode(c.ID)
		if err != nil {
			return nil, err
		}
		return cbor.Marshal([]any{RecordType, cbor.Map{
			{Key: keyID, Value: id},
			{Key: keyToken, Value: r.Token},
			{Key: keyDigest, Value: []any{int64(h), digest}},
		}})
	}
	return nil, fmt.Errorf("the server accepts none of the hash algorithms -16, -43 and -44, but %.10v", r.Hashes)
}

func encode(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }

// decode is base64url without padding, and without the line breaks that
// encoding/base64 lets pass.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("a line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
