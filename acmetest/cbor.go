package acmetest

import (
	"errors"
	"fmt"
)

// readCBOR decodes one CBOR item (RFC 8949) of definite lengths into uint64, negative numbers as int64, string, []byte, []any
// and map[any]any. Other items than those are errors: challenge responses have none.
func readCBOR(data []byte) (item any, rest []byte, err error) { return readCBORItem(data, 0) }

const errCBOR = constError("acmetest: the CBOR is cut off")

func readCBORItem(data []byte, depth int) (item any, rest []byte, err error) {
	if depth > 8 {
		return nil, nil, errors.New("the CBOR is nested too deep")
	}
	if len(data) == 0 {
		return nil, nil, errCBOR
	}
	kind, n := data[0]>>5, uint64(data[0]&0x1f)
	data = data[1:]
	if n >= 24 {
		size := 1 << (n - 24)
		if n > 27 {
			return nil, nil, errors.New("the CBOR has an indefinite length")
		}
		if len(data) < size {
			return nil, nil, errCBOR
		}
		n = 0
		for _, b := range data[:size] {
			n = n<<8 | uint64(b)
		}
		data = data[size:]
	}
	switch kind {
	case 0:
		return n, data, nil
	case 1:
		return -1 - int64(n), data, nil //nolint:gosec // no test has that many digits
	case 2, 3:
		if n > uint64(len(data)) {
			return nil, nil, errCBOR
		}
		if kind == 3 {
			return string(data[:n]), data[n:], nil
		}
		return data[:n], data[n:], nil
	case 4:
		return readCBORArray(data, n, depth)
	case 5:
		return readCBORMap(data, n, depth)
	}
	return nil, nil, fmt.Errorf("the CBOR has an item of the major type %d", kind)
}

func readCBORArray(data []byte, n uint64, depth int) (any, []byte, error) {
	list := []any{}
	for ; n > 0; n-- {
		item, rest, err := readCBORItem(data, depth+1)
		if err != nil {
			return nil, nil, err
		}
		list, data = append(list, item), rest
	}
	return list, data, nil
}

func readCBORMap(data []byte, n uint64, depth int) (any, []byte, error) {
	m := map[any]any{}
	for ; n > 0; n-- {
		key, rest, err := readCBORItem(data, depth+1)
		if err != nil {
			return nil, nil, err
		}
		switch key.(type) {
		case uint64, int64, string:
		default:
			return nil, nil, fmt.Errorf("a CBOR map has a %T as key", key)
		}
		if _, twice := m[key]; twice {
			return nil, nil, fmt.Errorf("a CBOR map has the key %v twice", key)
		}
		if m[key], data, err = readCBORItem(rest, depth+1); err != nil {
			return nil, nil, err
		}
	}
	return m, data, nil
}
