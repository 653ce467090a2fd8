package acme_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each block of Go in README.md and in docs/ is part of a file that is compiled,
// but for the space in front of lines: of an example, of another package, or of a
// file named documents_…_test.go here. A line with nothing but "…" stands for lines that are
// left out.
func TestDocumentBlocks(t *testing.T) {
	t.Parallel()
	sources, err := allSources()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, name := range append(names, "README.md") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(unindent(string(data)), "\n```go\n") {
			block, _, closed := strings.Cut(part, "\n```\n")
			if i == 0 {
				continue
			}
			if blocks++; !closed || !isCompiled(block, sources) {
				t.Errorf("%s: this block is in no Go file:\n%s", name, block)
			}
		}
	}
	if blocks < 5 {
		t.Errorf("only %d blocks were found", blocks)
	}
}

// isCompiled reports whether a source has the pieces of a block, in order.
func isCompiled(block string, sources []string) bool {
	for _, source := range sources {
		found := true
		for piece := range strings.SplitSeq("\n"+block+"\n", "\n…\n") {
			if _, source, found = strings.Cut(source, "\n"+strings.Trim(piece, "\n")+"\n"); !found {
				break
			}
			source = "\n" + source
		}
		if found {
			return true
		}
	}
	return false
}

// allSources reads the Go files of the repository that may have blocks.
func allSources() (sources []string, err error) {
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".go"), filepath.Base(name) == name && !strings.HasPrefix(name, "example") && !strings.HasPrefix(name, "documents_"):
			return nil
		}
		data, err := os.ReadFile(name)
		sources = append(sources, unindent(string(data)))
		return err
	})
	return sources, err
}

// unindent takes the space away from both ends of the lines.
func unindent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestIsCompiled(t *testing.T) {
	t.Parallel()
	sources := []string{"\na\nb\n", "\na\nb\nc\nd\ne\n"}
	for block, want := range map[string]bool{
		"a\nb": true, "b\nc": true, "c\nd\ne": true, "a\nc": false, "f": false, "b\nc\nd\nf": false,
		"a\n…\nd": true, "a\n…\nb\n…\ne": true, "d\n…\na": false, "a\n…\na": false, "a\n…\nf": false,
	} {
		if got := isCompiled(block, sources); got != want {
			t.Errorf("%q: %t", block, got)
		}
	}
}
