package acme_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/seed-aa0b9f56/acme"
	dnsmessage = "golang.org/x/net/dns/dnsmessage"
)

// What the root needs beside the standard library and its own internal packages.
// It is all that a program gets with most challenges, too.
var rootNeeds = []string{
	"github.com/go-jose/go-jose/v4",
	"github.com/go-jose/go-jose/v4/cipher",
	"github.com/go-jose/go-jose/v4/json",
	"golang.org/x/net/idna",
	"golang.org/x/text/secure/bidirule",
	"golang.org/x/text/transform",
	"golang.org/x/text/unicode/bidi",
	"golang.org/x/text/unicode/norm",
}

// What others need beside that: parts of the module that already are in go.mod, and
// of this one.
var moreNeeds = map[string][]string{
	"challenge/dnstxt":       {dnsmessage},
	"challenge/dns01":        {modulePath + "/challenge/dnstxt", dnsmessage},
	"challenge/dnsaccount01": {modulePath + "/challenge/dnstxt", dnsmessage},
	"challenge/dnspersist01": {modulePath + "/caa", modulePath + "/challenge/dnstxt", dnsmessage},
	"challenge/onioncsr01":   {modulePath + "/caa"},
}

// Who imports a package takes all that it imports, so each list is a promise: a
// program that answers http-01 has no DNS messages in it, and no package needs a
// module that the root does not.
func TestPackageGraph(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./...")
	cmd.Env, cmd.Stderr = append(os.Environ(), "GOWORK=off"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := strings.TrimPrefix(strings.TrimPrefix(path, modulePath), "/")
		seen[name] = true
		got := slices.DeleteFunc(strings.Fields(deps), func(dep string) bool {
			first, _, _ := strings.Cut(dep, "/")
			return !strings.Contains(first, ".") || strings.HasPrefix(dep, modulePath+"/internal/")
		})
		var want []string
		switch {
		case name == "internal/testkit":
			continue // for tests alone: acmetest would show in whatever imports it
		case name == "":
			want = rootNeeds
		case name == "acmetest", strings.HasPrefix(name, "internal/"):
			// Nothing, and the root least of all: a fake CA does not repeat its mistakes.
		default:
			want = slices.Concat(rootNeeds, []string{modulePath}, moreNeeds[name])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s\nneeds %q\nwant  %q", path, got, want)
		}
	}
	for _, name := range []string{"", "acmetest", "challenge/http01", "challenge/tlsalpn01", "challenge/dns01"} {
		if !seen[name] {
			t.Errorf("there is no package %q in %q", name, out)
		}
	}
}
