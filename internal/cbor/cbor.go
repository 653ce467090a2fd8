// Package cbor reads and writes the part of CBOR (RFC 8949) that challenges
// need: WebAuthn attestation objects (device-attest-01) and administrative
// records of the Bundle Protocol (bp-nodeid-00). Both want definite lengths; tags,
// floating-point numbers and undefined occur in neither and are refused.
//
// Decoded values are nil, bool, int64, string, []byte, []any and [Map].
package cbor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

const maxDepth = 16 // of arrays and maps in each other

// The major types of RFC 8949 §3.1.
const (
	majorUnsigned = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
	majorSimple   = 7 << 5

	simpleFalse = majorSimple | 20
	simpleTrue  = majorSimple | 21
	simpleNull  = majorSimple | 22
)

// A Map is a map. Its keys are int64 or string, each at most once.
type Map []Pair

// A Pair is an entry of a Map.
type Pair struct{ Key, Value any }

// Get returns the value of a key, an int64 or a string.
func (m Map) Get(key any) (value any, ok bool) {
	i := slices.IndexFunc(m, func(p Pair) bool { return p.Key == key })
	if i < 0 {
		return nil, false
	}
	return m[i].Value, true
}

// Without returns the map less the pairs with a key.
func (m Map) Without(key any) Map {
	return slices.DeleteFunc(slices.Clone(m), func(p Pair) bool { return p.Key == key })
}

// Marshal encodes a value deterministically (RFC 8949 §4.2.1): shortest lengths,
// map keys in the order of their encodings. Beside what [Unmarshal] returns it
// takes int, []string, [][]byte and map[string]any.
func Marshal(value any) ([]byte, error) { return appendValue(nil, value, 0) }

func appendValue(b []byte, value any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("cbor: nested deeper than %d", maxDepth)
	}
	switch v := value.(type) {
	case nil:
		return append(b, simpleNull), nil
	case bool:
		if v {
			return append(b, simpleTrue), nil
		}
		return append(b, simpleFalse), nil
	case int:
		return appendInt(b, int64(v)), nil
	case int64:
		return appendInt(b, v), nil
	case []byte:
		return append(appendHead(b, majorBytes, uint64(len(v))), v...), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("cbor: a text is not UTF-8")
		}
		return append(appendHead(b, majorText, uint64(len(v))), v...), nil
	case []any:
		return appendArray(b, v, depth)
	case []string:
		return appendArray(b, v, depth)
	case [][]byte:
		return appendArray(b, v, depth)
	case Map:
		return appendMap(b, v, depth)
	case map[string]any:
		pairs := make(Map, 0, len(v))
		for key, value := range v {
			pairs = append(pairs, Pair{key, value})
		}
		return appendMap(b, pairs, depth)
	}
	return nil, fmt.Errorf("cbor: cannot encode a %T", value)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegative, uint64(^n))
	}
	return appendHead(b, majorUnsigned, uint64(n))
}

func appendArray[T any](b []byte, values []T, depth int) (_ []byte, err error) {
	b = appendHead(b, majorArray, uint64(len(values)))
	for _, v := range values {
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendMap(b []byte, m Map, depth int) ([]byte, error) {
	type entry struct{ key, value []byte }
	entries := make([]entry, len(m))
	for i, p := range m {
		if !isKey(p.Key) {
			return nil, fmt.Errorf("cbor: a %T is no key", p.Key)
		}
		var err error
		if entries[i].key, err = appendValue(nil, p.Key, depth+1); err != nil {
			return nil, err
		}
		if entries[i].value, err = appendValue(nil, p.Value, depth+1); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(entries, func(x, y entry) int { return bytes.Compare(x.key, y.key) })
	b = appendHead(b, majorMap, uint64(len(entries)))
	for i, e := range entries {
		if i > 0 && bytes.Equal(e.key, entries[i-1].key) {
			return nil, errors.New("cbor: a key is there twice")
		}
		b = append(append(b, e.key...), e.value...)
	}
	return b, nil
}

func isKey(key any) bool {
	switch key.(type) {
	case int, int64, string:
		return true
	}
	return false
}

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
