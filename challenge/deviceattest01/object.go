package deviceattest01

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme/internal/cbor"
)

const maxObject = 1 << 20 // octets; a chain of certificates is the most that is in one

// Object makes an attestation object (WebAuthn §6.5.4) of a statement in the
// format of a name, such as "tpm", "apple", "android-key", "packed" or step-ca's
// "step". There is no authData in it: the draft has no use for that.
//
// The statement's values may be nil, bool, int, int64, string, []byte, []any,
// []string, [][]byte (certificates, mostly as "x5c") and map[string]any.
func Object(format string, statement map[string]any) ([]byte, error) {
	if err := checkFormat(format); err != nil {
		return nil, fmt.Errorf("deviceattest01: %w", err)
	}
	object, err := cbor.Marshal(map[string]any{"fmt": format, "attStmt": statement})
	if err != nil {
		return nil, fmt.Errorf("deviceattest01: the statement in the format %s: %w", format, err)
	}
	return object, nil
}

// checkFormat checks the name of a format: up to 32 visible ASCII characters other
// than \ and " (RFC 8809 §2.1).
func checkFormat(format string) error {
	strange := func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '"' }
	if format == "" || len(format) > 32 || strings.ContainsFunc(format, strange) {
		return fmt.Errorf("%.40q is no name of a format (RFC 8809 §2.1)", format)
	}
	return nil
}

// withoutAuthData checks that an object is a CBOR map with a format and a
// statement, and leaves out what the draft has no use for (section 5).
func withoutAuthData(object []byte) ([]byte, error) {
	if len(object) > maxObject {
		return nil, fmt.Errorf("%d octets are too many", len(object))
	}
	value, err := cbor.Unmarshal(object)
	if err != nil {
		return nil, err
	}
	members, ok := value.(cbor.Map)
	if !ok {
		return nil, errors.New("it is no CBOR map")
	}
	format, _ := members.Get("fmt")
	name, ok := format.(string)
	if !ok {
		return nil, errors.New(`it has no text "fmt"`)
	}
	if err := checkFormat(name); err != nil {
		return nil, err
	}
	statement, _ := members.Get("attStmt")
	if _, ok := statement.(cbor.Map); !ok {
		return nil, errors.New(`it has no map "attStmt"`)
	}
	if _, there := members.Get("authData"); !there {
		return object, nil
	}
	return cbor.Marshal(members.Without("authData"))
}
