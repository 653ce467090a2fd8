package cbor

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExamples has the examples of RFC 8949 Appendix A that are in this subset.
func TestExamples(t *testing.T) {
	t.Parallel()
	for encoded, value := range map[string]any{
		"00": int64(0), "01": int64(1), "0a": int64(10), "17": int64(23), "1818": int64(24), "1864": int64(100), "1903e8": int64(1000),
		"1a000f4240": int64(1000000), "1b000000e8d4a51000": int64(1000000000000), "1b7fffffffffffffff": int64(math.MaxInt64),
		"20": int64(-1), "29": int64(-10), "3863": int64(-100), "3903e7": int64(-1000), "3b7fffffffffffffff": int64(math.MinInt64),
		"f4": false, "f5": true, "f6": nil, "40": []byte{}, "4401020304": []byte{1, 2, 3, 4},
		"60": "", "6161": "a", "6449455446": "IETF", "62225c": "\"\\", "62c3bc": "ü", "63e6b0b4": "水",
		"80": []any{}, "83010203": []any{int64(1), int64(2), int64(3)},
		"8301820203820405": []any{int64(1), []any{int64(2), int64(3)}, []any{int64(4), int64(5)}},
		"a0":               Map{}, "a201020304": Map{{int64(1), int64(2)}, {int64(3), int64(4)}},
		"a26161016162820203":                         Map{{"a", int64(1)}, {"b", []any{int64(2), int64(3)}}},
		"826161a161626163":                           []any{"a", Map{{"b", "c"}}},
		"a56161614161626142616361436164614461656145": Map{{"a", "A"}, {"b", "B"}, {"c", "C"}, {"d", "D"}, {"e", "E"}},
	} {
		data := unhex(t, encoded)
		if got, err := Unmarshal(data); err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%s: %#v, %v, want %#v", encoded, got, err, value)
		}
		if got, err := Marshal(value); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%#v: %x, %v, want %s", value, got, err, encoded)
		}
	}
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		"a3617705" + "63666d746161" + "6676616c75657301": map[string]any{"values": 1, "w": 5, "fmt": "a"}, // in the order of the encodings
		"a3010220036161f6": Map{{"a", nil}, {-1, 3}, {1, 2}},
		"826161626262":     []string{"a", "bb"},
		"8241014102":       [][]byte{{1}, {2}},
		"1818":             24,
		"38ff":             -256,
	} {
		if got, err := Marshal(value); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%#v: %x, %v, want %s", value, got, err, want)
		}
	}
	for says, value := range map[string]any{
		"cannot encode a float64":  []any{1.5},
		"cannot encode a struct":   map[string]any{"a": struct{}{}},
		"not UTF-8":                "\xff",
		"a key is there twice":     Map{{1, 1}, {int64(1), 2}},
		"is no key":                Map{{true, 1}},
		"nested deeper than 16":    nest(18),
		"cbor: cannot encode a []": []int{1},
	} {
		if got, err := Marshal(value); err == nil || got != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %x, %v", says, got, err)
		}
	}
}

func nest(n int) any {
	if n == 0 {
		return 1
	}
	return []any{nest(n - 1)}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	for encoded, says := range map[string]string{
		"":                              "ends too early",
		"18":                            "ends too early",
		"1b00000000000000":              "ends too early",
		"420a":                          "ends too early",
		"5bffffffffffffffff0a":          "ends too early",
		"626161e0":                      "octets follow",
		"61ff":                          "not UTF-8",
		"0000":                          "1 octets follow",
		"1bffffffffffffffff":            "more than 64 bits",
		"3b8000000000000000":            "more than 64 bits",
		"9b00000000ffffffff00":          "ends too early",
		"bb00000000ffffffff00":          "ends too early",
		"8201":                          "ends too early",
		"a101":                          "ends too early",
		"a201020102":                    "a key is there twice",
		"a1400a":                        "is no key",
		"a1800a":                        "is no key",
		"c000":                          "tags",
		"f93c00":                        "not supported",
		"fb3ff199999999999a":            "not supported",
		"f7":                            "the simple value 23",
		"f820":                          "not supported",
		"5f42010243030405ff":            "not supported",
		"9fff":                          "not supported",
		"bfff":                          "not supported",
		"1c":                            "not supported",
		"ff":                            "not supported",
		strings.Repeat("81", 17) + "00": "nested deeper",
		strings.Repeat("81", 1000):      "nested deeper",
	} {
		if got, err := Unmarshal(unhex(t, encoded)); err == nil || got != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %#v, %v, want %s", encoded, got, err, says)
		}
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	m := Map{{"a", int64(1)}, {int64(2), nil}}
	if v, ok := m.Get(int64(2)); v != nil || !ok {
		t.Errorf("%v, %t", v, ok)
	}
	if v, ok := m.Get("b"); v != nil || ok {
		t.Errorf("%v, %t", v, ok)
	}
	if w := m.Without("a"); len(w) != 1 || len(m) != 2 || w[0].Key != int64(2) || m[0].Key != "a" {
		t.Errorf("%v of %v", w, m)
	}
}

// FuzzUnmarshal: what can be decoded can be encoded, and gives the same again.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{"a201020304", "8301820203820405", "9bffffffffffffffff", "62c3bc", "a163666d74646e6f6e65"} {
		data, _ := hex.DecodeString(seed)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := Unmarshal(data)
		if err != nil {
			return
		}
		once, err := Marshal(value)
		if err != nil {
			t.Fatalf("%#v: %v", value, err)
		}
		again, err := Unmarshal(once)
		if err != nil {
			t.Fatalf("%x: %v", once, err)
		}
		twice, err := Marshal(again)
		if err != nil || !bytes.Equal(once, twice) || len(once) > len(data) {
			t.Errorf("%x, then %x, then %x, %v", data, once, twice, err)
		}
	})
}
