package e2e_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	netsmtp "net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// signedFields are what RFC 8823 §3.1 and §3.2 want a DKIM signature to cover.
func signedFields() []string {
	return []string{
		"From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "In-Reply-To", "References", "Message-ID", "Auto-Submitted",
		"Content-Type", "Content-Transfer-Encoding",
	}
}

// A mailSystem signs mails for the CA and for the client's domain, and carries
// them. The keys are in a zone of its own.
type mailSystem struct {
	t    *testing.T
	keys map[string]ed25519.PrivateKey // by domain

	mu        sync.Mutex
	delivered map[string][][]byte // by recipient
}

func newMailSystem(t *testing.T) *mailSystem {
	t.Helper()
	s := &mailSystem{t: t, keys: map[string]ed25519.PrivateKey{}, delivered: map[string][][]byte{}}
	for _, domain := range []string{"ca.test", "example.org", "evil.example"} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.keys[domain] = key
	}
	return s
}

func (s *mailSystem) lookupTXT(name string) ([]string, error) {
	key, ok := s.keys[strings.TrimPrefix(strings.TrimSuffix(name, "."), "mail._domainkey.")]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	public := key.Public().(ed25519.PublicKey)
	return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
}

func (s *mailSystem) sign(domain string, raw []byte, fields []string) []byte {
	s.t.Helper()
	var out bytes.Buffer
	options := &dkim.SignOptions{
		Domain: domain, Selector: "mail", Signer: s.keys[domain], HeaderKeys: fields,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}
	if err := dkim.Sign(&out, bytes.NewReader(raw), options); err != nil {
		s.t.Error(err)
	}
	return out.Bytes()
}

// verify is what docs/extensions.md shows, with the zone of the test.
func (s *mailSystem) verify(_ context.Context, m *emailreply00.Message) error {
	verifications, err := dkim.VerifyWithOptions(bytes.NewReader(m.Raw), &dkim.VerifyOptions{LookupTXT: s.lookupTXT})
	if err != nil {
		return err
	}
	why := errors.New("no DKIM signature")
	for _, v := range verifications {
		if v.Err != nil {
			why = v.Err
		} else if why = m.CheckDKIM(v.Domain, v.HeaderKeys); why == nil {
			return nil
		}
	}
	return why
}

// serve starts the server that takes the client's mails for submission.
func (s *mailSystem) serve() (addr string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &submission{system: s}, nil }))
	server.Domain, server.ReadTimeout, server.WriteTimeout = "example.org", time.Minute, time.Minute
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends with Close
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return listener.Addr().String()
}

// A submission is a session of the client with its mail server, which signs what it
// gets for the sender's domain and delivers it.
type submission struct {
	system *mailSystem
	from   string
	to     []string
}

func (s *submission) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }
func (s *submission) Rcpt(to string, _ *smtp.RcptOptions) error   { s.to = append(s.to, to); return nil }
func (s *submission) Reset()                                      { s.from, s.to = "", nil }
func (s *submission) Logout() error                               { return nil }

func (s *submission) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, domain, _ := strings.Cut(s.from, "@")
	signed := s.system.sign(domain, raw, signedFields())
	s.system.mu.Lock()
	defer s.system.mu.Unlock()
	for _, to := range s.to {
		s.system.delivered[to] = append(s.system.delivered[to], signed)
	}
	return nil
}

// checked returns the mails to an address of the CA, less those whose signatures a CA
// would not take (RFC 8823 §3.2).
func (s *mailSystem) checked(to string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.delivered[to]), func(raw []byte) bool {
		verifications, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: s.lookupTXT})
		return err != nil || len(verifications) != 1 || verifications[0].Err != nil || verifications[0].Domain != "example.org"
	})
}

// TestMail has a certificate for a mail address: challenge mails are signed with DKIM
// and verified by go-msgauth, and the reply goes by SMTP to a server that signs it.
// Mails that are not authentic come first, and are ignored.
func TestMail(t *testing.T) {
	t.Parallel()
	const address = "alexey@example.org"
	system := newMailSystem(t)
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes: []string{"email-reply-00"}, IdentifierTypes: []string{"email"},
		Validate: acmetest.ValidateEmailReply00(system.checked), Strict: true,
	})
	ignored := 0
	solver := &emailreply00.Solver{
		Mails: func(_ context.Context, _, to string) iter.Seq2[[]byte, error] {
			genuine := ca.ChallengeMails(to)[0]
			good := system.sign("ca.test", genuine, signedFields())
			return func(yield func([]byte, error) bool) {
				for _, raw := range [][]byte{
					genuine, // not signed
					system.sign("evil.example", genuine, signedFields()),
					system.sign("ca.test", genuine, signedFields()[:3]),
					bytes.Replace(good, []byte("Subject: ACME: "), []byte("Subject: ACME: A"), 1),
					good,
				} {
					if !yield(raw, nil) {
						return
					}
				}
			}
		},
		Verify: func(ctx context.Context, m *emailreply00.Message) error {
			err := system.verify(ctx, m)
			if err != nil {
				ignored++
			}
			return err
		},
	}
	server := system.serve()
	solver.Send = func(_ context.Context, r *emailreply00.Reply) error {
		return netsmtp.SendMail(server, nil, r.From, r.To, r.Raw)
	}
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient(), UserAgent: "e2e"}
	account, err := client.NewAccount(t.Context(), testkit.Key(t), acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypeEmail, Value: address}}},
		CSR:          acme.NewCSR(testkit.Key(t)),
		Solvers:      []acme.Solver{solver},
	})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil || fmt.Sprint(chain[0].EmailAddresses) != "["+address+"]" {
		t.Errorf("%v, %v", chain[0].EmailAddresses, err)
	}
	if ignored != 4 {
		t.Errorf("%d mails were ignored, want 4", ignored)
	}
}
