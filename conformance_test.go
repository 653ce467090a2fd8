package acme_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// testdata/requirements.tsv lists what the ACME texts ask of a client. A test
// that observes a requirement from outside claims it (package
// internal/conformance); what cannot bind this library has a reason in
// testdata/requirements-reasons.tsv. Each row of the documents below has one or
// the other, and docs/conformance.md is made of both: -update writes it.

// A document is a text whose rows must all be claimed, or have reasons.
type document struct {
	prefix string // of the ids
	title  string
}

func conformant() []document {
	return []document{
		{"8555-", "RFC 8555"},
		{"7515-", "RFC 7515 (JWS)"},
		{"7518-", "RFC 7518 (JWA)"},
		{"7638-", "RFC 7638 (JWK thumbprints)"},
		{"8037-", "RFC 8037 (Ed25519)"},
		{"8288-", "RFC 8288 (links)"},
		{"9110-", "RFC 9110 (HTTP)"},
		{"9457-", "RFC 9457 (problem details)"},
		{"8657-", "RFC 8657 (CAA accounturi and validationmethods)"},
		{"8737-", "RFC 8737 (tls-alpn-01)"},
		{"8738-", "RFC 8738 (IP addresses)"},
		{"8739-", "RFC 8739 (auto-renewal)"},
		{"9115-", "RFC 9115 (delegation)"},
		{"9444-", "RFC 9444 (subdomains)"},
		{"9773-", "RFC 9773 (renewal information)"},
		{"profiles-", "draft-ietf-acme-profiles-01 (profiles)"},
		{"9799-", "RFC 9799 (onion names)"},
		{"8823-", "RFC 8823 (email-reply-00)"},
		{"9447-", "RFC 9447 (tkauth-01)"},
		{"9448-", "RFC 9448 (TNAuthList)"},
		{"9891-", "RFC 9891 (bp-nodeid-00)"},
		{"devattest-", "draft-ietf-acme-device-attest (device-attest-01)"},
		{"dnsacct-", "draft-ietf-acme-dns-account-label-03 (dns-account-01)"},
		{"persist-", "draft-ietf-acme-dns-persist-00 to -02 (dns-persist-01)"},
		{"persist01-", "draft-ietf-acme-dns-persist-01 alone"},
		{"persist02-", "draft-ietf-acme-dns-persist-02 alone"},
	}
}

// A requirement is a row of the table.
type requirement struct {
	id, section, level, text string
	key                      string // orders the rows of a document
	reason                   string
	tests                    []string // that claim it
}

// readTSV reads a file of testdata, less its first line.
func readTSV(name string) ([][]string, error) {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\r\n", "\n")) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows[1:], nil
}

