// Package conformance ties tests to the requirements that they observe. A test
// claims rows of testdata/requirements.tsv by their ids:
//
//	func TestRecord(t *testing.T) {
//		conformance.Claim(t, "8555-8.4-02")
//		…
//	}
//
// A claim goes into the test that fails when the requirement is broken, not into
// one that happens to pass by. Claims are read from the source, for
// docs/conformance.md, so ids are literals, in a Test function itself; and the
// package's TestMain is [Main], which sees to it that each of them was reached.
package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Claimed is a requirement and a test that claims it.
type Claimed struct {
	Test, ID string
}

// claims are those that were reached in this process.
var claims sync.Map //nolint:gochecknoglobals // testing has no place for what belongs to all tests of a binary

// Claim says that the test observes the requirements.
func Claim(t testing.TB, ids ...string) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	for _, id := range ids {
		claims.Store(Claimed{name, id}, true)
	}
}

// Main runs the tests of a package and exits. If all have passed, it checks that
// all claims of the package were reached, and calls the further checks.
func Main(m *testing.M, checks ...func() error) {
	debug.SetGCPercent(400) // collections cost a fifth of the time under the race detector
	code := m.Run()
	if code == 0 && isFullRun() {
		for _, check := range append(checks, checkReached) {
			if err := check(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

func isFullRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

func checkReached() error {
	written, err := Scan(".")
	if err != nil {
		return err
	}
	var missed []string
	for _, c := range written {
		if _, ok := claims.Load(c); !ok {
			missed = append(missed, c.Test+": "+c.ID)
		}
	}
	if missed != nil {
		return fmt.Errorf("conformance: claims that were not reached:\n%s", strings.Join(missed, "\n"))
	}
	return nil
}

// Scan returns the claims in the test files of a directory, in order.
func Scan(dir string) ([]Claimed, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	found := map[Claimed]bool{}
	for _, name := range names {
		data, err := os.ReadFile(name) //nolint:gosec // a source file of this repository
		if err != nil {
			return nil, err
		}
		if err := scan(string(data), found); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Claimed) int {
		return strings.Compare(a.Test+" "+a.ID, b.Test+" "+b.ID)
	}), nil
}

// scan finds the claims in a source file. Functions of a file that gofmt has
// formatted begin at the beginning of a line.
func scan(source string, found map[Claimed]bool) error {
	const call = "\tconformance.Claim("
	for function := range strings.SplitSeq(source, "\nfunc ") {
		name, body, _ := strings.Cut(function, "(")
		for {
			_, rest, ok := strings.Cut(body, call)
			if !ok {
				break
			}
			var arguments string
			arguments, body, _ = strings.Cut(rest, ")")
			literals := strings.Split(arguments, `"`)
			var between strings.Builder
			for i := 0; i < len(literals); i += 2 {
				between.WriteString(literals[i])
			}
			if !strings.HasPrefix(name, "Test") || len(literals) < 3 || strings.Trim(between.String(), ", \t\n") != "t" {
				return fmt.Errorf("a claim that cannot be read, in %s: %s", name, arguments)
			}
			for i := 1; i < len(literals); i += 2 {
				found[Claimed{name, literals[i]}] = true
			}
		}
	}
	return nil
}
