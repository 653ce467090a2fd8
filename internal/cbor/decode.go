package cbor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Unmarshal decodes data, which must be exactly one item. It takes no more memory
// than a multiple of the length of data, so bound that.
func Unmarshal(data []byte) (any, error) {
	d := decoder{rest: data}
	value, err := d.value(0)
	if err == nil && len(d.rest) > 0 {
		err = fmt.Errorf("%d octets follow the item", len(d.rest))
	}
	if err != nil {
		return nil, fmt.Errorf("cbor: %w", err)
	}
	return value, nil
}

var errShort = errors.New("it ends too early")

// A decoder has what is left to decode.
type decoder struct{ rest []byte }

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	major, n, err := d.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case majorUnsigned, majorNegative:
		return integer(major, n)
	case majorBytes:
		content, err := d.take(n)
		return bytes.Clone(content), err
	case majorText:
		return d.text(n)
	case majorArray:
		return d.array(n, depth)
	case majorMap:
		return d.pairs(n, depth)
	case majorSimple:
		return simple(n)
	}
	return nil, errors.New("tags are not supported")
}

// head reads the head of an item: its major type and argument (RFC 8949 §3).
func (d *decoder) head() (major byte, n uint64, err error) {
	initial, err := d.take(1)
	if err != nil {
		return 0, 0, err
	}
	major, info := initial[0]&^31, initial[0]&31
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 || major == majorSimple {
		return 0, 0, fmt.Errorf("the initial octet %#02x is not supported: no indefinite lengths, no floating point", initial[0])
	}
	argument, err := d.take(1 << (info - 24))
	if err != nil {
		return 0, 0, err
	}
	var wide [8]byte
	copy(wide[8-len(argument):], argument)
	return major, binary.BigEndian.Uint64(wide[:]), nil
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken, nil
}

func integer(major byte, n uint64) (any, error) {
	if n > math.MaxInt64 {
		return nil, errors.New("an integer of more than 64 bits")
	}
	if major == majorNegative {
		return ^int64(n), nil
	}
	return int64(n), nil
}

func (d *decoder) text(n uint64) (any, error) {
	content, err := d.take(n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(content) {
		return nil, errors.New("a text is not UTF-8")
	}
	return string(content), nil
}

func (d *decoder) array(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest)) { // each item has an octet at least
		return nil, errShort
	}
	values := []any{}
	for range n {
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (d *decoder) pairs(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest))/2 {
		return nil, errShort
	}
	pairs, seen := Map{}, map[any]bool{}
	for range n {
		key, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch {
		case !isKey(key):
			return nil, fmt.Errorf("a %T is no key", key)
		case seen[key]:
			return nil, errors.New("a key is there twice")
		}
		seen[key] = true
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, Pair{key, value})
	}
	return pairs, nil
}

func simple(n uint64) (any, error) {
	switch n {
	case simpleFalse & 31:
		return false, nil
	case simpleTrue & 31:
		return true, nil
	case simpleNull & 31:
		return nil, nil //nolint:nilnil // null is a value
	}
	return nil, fmt.Errorf("the simple value %d is not supported", n)
}