// requirements reads the table, with the reasons and the claims of all packages.
func requirements(t *testing.T) []*requirement {
	t.Helper()
	lines, err := readTSV("requirements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := readTSV("requirements-reasons.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var rows []*requirement
	byID := map[string]*requirement{}
	for _, f := range lines {
		r := &requirement{id: f[0], section: f[1], level: f[2], text: f[4], key: sectionKey(f[0])}
		rows, byID[r.id] = append(rows, r), r
	}
	for _, f := range reasons {
		if byID[f[0]] == nil || len(f) != 2 {
			t.Fatalf("requirements-reasons.tsv: unknown requirement, or no reason: %q", f)
		}
		byID[f[0]].reason = f[1]
	}
	for _, dir := range testDirectories(t) {
		claims, err := conformance.Scan(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) > 0 && !hasMain(dir) {
			t.Errorf("%s: the tests have claims, but no TestMain that calls conformance.Main", dir)
		}
		for _, c := range claims {
			r := byID[c.ID]
			switch {
			case r == nil:
				t.Errorf("%s/%s claims %s, which there is not", dir, c.Test, c.ID)
			case r.reason != "":
				t.Errorf("%s/%s claims %s, which has a reason not to be tested: %s", dir, c.Test, c.ID, r.reason)
			case dir == ".":
				r.tests = append(r.tests, c.Test)
			default:
				r.tests = append(r.tests, filepath.Base(dir)+"."+c.Test)
			}
		}
	}
	return rows
}

// testDirectories returns the directories of the repository that have tests, and
// whose TestMain sees to it that what they claim is run.
func testDirectories(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || name == "docs" || path != "." && strings.HasPrefix(name, ".") || path == filepath.Join("internal", "conformance") {
			return filepath.SkipDir
		}
		dirs = append(dirs, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func hasMain(dir string) bool {
	names, _ := filepath.Glob(filepath.Join(dir, "*_test.go")) // the pattern is good
	return slices.ContainsFunc(names, func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && strings.Contains(string(data), "conformance.Main(m")
	})
}

// TestMain sees to it that what is claimed is run.
func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	rows := requirements(t)
	var open []string
	isOpen := func(r *requirement) bool { return len(r.tests) == 0 && r.reason == "" }
	for _, doc := range conformant() {
		for _, r := range rows {
			if strings.HasPrefix(r.id, doc.prefix) && isOpen(r) {
				open = append(open, r.id+" "+r.text)
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("%d requirements are claimed by no test:\n%s", len(open), strings.Join(open, "\n"))
	}
	want := conformanceDocument(rows)
	file := filepath.Join("docs", "conformance.md")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Errorf("%s is out of date: run go test -run TestConformance -update . (%v)", file, err)
	}
}

// conformanceDocument is docs/conformance.md.
func conformanceDocument(rows []*requirement) string {
	var total, tested int
	var parts strings.Builder
	where := citations()
	for _, doc := range conformant() {
		var own []*requirement
		for _, r := range rows {
			if strings.HasPrefix(r.id, doc.prefix) {
				own = append(own, r)
				total++
				if r.reason == "" {
					tested++
				}
			}
		}
		slices.SortFunc(own, func(a, b *requirement) int {
			return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.id, b.id))
		})
		fmt.Fprintf(&parts, "\n## %s\n\n| requirement | level | | code | test |\n|---|---|---|---|---|\n", doc.title)
		for _, r := range own {
			parts.WriteString(r.row(where))
		}
	}
	return fmt.Sprintf(`# Conformance

What the ACME texts ask of a client, and which test observes it. This file is generated: go test -run TestConformance -update .
writes it, and every test run checks it against the claims in the tests. The rows are in testdata/requirements.tsv, where each says
how a test sees it from outside; the middle of an id is the section.

%d requirements: %d with a test, %d with a reason why it cannot bind this library.
`, total, tested, total-tested) + parts.String()
}

// row is a line of the document.
func (r *requirement) row(where map[string][]string) string {
	slices.Sort(r.tests)
	test := "`" + strings.Join(r.tests, "`, `") + "`"
	if r.reason != "" {
		test = r.reason
	}
	text := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(r.text)
	rfc, rest, _ := strings.Cut(r.id, "-")
	number, _, _ := strings.Cut(rest, "-")
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", r.id, r.level, text, strings.Join(where[rfc+" "+number], ", "), test)
}

// sectionKey orders sections by number.
func sectionKey(section string) string {
	parts := strings.FieldsFunc(section, func(r rune) bool { return r < '0' || r > '9' })
	for i, p := range parts {
		parts[i] = fmt.Sprintf("%05s", p)
	}
	return strings.Join(parts, ".")
}

// citations finds the files that cite a section of an RFC, by RFC and section.
func citations() map[string][]string {
	where := map[string][]string{}
	_ = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error { // which is not asked for what is not there
		isTest := strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "acmetest") || strings.HasPrefix(name, "e2e") || strings.HasPrefix(name, "examples")
		if err != nil || isTest || name == "doc.go" || !strings.HasSuffix(name, ".go") {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if !strings.Contains(line, "§") { // a regular expression takes long
				continue
			}
			for _, m := range section.FindAllStringSubmatch(line, -1) {
				key := cmp.Or(m[1], "8555") + " " + m[2]
				if name := filepath.ToSlash(name); !slices.Contains(where[key], name) {
					where[key] = append(where[key], name)
				}
			}
		}
		return nil
	})
	return where
}
