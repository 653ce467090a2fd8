package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"golang.org/x/net/idna"
)

// A progress shows what happens, one line a step. On a terminal the line of what
// is under way is replaced by what came of it.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	doing    bool // there is a line to be replaced
	start    time.Time
	requests int
	status   acme.Status
}

func newProgress(w io.Writer, terminal bool) *progress {
	return &progress{w: w, terminal: terminal, start: time.Now()}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// step shows something that has happened.
func (p *progress) step(format string, args ...any) { p.line("\x1b[32m✓\x1b[0m", format, args...) }

func (p *progress) line(mark, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !p.terminal {
		fmt.Fprintf(p.w, "%6.2fs  %s\n", time.Since(p.start).Seconds(), text)
		return
	}
	p.clear()
	fmt.Fprintf(p.w, "%s %s\n", mark, text)
}

// under shows something that is under way, on a terminal.
func (p *progress) under(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		p.clear()
		fmt.Fprintf(p.w, "\x1b[2m… "+format+"\x1b[0m", args...)
		p.doing = true
	}
}

func (p *progress) clear() {
	if p.doing {
		fmt.Fprint(p.w, "\r\x1b[2K")
		p.doing = false
	}
}

// end leaves the terminal with a clean line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) account(a *acme.Account) {
	made := "found"
	if a.Created() {
		made = "created"
	}
	p.step("account %s %s", a.URL(), made)
}

// trace turns the library's hooks into lines.
func (p *progress) trace() *acme.Trace {
	return &acme.Trace{
		Request: func(r acme.RequestInfo) {
			p.mu.Lock()
			p.requests++
			p.mu.Unlock()
			p.under("%s %s", r.Operation, r.URL)
		},
		Retry: func(r acme.RetryInfo) {
			p.line("!", "%s again in %v: %v", r.Operation, r.Delay.Round(time.Millisecond), r.Err)
		},
		Wait:         func(w acme.WaitInfo) { p.under("%s, asking again in %v", w.Status, w.Delay.Round(time.Millisecond)) },
		OrderCreated: func(o *acme.Order) { p.step("ordered a certificate for %s", names(o.Identifiers)) },
		OrderStatus:  p.order,
		Present:      func(batch []*acme.Attempt) { p.under("presenting %v", batch) },
		Responded: func(a *acme.Attempt, _ *acme.Challenge, err error) {
			if err == nil {
				p.step("asked the CA to validate %v", a)
			}
		},
		AuthorizationFailed: func(err error) { p.line("✗", "%v", err) },
		CertificateIssued:   func(c *acme.Certificate) { p.step("downloaded %s", c.URL) },
	}
}

// order shows a status when it is new.
func (p *progress) order(o *acme.Order) {
	p.mu.Lock()
	changed := o.Status != p.status
	p.status = o.Status
	p.mu.Unlock()
	if changed {
		p.step("the order is %s", o.Status)
	}
}

func names(ids []acme.Identifier) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = readable(id.String())
	}
	return strings.Join(texts, ", ")
}

// readable adds the Unicode form to a name that has one.
func readable(name string) string {
	if unicode, err := idna.Display.ToUnicode(name); err == nil && unicode != name {
		return name + " (" + unicode + ")"
	}
	return name
}

// report shows what was issued, after a check of the chain.
func (p *progress) report(cert *acme.Certificate, key crypto.Signer, issuers *x509.CertPool) error {
	p.end()
	chain, err := cert.Chain()
	if err != nil {
		return err
	}
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	verified, err := leaf.Verify(x509.VerifyOptions{Roots: issuers, Intermediates: between})
	checked := "not trusted here: " + fmt.Sprint(err) // a staging CA
	if err == nil {
		path := verified[0]
		checked = "verified up to " + path[len(path)-1].Subject.String()
	} else if issuers != nil {
		return fmt.Errorf("the chain does not lead to the CA's root: %w", err)
	}
	var subjects []string
	for _, name := range leaf.DNSNames {
		subjects = append(subjects, readable(name))
	}
	for _, ip := range leaf.IPAddresses {
		subjects = append(subjects, ip.String())
	}
	fmt.Fprintf(p.w, `
names     %s
issuer    %s
valid     %s to %s (%.0f days)
key       %s
chain     %d certificates, %s
requests  %d, in %.2f s

%s`,
		strings.Join(subjects, ", "), leaf.Issuer, leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime),
		leaf.NotAfter.Sub(leaf.NotBefore).Hours()/24, describe(key), len(chain), checked, p.requests, time.Since(p.start).Seconds(), cert.PEM)
	return nil
}

func describe(key crypto.Signer) string {
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + pub.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	}
	return fmt.Sprintf("%T", key.Public())
}
