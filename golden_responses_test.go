package acme

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each kind of object that a server sends is in testdata/golden/responses, mostly as
// an RFC has it, and what the library reads in it in a file beside it. The first word
// of the name is the kind. -update writes the second.
func TestGoldenResponses(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "responses", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		kind, _, _ := strings.Cut(name, "-")
		wire, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wire = bytes.ReplaceAll(wire, []byte("\r\n"), []byte("\n"))
		object, raw := goldenObject(kind)
		if object == nil {
			t.Fatalf("%s: no kind of object", name)
		}
		if err := object.decode(wire); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := raw(); r != nil && !bytes.Equal(r, wire) {
			t.Errorf("%s: Raw is %s", name, r)
		}
		kinds[kind] = true
		checkParsed(t, name, object)
	}
	if len(kinds) != 10 {
		t.Errorf("not all kinds of objects: %v", kinds)
	}
}

// goldenObject returns an object of a kind, and how to get its Raw.
func goldenObject(kind string) (object decoder, raw func() json.RawMessage) {
	switch kind {
	case "directory":
		o := new(Directory)
		return o, func() json.RawMessage { return o.Raw }
	case "account":
		o := new(AccountInfo)
		return o, func() json.RawMessage { return o.Raw }
	case "order":
		o := new(Order)
		return o, func() json.RawMessage { return o.Raw }
	case "authorization":
		o := new(Authorization)
		return o, func() json.RawMessage { return o.Raw }
	case "challenge":
		o := new(Challenge)
		return o, func() json.RawMessage { return o.Raw }
	case "problem":
		o := new(Problem)
		return o, func() json.RawMessage { return o.Raw }
	case "renewalInfo":
		o := new(RenewalInfo)
		return o, func() json.RawMessage { return o.Raw }
	case "delegation":
		o := new(Delegation)
		return o, func() json.RawMessage { return o.Raw }
	case "orders", "delegations":
		o := &listPage{name: kind}
		return o, func() json.RawMessage { return nil }
	}
	return nil, nil
}

func checkParsed(t *testing.T, name string, object decoder) {
	t.Helper()
	var v any = object
	if page, ok := object.(*listPage); ok {
		v = page.urls
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(pruned(tree)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "golden", "responses", name+".txt")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil { //nolint:gosec // a test file
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s:\ngot\n%swant\n%s", name, &got, want)
	}
}

// pruned leaves out what is as served, and what is zero.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "Raw")
		for key, member := range v {
			switch member = pruned(member); member {
			case nil, "", false, 0.0, "0001-01-01T00:00:00Z":
				delete(v, key)
			default:
				v[key] = member
			}
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
	}
	return v
}
