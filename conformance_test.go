package acme_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testdata/requirements.tsv lists what the ACME texts ask of a client. A test
// that observes a requirement from outside claims it; what cannot bind this
// library has a reason in testdata/requirements-reasons.tsv. After a full run
// each row of the documents below must have one or the other, and with -update
// docs/conformance.md is written.

// conformant are the documents, as ids begin, whose rows must all be claimed.
var conformant = []string{"8555-"}

// A requirement is a row of the table.
type requirement struct {
	id, section, level, text string
	reason                   string
	tests                    []string // that claimed it in this run
}

// A conformanceTable has all requirements by id.
type conformanceTable struct {
	mu   sync.Mutex
	rows map[string]*requirement
}

var table = sync.OnceValue(func() *conformanceTable {
	t := &conformanceTable{rows: map[string]*requirement{}}
	for _, f := range readTSV("requirements.tsv") {
		t.rows[f[0]] = &requirement{id: f[0], section: f[1], level: f[2], text: f[4]}
	}
	for _, f := range readTSV("requirements-reasons.tsv") {
		r := t.rows[f[0]]
		if r == nil {
			panic("requirements-reasons.tsv: unknown requirement " + f[0])
		}
		r.reason = f[1]
	}
	return t
})

// readTSV reads a file of testdata, less its first line.
func readTSV(name string) [][]string {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		panic(err)
	}
	var rows [][]string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\r\n", "\n")) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows[1:]
}

// claim says that the test observes these requirements. It goes into the test
// that fails when the requirement is broken, not into one that happens to pass
// by.
func claim(t *testing.T, ids ...string) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	c := table()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		switch r := c.rows[id]; {
		case r == nil:
			t.Errorf("claim: there is no requirement %s", id)
		case r.reason != "":
			t.Errorf("claim: %s has a reason not to be tested: %s", id, r.reason)
		case !slices.Contains(r.tests, name):
			r.tests = append(r.tests, name)
		}
	}
}

// TestMain checks the claims when all tests have run and passed.
func TestMain(m *testing.M) {
	code := m.Run()
	full := true
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		full = full && flag.Lookup(name).Value.String() == ""
	}
	if code == 0 && full {
		if err := checkConformance(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func checkConformance() error {
	var open []string
	var rows []*requirement
	for _, id := range slices.Sorted(maps.Keys(table().rows)) {
		r := table().rows[id]
		if !slices.ContainsFunc(conformant, func(doc string) bool { return strings.HasPrefix(id, doc) }) {
			continue
		}
		rows = append(rows, r)
		if len(r.tests) == 0 && r.reason == "" {
			open = append(open, id+" "+r.text)
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%d requirements are claimed by no test that ran:\n%s", len(open), strings.Join(open, "\n"))
	}
	want := conformanceDocument(rows)
	file := filepath.Join("docs", "conformance.md")
	if *update {
		return os.WriteFile(file, []byte(want), 0o644) //nolint:gosec // a document
	}
	got, err := os.ReadFile(file)
	if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		return fmt.Errorf("%s is out of date: run go test -update . (%w)", file, err)
	}
	return nil
}

// conformanceDocument is docs/conformance.md.
func conformanceDocument(rows []*requirement) string {
	slices.SortFunc(rows, func(a, b *requirement) int {
		return cmp.Or(strings.Compare(sectionKey(a.section), sectionKey(b.section)), strings.Compare(a.id, b.id))
	})
	where := citations()
	tested := 0
	for _, r := range rows {
		if r.reason == "" {
			tested++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Conformance

What RFC 8555 asks of a client, and which test observes it. This file is generated: go test -update . in the root writes
it, and every full test run checks it against the tests that ran. The rows are in testdata/requirements.tsv, where each says how a
test sees it from outside.

%d requirements: %d with a test, %d with a reason why it cannot bind this library.

| requirement | level | | code | test |
|---|---|---|---|---|
`, len(rows), tested, len(rows)-tested)
	for _, r := range rows {
		slices.Sort(r.tests)
		test := "`" + strings.Join(r.tests, "`, `") + "`"
		if r.reason != "" {
			test = r.reason
		}
		text := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(r.text)
		number := strings.TrimPrefix(r.section, "RFC 8555 ")
		fmt.Fprintf(&b, "| §%s %s | %s | %s | %s | %s |\n", number, r.id, r.level, text, strings.Join(where[number], ", "), test)
	}
	return b.String()
}

// sectionKey orders sections by number.
func sectionKey(section string) string {
	parts := regexp.MustCompile(`\d+`).FindAllString(section, -1)
	for i, p := range parts {
		parts[i] = fmt.Sprintf("%05s", p)
	}
	return strings.Join(parts, ".")
}

// citations finds the files that cite a section of RFC 8555.
func citations() map[string][]string {
	where := map[string][]string{}
	names, _ := filepath.Glob("*.go") // the pattern is good
	for _, name := range append(names, filepath.Join("challenge", "http01", "http01.go")) {
		if strings.HasSuffix(name, "_test.go") || name == "doc.go" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		for _, m := range section.FindAllStringSubmatch(string(data), -1) {
			if (m[1] == "" || m[1] == "8555") && !slices.Contains(where[m[2]], name) {
				where[m[2]] = append(where[m[2]], filepath.ToSlash(name))
			}
		}
	}
	return where
}
