package acmetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Bundle is a challenge bundle of bp-nodeid-00 (RFC 9891 §3.3), as far as it matters. It asks for an acknowledgement by the
// application, and counts as covered by an integrity block.
type Bundle struct {
	Source, Destination string // node IDs
	Timestamp, Sequence uint64 // of its creation; in milliseconds since the year 2000
	Lifetime            time.Duration
	Record              []byte // the administrative record
}

// ValidateBPNodeID00 returns an [Options].Validate for bp-nodeid-00. It sends two challenge bundles, as over two paths (RFC 9891
// §3.5), to the agent of the node, which returns the administrative record of its response bundle, or an error when there is
// none. Both must be answered, with SHA-256.
func ValidateBPNodeID00(agent func(context.Context, Bundle) ([]byte, error)) func(context.Context, Validation) error {
	return func(ctx context.Context, v Validation) error {
		if v.Type != typeBPNodeID00 {
			return fmt.Errorf("acmetest: ValidateBPNodeID00 cannot validate %s", v.Type)
		}
		lifetime, err := responseInterval(v.Response)
		if err != nil {
			return err
		}
		var object struct {
			ID string `json:"id-chal"`
		}
		if err := json.Unmarshal(v.Challenge, &object); err != nil {
			return err
		}
		id, err := decode64(object.ID)
		if err != nil {
			return err
		}
		for sequence := range uint64(2) {
			token := []byte(randomID(12)) // 16 octets
			answer, err := agent(ctx, Bundle{
				Source: "dtn://ca.test/", Destination: v.Identifier.Value,
				Timestamp: uint64(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()), Sequence: sequence, //nolint:gosec // it is later
				Lifetime: lifetime, Record: challengeRecord(id, token),
			})
			if err != nil {
				return fmt.Errorf("no response from %s: %w", v.Identifier.Value, err)
			}
			keyAuthorization := encode64(token) + v.Token + "." + v.Thumbprint // RFC 9891 §3, step 6
			digest := sha256.Sum256([]byte(keyAuthorization))
			if err := checkResponseRecord(answer, id, token, digest[:]); err != nil {
				return fmt.Errorf("the response of %s: %w", v.Identifier.Value, err)
			}
		}
		return nil
	}
}

// responseInterval reads the response object (RFC 9891 §3.2).
func responseInterval(response []byte) (time.Duration, error) {
	o, r := parseMembers(response, "rtt")
	if r != nil {
		return 0, &r.problem
	}
	rtt, present, r := member[float64](o, "rtt")
	switch {
	case r != nil:
		return 0, &r.problem
	case !present:
		return 10 * time.Second, nil
	case rtt < 0:
		return 0, fmt.Errorf("rtt is %v: the least is zero (RFC 9891 §3.2)", rtt)
	}
	return max(time.Second, min(time.Minute, time.Duration(2*rtt*float64(time.Second)))), nil
}

// challengeRecord is [255, {1: id-chal, 2: token-bundle, 4: [-16]}] (RFC 9891 §3.3).
func challengeRecord(id, token []byte) []byte {
	b := []byte{0x82, 0x18, 0xff, 0xa3, 0x01}
	b = append(appendCBORBytes(b, id), 0x02)
	b = append(appendCBORBytes(b, token), 0x04, 0x81, 0x2f)
	return b
}

// appendCBORBytes appends a byte string of up to 255 octets.
func appendCBORBytes(b, content []byte) []byte {
	return append(append(b, 0x58, byte(len(content))), content...)
}

// checkResponseRecord wants [255, {1: id-chal, 2: token-bundle, 3: [-16, digest]}] (RFC 9891 §3.4).
func checkResponseRecord(record, id, token, digest []byte) error {
	item, rest, err := readCBOR(record)
	if err != nil {
		return err
	}
	parts, _ := item.([]any)
	if len(rest) > 0 || len(parts) != 2 || parts[0] != uint64(255) {
		return errors.New("it is no administrative record of type 255")
	}
	content, _ := parts[1].(map[any]any)
	gotID, _ := content[uint64(1)].([]byte)
	gotToken, _ := content[uint64(2)].([]byte)
	pair, _ := content[uint64(3)].([]any)
	switch {
	case len(content) != 3 || len(pair) != 2:
		return errors.New("it has not three members, or no pair of algorithm and digest")
	case !bytes.Equal(gotID, id) || !bytes.Equal(gotToken, token):
		return errors.New("it is for another challenge bundle")
	case pair[0] != int64(-16):
		return fmt.Errorf("the algorithm is %v, which was not asked for", pair[0])
	}
	if got, _ := pair[1].([]byte); !bytes.Equal(got, digest) {
		return errors.New("the digest is not that of the key authorization")
	}
	return nil
}
