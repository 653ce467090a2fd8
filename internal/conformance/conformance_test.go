package conformance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestScan(t *testing.T) {
	t.Parallel()
	const source = `package x

func TestOne(t *testing.T) {
	conformance.Claim(t, "a-1", "a-2")
	f := func() {
		conformance.Claim(t,
			"a-3",
		)
	}
}

func TestTwo(t *testing.T) {
	conformance.Claim(t, "a-1")
}
`
	got := map[Claimed]bool{}
	if err := scan(source, got); err != nil {
		t.Fatal(err)
	}
	want := map[Claimed]bool{{"TestOne", "a-1"}: true, {"TestOne", "a-2"}: true, {"TestOne", "a-3"}: true, {"TestTwo", "a-1"}: true}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What cannot be read from the source is an error, as it would be missing from
// the document.
func TestScanRefuses(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"\nfunc TestX(t *testing.T) {\n\tconformance.Claim(t, ids...)\n}",
		"\nfunc TestX(t *testing.T) {\n\tconformance.Claim(t, \"a\", id)\n}",
		"\nfunc helper(t *testing.T) {\n\tconformance.Claim(t, \"a\")\n}",
	} {
		if err := scan(source, map[Claimed]bool{}); err == nil {
			t.Errorf("no error for %s", source)
		}
	}
}

func TestScanDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := "package x\n\nfunc TestX(t *testing.T) {\n\tconformance.Claim(t, \"b\", \"a\")\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "x_test.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Scan(dir)
	if want := fmt.Sprint([]Claimed{{"TestX", "a"}, {"TestX", "b"}}); err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}

func TestClaimIsReached(t *testing.T) {
	t.Parallel()
	Claim(t, "x-1")
	if _, ok := claims.Load(Claimed{"TestClaimIsReached", "x-1"}); !ok {
		t.Error("the claim was not noted")
	}
}
