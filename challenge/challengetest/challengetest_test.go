package challengetest

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
)

// testMemory runs the suite on a solver made from a memory.
func testMemory(t *testing.T, typ acme.ChallengeType, solver func(*memory) acme.Solver, types ...acme.ChallengeType) {
	t.Helper()
	var m *memory // of the check that runs
	newSolver := func(testing.TB) acme.Solver { m = newMemory(typ); return solver(m) }
	probe := func(ctx context.Context, a *acme.Attempt) error { return m.probe(ctx, a) }
	TestSolver(t, newSolver, probe, types...)
}

func unbroken(m *memory) acme.Solver { return m }

func TestGoodSolvers(t *testing.T) {
	for _, typ := range []acme.ChallengeType{acme.HTTP01, acme.DNS01, acme.TLSALPN01, acme.DNSPersist01} {
		testMemory(t, typ, unbroken)
	}
	testMemory(t, "new-01", unbroken, "new-01")
}

// TestGoodHabits is about solvers that do what they may.
func TestGoodHabits(t *testing.T) {
	for name, solver := range map[string]func(*memory) acme.Solver{
		"refuses odd tokens": func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if isHostile(batch) {
					return nil, errors.New("a slash")
				}
				return m.Present(ctx, batch)
			})
		},
		"fails with a cleanup when cancelled": func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				cleanup, _ := m.Present(ctx, batch)
				return cleanup, context.Cause(ctx)
			})
		},
		"has a goroutine until the cleanup": func(m *memory) acme.Solver {
			return m.presenting(func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				m.add(batch)
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() { <-stop; m.remove(batch); close(stopped) }()
				return func(context.Context) error { close(stop); <-stopped; return nil }, nil
			})
		},
		"is made of functions": func(m *memory) acme.Solver {
			return acme.Each(m.Supports, func(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
				return m.Present(ctx, []*acme.Attempt{a})
			})
		},
	} {
		t.Run(name, func(t *testing.T) { testMemory(t, acme.HTTP01, solver) })
	}
	t.Run("refuses a second order for a name", func(t *testing.T) { testMemory(t, acme.TLSALPN01, refusing) })
}

// refusing has an error for a second order for a name with another token.
func refusing(m *memory) acme.Solver {
	return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
		if m.isTaken(batch) {
			return nil, errors.New("another order for the name is under way")
		}
		return m.Present(ctx, batch)
	})
}

// TestResponse is about solvers that provision nothing, but say what to respond.
func TestResponse(t *testing.T) {
	solver := composed{
		func(a *acme.Attempt) bool {
			return a.Challenge.Type == acme.DeviceAttest01 && a.Identifier.Type == "permanent-identifier"
		},
		func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
			for _, a := range batch {
				a.Response = map[string]string{"attObj": string(a.KeyAuthorization)}
			}
			return nil, nil
		},
	}
	TestSolver(t, func(testing.TB) acme.Solver { return solver }, func(_ context.Context, a *acme.Attempt) error {
		if a.Response == nil {
			return errors.New("no response")
		}
		return nil
	})
}

// TestIdleConnection: a solver that calls an API over HTTP leaves connections,
// and goroutines of them, for the next call.
func TestIdleConnection(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		api := httptest.NewUnstartedServer(http.NotFoundHandler())
		api.EnableHTTP2 = http2
		api.StartTLS()
		defer api.Close()
		client := api.Client()
		m := newMemory(acme.DNS01)
		solver := m.beforehand(func(context.Context, []*acme.Attempt) {
			resp, err := client.Get(api.URL)
			if err != nil {
				panic(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		})
		if err := runCheck(t, "Goroutines", &subject{solver: solver, probe: m.probe, typ: m.typ}); err != nil {
			t.Errorf("HTTP/2 %v: %v", http2, err)
		}
	}
}

// TestProbes is about probes that are wrong.
func TestProbes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check string
		says  string
		probe func(context.Context, *memory, *acme.Attempt) error
	}{
		{"sees everything", "OneAttempt", "is it the probe", func(context.Context, *memory, *acme.Attempt) error { return nil }},
		{"panics", "HostileTokens", "must return an error", func(ctx context.Context, m *memory, a *acme.Attempt) error {
			if strings.Contains(a.Challenge.Token, " ") {
				panic("invalid URL")
			}
			return m.probe(ctx, a)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(acme.HTTP01)
			probe := func(ctx context.Context, a *acme.Attempt) error { return tt.probe(ctx, m, a) }
			err := runCheck(t, tt.check, &subject{solver: m, probe: probe, typ: m.typ})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, without %q", err, tt.says)
			}
		})
	}
}

// TestEndedTest: a check does not go on when the test's context has ended.
func TestEndedTest(t *testing.T) {
	m := newMemory(acme.HTTP01)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all := checks()
	for _, name := range []string{"CleanupAfterCancel", "Goroutines"} {
		i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
		solver := m.beforehand(func(context.Context, []*acme.Attempt) { go func() { <-m.release }() })
		s := &subject{solver: solver, probe: m.probe, typ: m.typ, kinds: kinds(m.typ)[:1], label: t.Name()}
		if err := all[i].test(ctx, s); err == nil || !strings.Contains(err.Error(), "own context") {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(m.release)
}

const failing = "CHALLENGETEST_FAILING" // makes TestReport fail

// brokenSolvers fails, for TestReport.
func brokenSolvers(t *testing.T) {
	t.Helper()
	t.Run("forgets", func(t *testing.T) {
		testMemory(t, acme.HTTP01, func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, _ []*acme.Attempt) error { return nil })
		})
	})
	nothing := func(m *memory) acme.Solver { return m.supporting(func(*acme.Attempt) bool { return false }) }
	t.Run("nothing", func(t *testing.T) { testMemory(t, acme.HTTP01, nothing) })
	t.Run("not", func(t *testing.T) { testMemory(t, acme.HTTP01, nothing, acme.HTTP01) })
}

// TestReport reads what the test of a broken solver prints: it runs itself in a
// process in which it is that test.
func TestReport(t *testing.T) {
	if os.Getenv(failing) != "" {
		brokenSolvers(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReport$", "-test.v")
	cmd.Env = append(os.Environ(), failing+"=1")
	output, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("no failure:\n%s", output)
	}
	for _, want := range []string{
		"--- PASS: TestReport/forgets/http-01/Supports",
		"--- FAIL: TestReport/forgets/http-01/OneAttempt",
		"--- PASS: TestReport/forgets/http-01/CleanupWithEndedContext",
		"the cleanup was called and returned no error, but http-01 for n1.example.com is answered, says the probe",
		"\n        Rule: When Present returns without an error, the server must find",
		"Supports is false for all that was tried, with the challenge types",
		"--- FAIL: TestReport/not/http-01/Supports",
		"Supports is false for http-01 challenges, for any identifier that was tried\n",
		"--- SKIP: TestReport/not/http-01/Goroutines",
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("without %q:\n%s", want, output)
		}
	}
}

// TestConstants compares the challenge types with acme's source.
func TestConstants(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../challenge.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "ChallengeType" {
				want = append(want, spec.Values[0].(*ast.BasicLit).Value)
			}
		}
		return true
	})
	var got []string
	for _, typ := range constants() {
		got = append(got, strconv.Quote(string(typ)))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("constants are %v, want %v", got, want)
	}
}
