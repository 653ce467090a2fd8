package acmetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// What encoding/json takes for an object, and for its members, parseObject takes too; but for duplicates.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":"b","c":"d"}`, "\t{ \"a\" : \"b\" ,\n\"c\":[1,{\"d\":\"]}\"}]}\r\n", `{"\u0061":"\""}`, `{"a":"\\"}`,
		`{"a":-1.5e3,"b":true,"c":false,"d":null}`, `{"":{}}`, `{"a":"ü"}`,
		``, `{`, `}`, `[]`, `"a"`, `null`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a":1}{}`, `{a:1}`, `{1:1}`,
		`{null:1}`, `{"a":tru}`, `{"a":tru"e"}`, `{"a":"b}`, `{"a":"b\"}`, `{"a":"\`, `{"a":[}`, `{"a":[1,]}`, `{"a":01}`, `{"a":"b"c}`, "{\"a\":\"\n\"}",
		"{\"a\":\"\xff\"}", `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":,"b":1}`, `{"a"::1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseObject(bytes.Clone(data))
		want := map[string]json.RawMessage(nil)
		invalid := json.Unmarshal(data, &want) != nil || want == nil
		if err != nil {
			if !invalid && duplicates(t, data) == 0 && bytes.Equal(bytes.ToValidUTF8(data, nil), data) {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if invalid || !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%q became %q, want %q", data, got, want)
		}
		for name := range got {
			text, r := required[string](got, name)
			var s string
			if wrong := json.Unmarshal(want[name], &s) != nil || string(want[name]) == "null"; !bytes.Equal(got[name], want[name]) || wrong != (r != nil) || text != s {
				t.Errorf("%q: %q is %q, %q", data, name, got[name], text)
			}
		}
	})
}

// duplicates counts the members of an object that have the name of another one.
func duplicates(t *testing.T, data []byte) (n int) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return 0
	}
	names := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return n
		}
		text, _ := name.(string)
		if names[text] {
			n++
		}
		names[text] = true
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return n
		}
	}
	return n
}
