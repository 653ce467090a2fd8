package tlsalpn01

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
)

// pending returns a solver with n answers, for n0.example, n1.example and so on. It
// is the same certificate, as to make one takes longer than to find ten thousand.
func pending(t testing.TB, n int) *Solver {
	t.Helper()
	a := challengetest.NewAttempt(acme.TLSALPN01, acme.DNS("n0.example")[0], "token")
	prepared := map[string]*answer{}
	if err := prepare(prepared, a); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		prepared[fmt.Sprintf("n%d.example", i)] = prepared["n0.example"]
	}
	s := new(Solver)
	if name, _ := s.tryAdd(prepared); name != "" {
		t.Fatal(name)
	}
	return s
}

// A lookup costs nothing, however many challenges are pending, whether it is that
// of a validation or of a stranger.
func TestLookupAllocations(t *testing.T) {
	for _, n := range []int{1, 10_000} {
		solver := pending(t, n)
		config := solver.Wrap(&tls.Config{NextProtos: []string{"h2"}})
		for _, info := range []*tls.ClientHelloInfo{
			{SupportedProtos: []string{Proto}, ServerName: "n0.example"},
			{SupportedProtos: []string{Proto}, ServerName: "unknown.example"},
			{SupportedProtos: []string{"h2", "http/1.1"}, ServerName: "n0.example"},
		} {
			allocations := testing.AllocsPerRun(100, func() {
				_, _ = solver.GetCertificate(info)
				_, _ = config.GetConfigForClient(info)
			})
			if allocations != 0 {
				t.Errorf("%d pending: %v allocations for %q", n, allocations, info.SupportedProtos)
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	config := pending(b, 10_000).Wrap(&tls.Config{NextProtos: []string{"h2"}})
	info := &tls.ClientHelloInfo{SupportedProtos: []string{Proto}, ServerName: "n0.example"}
	b.ReportAllocs()
	for b.Loop() {
		if found, _ := config.GetConfigForClient(info); found == nil {
			b.Fatal("not found")
		}
	}
}
