package acme_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write generated and golden files instead of comparing them")

// A parsed package, without its tests.
type parsed struct {
	files map[string]*ast.File
	fset  *token.FileSet
}

var parse = sync.OnceValues(func() (parsed, error) {
	p := parsed{map[string]*ast.File{}, token.NewFileSet()}
	names, err := filepath.Glob("*.go")
	if err != nil {
		return p, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if p.files[name], err = parser.ParseFile(p.fset, name, nil, parser.ParseComments); err != nil {
			return p, err
		}
	}
	return p, nil
})

func sources(t *testing.T) (map[string]*ast.File, *token.FileSet) {
	t.Helper()
	p, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	return p.files, p.fset
}

// receiver returns the name of a method's receiver type, "" for functions.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	name, _ := kind.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

var section = regexp.MustCompile(`(?:RFC\s+(\d+)\s+)?§([\d.]*\d)`)

// Each method that sends something says which section it follows. The map of
// sections in doc.go is made of that; -update writes it.
func TestDocCitations(t *testing.T) {
	t.Parallel()
	files, _ := sources(t)
	where := map[string][]string{} // by section
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			kind := receiver(f)
			if kind != "Client" && kind != "Account" && kind != "" {
				continue
			}
			name := strings.TrimPrefix(kind+"."+f.Name.Name, ".")
			cites := section.FindAllStringSubmatch(f.Doc.Text(), -1)
			for _, c := range cites {
				s := "§" + c[2]
				if c[1] != "" {
					s = "RFC " + c[1] + " " + s
				}
				if !slices.Contains(where[s], name) {
					where[s] = append(where[s], name)
				}
			}
			sends := kind != "" && f.Type.Params.NumFields() > 0 && strings.Contains(fmt.Sprint(f.Type.Params.List[0].Type), "context")
			if sends && len(cites) == 0 {
				t.Errorf("%s cites no section", name)
			}
		}
	}
	var lines []string
	for s, names := range where {
		slices.Sort(names)
		lines = append(lines, fmt.Sprintf("//\t%-17s %s", s, strings.Join(names, ", ")))
	}
	slices.SortFunc(lines, bySection)
	checkGenerated(t, "doc.go", "Where a section is obeyed; all but those named otherwise are of RFC 8555.\n//\n", "package acme\n", strings.Join(lines, "\n")+"\n")
}

// bySection orders "§7.3" before "§7.3.1" before "§11", and RFC 8555 first.
func bySection(a, b string) int {
	key := func(line string) string {
		s := strings.Fields(strings.TrimPrefix(line, "//\t"))
		rfc, number := "8555", s[0]
		if number == "RFC" {
			rfc, number = s[1], s[2]
		}
		parts := strings.Split(strings.TrimPrefix(number, "§"), ".")
		for i, p := range parts {
			parts[i] = fmt.Sprintf("%03s", p)
		}
		return rfc + strings.Join(parts, ".")
	}
	return strings.Compare(key(a), key(b))
}

// checkGenerated compares, or with -update replaces, the part of a file between
// two marks.
func checkGenerated(t *testing.T, name, begin, end, want string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has not the marks %q and %q", name, begin, end)
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s is out of date: run go test -run %s -update .\ngot:\n%s\nwant:\n%s", name, t.Name(), got, want)
		return
	}
	if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // a source file
		t.Fatal(err)
	}
}

// What Obtain, Complete and Authorize can do, every user can: they use exported
// methods of Account alone, and no Client.
func TestObtainUsesExportedAPI(t *testing.T) {
	t.Parallel()
	files, fset := sources(t)
	methods := map[string]bool{}
	for _, file := range files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && (receiver(f) == "Account" || receiver(f) == "Client") {
				methods[f.Name.Name] = true
			}
		}
	}
	for _, name := range []string{"obtain.go", "authorize.go", "validation.go"} {
		ast.Inspect(files[name], func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			on := ""
			switch x := call.X.(type) {
			case *ast.Ident:
				on = x.Name
			case *ast.SelectorExpr:
				on = x.Sel.Name
			}
			isAccount := on == "a" || on == "account"
			if isAccount && (!call.Sel.IsExported() || !methods[call.Sel.Name]) || call.Sel.Name == "client" {
				t.Errorf("%s: %s.%s is not open to users", fset.Position(call.Pos()), on, call.Sel.Name)
			}
			return true
		})
	}
}

// No type of another module is in the API: go-jose is for jws.go alone, idna
// for identifier.go.
func TestImports(t *testing.T) {
	t.Parallel()
	files, _ := sources(t)
	allowed := map[string]string{"github.com/go-jose/go-jose/v4": "jws.go", "golang.org/x/net/idna": "identifier.go"}
	for name, file := range files {
		for _, imp := range file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if strings.Contains(path, ".") && !strings.Contains(path, "/acme/internal/") && allowed[path] != name {
				t.Errorf("%s imports %s", name, path)
			}
		}
		if name != "jws.go" {
			continue
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
				t.Errorf("%s: exported beside go-jose", f.Name.Name)
			}
		}
	}
}

// Functions are to be read without scrolling, files without getting lost.
func TestSizes(t *testing.T) {
	t.Parallel()
	files, fset := sources(t)
	for name, file := range files {
		if lines := fset.Position(file.End()).Line; lines > 400 {
			t.Errorf("%s has %d lines", name, lines)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line; lines > 60 {
				t.Errorf("%s: %s has %d lines", name, f.Name.Name, lines)
			}
		}
	}
}

// The README's first program is the package's Example: it compiles.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	block, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("README.md has no Go block")
	}
	if n := strings.Count(block, "\n"); n > 25 {
		t.Errorf("the first program has %d lines", n)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(example), "crypto.Signer(nil)\n\n")
	body, _, _ := strings.Cut(rest, "\n}\n")
	var want strings.Builder
	for line := range strings.Lines(body + "\n") {
		want.WriteString(strings.TrimPrefix(line, "\t"))
	}
	if block != want.String() {
		t.Errorf("README.md has\n%s\nexample_test.go has\n%s", block, want.String())
	}
	for _, command := range []string{"go run ./examples/quickstart", "go test work"} {
		if !strings.Contains(string(readme), command) {
			t.Errorf("README.md does not name %q", command)
		}
	}
}

var testName = regexp.MustCompile("\\[?`(Test\\w+)`(?:\\]\\(([\\w./-]+)\\))?")

// Each test that a document names is there, and a link leads to its file. -update
// makes the links to tests of the root package.
func TestDocumentsNameTests(t *testing.T) {
	t.Parallel()
	where, err := testFiles()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "README.md") {
		if name = filepath.ToSlash(name); name == "docs/conformance.md" {
			continue // it is made of the tests
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		toRoot := strings.Repeat("../", strings.Count(name, "/"))
		text := testName.ReplaceAllStringFunc(string(data), func(found string) string {
			m := testName.FindStringSubmatch(found)
			test, link := m[1], strings.TrimPrefix(m[2], toRoot)
			files := where[test]
			if link == "" { // one of the root package goes without saying
				isElsewhere := func(file string) bool { return strings.Contains(file, "/") }
				if own := slices.DeleteFunc(slices.Clone(files), isElsewhere); len(own) == 1 {
					files = own
				}
			}
			switch {
			case slices.Contains(files, link):
				return found
			case len(files) == 1:
				return "[`" + test + "`](" + toRoot + files[0] + ")"
			}
			t.Errorf("%s: %s is in %q, not in %q", name, test, where[test], link)
			return found
		})
		if text == string(data) {
			continue
		}
		if !*update {
			t.Errorf("%s has tests without links: run go test -run %s -update .", name, t.Name())
		} else if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a document
			t.Error(err)
		}
	}
}

// testFiles finds the files of all tests in the repository.
func testFiles() (map[string][]string, error) {
	where := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for part := range strings.SplitSeq(string(data), "\nfunc ") {
			if name, _, _ := strings.Cut(part, "("); strings.HasPrefix(name, "Test") {
				where[name] = append(where[name], filepath.ToSlash(path))
			}
		}
		return err
	})
	return where, err
}
