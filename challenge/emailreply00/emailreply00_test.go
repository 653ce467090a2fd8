package emailreply00_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

const (
	address    = "alexey@example.com"
	part1      = "LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3sME"
	part2      = "DGyRejmCefe7v4NfDGDKfA"
	thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of all attempts of challengetest
)

func email(value string) acme.Identifier { return acme.Identifier{Type: acme.TypeEmail, Value: value} }

func attempt() *acme.Attempt {
	return challengetest.NewAttempt(acme.EmailReply00, email(address), part2)
}

// from is where the challenge mail of attempt comes from.
func from(t testing.TB) string {
	t.Helper()
	c, err := emailreply00.NewChallenge(attempt())
	if err != nil {
		t.Fatal(err)
	}
	return c.From
}

// message makes a challenge mail; edits are pairs of what to replace and with what.
func message(from, to, token string, edits ...string) []byte {
	text := "Auto-Submitted: auto-generated; type=acme\r\nDate: Sat, 5 Dec 2020 10:08:55 +0100\r\nMessage-ID: <A2299BB.FF7788@example.org>\r\n" +
		"From: " + from + "\r\nTo: " + to + "\r\nSubject: ACME: " + token + "\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\nHello.\r\n"
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			panic("nothing to edit: " + edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return []byte(text)
}

// A post is a mail system: what arrives and what was sent.
type post struct {
	mu    sync.Mutex
	inbox func(from, to string) [][]byte
	sent  []*emailreply00.Reply
	fails error // of Send
}

func (p *post) mails(ctx context.Context, from, to string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, raw := range p.inbox(from, to) {
			if ctx.Err() != nil || !yield(raw, nil) {
				return
			}
		}
		if ctx.Err() == nil {
			<-ctx.Done() // for more mails
		}
	}
}

func (p *post) send(_ context.Context, r *emailreply00.Reply) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return p.fails
	}
	p.sent = append(p.sent, r)
	return nil
}

func (p *post) replies() []*emailreply00.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

func trust(context.Context, *emailreply00.Message) error { return nil }

func (p *post) solver() *emailreply00.Solver {
	return &emailreply00.Solver{Mails: p.mails, Verify: trust, Send: p.send}
}

// holding makes a mail system with mails for everybody.
func holding(mails ...[]byte) *post {
	return &post{inbox: func(string, string) [][]byte { return mails }}
}

func TestSolver(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-05")
	tokenFor := func(from string) string { // that the CA sends
		digest := sha256.Sum256([]byte(from))
		return base64.RawURLEncoding.EncodeToString(digest[:])
	}
	var p *post // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			p = &post{inbox: func(from, to string) [][]byte {
				return [][]byte{message("x"+from, to, part1), message(from, to, tokenFor(from))}
			}}
			return p.solver()
		},
		func(_ context.Context, a *acme.Attempt) error {
			c, err := emailreply00.NewChallenge(a)
			if err != nil {
				return err
			}
			digest := sha256.Sum256([]byte(tokenFor(c.From) + c.Token + "." + a.Thumbprint))
			n := 0
			for _, r := range p.replies() {
				if r.From == a.Identifier.Value && r.To[0] == c.From {
					n++
					if !bytes.Contains(r.Raw, []byte("\r\n"+base64.RawURLEncoding.EncodeToString(digest[:])+"\r\n")) {
						return errors.New("another digest")
					}
				}
			}
			if n != 1 {
				return fmt.Errorf("%d replies", n)
			}
			return nil
		})
}

// TestChallenge reads the members of the challenge object.
func TestChallenge(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-03")
	a := attempt()
	a.Challenge.Raw = json.RawMessage(`{"type":"email-reply-00","from":"acme-challenge+2i211oi1204310@example.com","token":"` + part2 + `"}`)
	c, err := emailreply00.NewChallenge(a)
	want := emailreply00.Challenge{Address: address, From: "acme-challenge+2i211oi1204310@example.com", Token: part2, Thumbprint: thumbprint}
	if err != nil || c != want {
		t.Errorf("%#v, %v", c, err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c)
	if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, c) + log.String(); strings.Contains(text, part2) || strings.Contains(text, thumbprint) || !strings.Contains(text, address) {
		t.Error(text)
	}
	without := attempt()
	without.Thumbprint = ""
	unread := attempt()
	unread.Challenge.Raw = json.RawMessage("[")
	with := func(from string) *acme.Attempt {
		a := attempt()
		a.Challenge.Raw, _ = json.Marshal(map[string]string{"from": from})
		return a
	}
	for says, a := range map[string]*acme.Attempt{
		"no thumbprint":                          without,
		"cannot be read":                         unread,
		"there is no challenge":                  {Identifier: email(address)},
		"no token of base64url":                  challengetest.NewAttempt(acme.EmailReply00, email(address), "a+b"),
		"no token of base64url characters":       challengetest.NewAttempt(acme.EmailReply00, email(address), strings.Repeat("a", 2000)),
		"the identifier is no mail":              challengetest.NewAttempt(acme.EmailReply00, email("*@example.com"), part2),
		`from is ""`:                             with(""),
		`from is "a@example.org\r\nBcc: b@x.y"`:  with("a@example.org\r\nBcc: b@x.y"),
		`from is "A <a@example.org>"`:            with("A <a@example.org>"),
		`from is "a@example.org."`:               with("a@example.org."),
		`from is "(@example.org"`:                with("(@example.org"),
		"which is no mail address (RFC 8823 §3)": with("a"),
		"from is \"aaaa":                         with(strings.Repeat("a", 400) + "@example.org"),
	} {
		if _, err := emailreply00.NewChallenge(a); err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "emailreply00: ") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// TestIgnored: mails that get no answer, each with a record that says why.
func TestIgnored(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-07", "8823-3.1-02", "8823-3.1-03", "8823-3.1-04", "8823-3.1-05", "8823-3.1-06", "8823-3.1-07")
	forged := errors.New("the signature is forged")
	from := from(t)
	for _, tt := range []struct {
		says  string
		level string
		mail  []byte
	}{
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "Hello")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME:", "Re: ACME:")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME:", "acme:")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: ", "ACME:")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "Subject: ACME: "+part1+"\r\n", "")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "=?iso-8859-1?Q?Gr=FC=DFe?=")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "=?gb2312?B?xOO6ww==?=")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "=?utf-8?X?zz?=")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "Re: =?x?Q?ACME:?= =?")},
		{`does not begin with "ACME:"`, "DEBUG", message(from, address, part1, "ACME: "+part1, "Hello\r\nX: "+strings.Repeat("x", 70000))},
		{`does not begin with "ACME:"`, "DEBUG", []byte("X: " + strings.Repeat("x", 70000) + "\r\nsubject : Hello\r\n")},
		{`does not begin with "ACME:"`, "DEBUG", []byte("X\nSubject: Re:\n ACME: " + part1 + "\n\nSubject: ACME: x\n")},
		{"cannot be read", "WARN", []byte("X\nSubject:\n\tACME:\n " + part1 + "\n\n")},
		{"cannot be read", "WARN", []byte("Subject: ACME: " + part1 + "\nX\n\n")},
		{"cannot be decoded", "WARN", message(from, address, part1, "ACME: "+part1, "=?utf-8?B?QUNNRTogTGdZ!?=")},
		{"no base64url", "WARN", message(from, address, part1, part1, part1+"===")},
		{"no base64url", "WARN", message(from, address, part1, part1, "a+b/")},
		{"less than 128 bits", "WARN", message(from, address, "LgYemJLy3F1LDkiJrdIG")},
		{"the mail is from", "WARN", message("x"+from, address, part1)},
		{"the mail is from", "WARN", message(strings.ToUpper(from[:1])+from[1:], address, part1)},
		{"From is no single address", "WARN", message(from+", "+from, address, part1)},
		{"From is no single address", "WARN", message("nobody", address, part1)},
		{"the mail is for", "WARN", message(from, "other@example.com", part1)},
		{"To is no single address", "WARN", message(from, address+", other@example.com", part1)},
		{"To is no single address", "WARN", message(from, "undisclosed-recipients:;", part1)},
		{`Auto-Submitted is "", not`, "WARN", message(from, address, part1, "Auto-Submitted: auto-generated; type=acme\r\n", "")},
		{`Auto-Submitted is "auto-replied`, "WARN", message(from, address, part1, "auto-generated", "auto-replied")},
		{`Auto-Submitted is "no"`, "WARN", message(from, address, part1, "auto-generated; type=acme", "no")},
		{"From is there twice", "WARN", message(from, address, part1, "From:", "From: b@example.org\r\nFrom:")},
		{"Subject is there twice", "WARN", message(from, address, part1, "To:", "Subject: ACME: "+part1+"\r\nTo:")},
		{"To is there twice", "WARN", message(from, address, part1, "To:", "To: b@example.org\r\nTo:")},
		{"Reply-To is no list", "WARN", message(from, address, part1, "To:", "Reply-To: \"x y\"@example.net\r\nTo:")},
		{"Reply-To is no list", "WARN", message(from, address, part1, "To:", "Reply-To: nobody\r\nTo:")},
		{"Reply-To is no list", "WARN", message(from, address, part1, "To:", "Reply-To: a@x.y"+strings.Repeat(", a@x.y", 10)+"\r\nTo:")},
		{"the character set", "WARN", message(from, address, part1, "ACME: "+part1, "=?iso-8859-1?Q?ACME:_"+part1+"?=")},
		{"the character set", "WARN", message(from, address, part1, "ACME: "+part1, "=?utf-7*en?Q?ACME:_"+part1+"?=")},
		{"cannot be decoded", "WARN", message(from, address, part1, "ACME: "+part1, "=?utf-8?X?ACME:_"+part1+"?=")},
		{"longer than 65536", "WARN", message(from, address, part1, "Date:", "X: "+strings.Repeat("x", 70000)+"\r\nDate:")},
		{"cannot be read", "WARN", []byte("x")},
		{"not authentic: the signature is forged", "WARN", message(from, address, part1, "FF7788", "forged")},
	} {
		var log strings.Builder
		p := holding()
		solver := p.solver()
		solver.Mails = func(context.Context, string, string) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) { yield(tt.mail, nil) }
		}
		solver.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		solver.Verify = func(_ context.Context, m *emailreply00.Message) error {
			if strings.Contains(m.ID, "forged") {
				return forged
			}
			return nil
		}
		a := attempt()
		_, err := solver.Present(t.Context(), []*acme.Attempt{a})
		if err == nil || !strings.Contains(err.Error(), "no challenge mail from "+from+" to "+address) || len(p.sent) != 0 || a.Response != nil {
			t.Errorf("%s: %v, %d replies", tt.says, err, len(p.sent))
		}
		record := strings.ReplaceAll(log.String(), `\"`, `"`)
		if strings.Count(record, "\n") != 1 || !strings.Contains(record, tt.says) || !strings.Contains(record, "level="+tt.level) || !strings.Contains(record, address) {
			t.Errorf("%s: logged %s", tt.says, record)
		}
		if strings.Contains(record, part1) {
			t.Errorf("%s: the token is logged: %s", tt.says, record)
		}
	}
}

// TestAccepted: mails of other shapes that are answered all the same, with the same
// digest.
func TestAccepted(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.1-01", "8823-3.1-04")
	from := from(t)
	subject := "ACME: " + part1
	for name, mail := range map[string][]byte{
		"plain":              message(from, address, part1),
		"padding":            message(from, address, part1+"="),
		"no type":            message(from, address, part1, "; type=acme", ""),
		"more parameters":    message(from, address, part1, "; type=acme", `; x="a;b"`),
		"a space":            message(from, address, part1, "auto-generated;", "auto-generated ;"),
		"case":               message(from, address, part1, "auto-generated", "Auto-Generated"),
		"folded":             message(from, address, part1, part1, part1[:20]+"\r\n "+part1[20:]),
		"folded in front":    message(from, address, part1, "ACME: ", "ACME:\r\n\t"),
		"white space":        message(from, address, part1, part1, part1[:20]+" \t "+part1[20:]+"  "),
		"encoded, Q":         message(from, address, part1, subject, "=?us-ascii?Q?ACME:_"+part1+"?="),
		"encoded, B":         message(from, address, part1, subject, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(subject))+"?="),
		"with a language":    message(from, address, part1, subject, "=?US-ASCII*EN?Q?ACME:_"+part1+"?="),
		"in two words":       message(from, address, part1, subject, "=?utf-8?Q?ACME:_"+part1[:20]+"?=\r\n =?utf-8?Q?"+part1[20:]+"?="),
		"the token encoded":  message(from, address, part1, part1, "=?utf-8?Q?"+part1+"?="),
		"a name":             message(`"ACME" <`+from+">", "Alexey <"+address+">", part1),
		"a name, encoded":    message("=?koi8-r?B?+O/G?= <"+from+">", address, part1),
		"domain in capitals": message(from, strings.Replace(address, "example", "EXAMPLE", 1), part1),
		"line feeds":         bytes.ReplaceAll(message(from, address, part1), []byte("\r\n"), []byte("\n")),
		"header alone":       bytes.TrimSuffix(message(from, address, part1), []byte("\r\n\r\nHello.\r\n")),
		"a long body":        append(message(from, address, part1), bytes.Repeat([]byte("x"), 1<<20)...),
	} {
		p := holding(mail)
		if _, err := p.solver().Present(t.Context(), []*acme.Attempt{attempt()}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		digest := sha256.Sum256([]byte(part1 + part2 + "." + thumbprint))
		if !bytes.Contains(p.sent[0].Raw, []byte(base64.RawURLEncoding.EncodeToString(digest[:]))) {
			t.Errorf("%s: %s", name, p.sent[0].Raw)
		}
	}
}

// TestOnce: one mail and one challenge get one reply, whoever asks, in whatever order.
func TestOnce(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-06")
	synctest.Test(t, testOnce)
}

func testOnce(t *testing.T) {
	from := from(t)
	p := holding(message(from, address, part1))
	var log strings.Builder
	solver := p.solver()
	solver.Logger = slog.New(slog.NewTextHandler(&log, nil))
	for range 2 { // the same challenge: answered already
		if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt()}); err != nil {
			t.Fatal(err)
		}
	}
	// Another challenge of the same sender: the mail, and a copy of it, are not for it.
	other := attempt()
	other.Challenge.Token, other.Challenge.URL = "DGyRejmCefe7v4NfDGDKfB", "https://ca.example/challenge/2"
	p.inbox = func(string, string) [][]byte {
		return [][]byte{message(from, address, part1), message(from, address, part1+"=", "A2299BB", "copy"), message(from, address, "B"+part1[1:])}
	}
	if _, err := solver.Present(t.Context(), []*acme.Attempt{other}); err != nil {
		t.Fatal(err)
	}
	if len(p.sent) != 2 || !bytes.Contains(p.sent[0].Raw, []byte("ACME: "+part1)) || !bytes.Contains(p.sent[1].Raw, []byte("ACME: B"+part1[1:])) {
		t.Errorf("%d replies", len(p.sent))
	}
	if n := strings.Count(log.String(), "answered before (RFC 8823 §3)"); n != 2 {
		t.Errorf("logged %s", log.String())
	}
}

// TestSendFails: what was not sent can be sent again.
func TestSendFails(t *testing.T) {
	t.Parallel()
	p := holding(message(from(t), address, part1))
	p.fails = errors.New("the server is away")
	solver := p.solver()
	if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt()}); !errors.Is(err, p.fails) || !strings.Contains(err.Error(), "email-reply-00 for email:"+address+": the reply to "+from(t)+" was not sent") {
		t.Errorf("%v", err)
	}
	p.fails = nil
	if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt()}); err != nil || len(p.sent) != 1 {
		t.Errorf("%v, %d replies", err, len(p.sent))
	}
	padded := p.solver()
	padded.Join = 7
	if _, err := padded.Present(t.Context(), []*acme.Attempt{attempt()}); err == nil || !strings.Contains(err.Error(), "no Join 7") {
		t.Errorf("%v", err)
	}
}

// TestMailsFail: the mailbox's error ends the order, also for those who wait for
// other mails.
func TestMailsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		closed := errors.New("the mailbox is closed")
		p := holding()
		solver := p.solver()
		solver.Mails = func(ctx context.Context, from, to string) iter.Seq2[[]byte, error] {
			if to == address {
				return func(yield func([]byte, error) bool) { yield(nil, closed) }
			}
			return p.mails(ctx, from, to)
		}
		other := challengetest.NewAttempt(acme.EmailReply00, email("other@example.com"), part2)
		if _, err := solver.Present(t.Context(), []*acme.Attempt{other, attempt()}); !errors.Is(err, closed) {
			t.Errorf("%v", err)
		}
	})
}

// TestMissing: a solver that lacks something says so at once.
func TestMissing(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*emailreply00.Solver){
		"Mails": func(s *emailreply00.Solver) { s.Mails = nil }, "Verify": func(s *emailreply00.Solver) { s.Verify = nil },
		"Send": func(s *emailreply00.Solver) { s.Send = nil },
	} {
		solver := holding().solver()
		remove(solver)
		if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt()}); err == nil || !strings.Contains(err.Error(), "Solver."+name+" is nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := new(post)
	p.inbox = func(from, to string) [][]byte {
		return [][]byte{message(from, to, base64.RawURLEncoding.EncodeToString([]byte(to)))}
	}
	batch := make([]*acme.Attempt, 20)
	for i := range batch {
		batch[i] = challengetest.NewAttempt(acme.EmailReply00, email(fmt.Sprintf("number%d@example.com", i)), part2+"AA"+fmt.Sprint(i%10))
	}
	batch = append(batch, challengetest.NewAttempt(acme.EmailReply00, email(address), ""))
	if _, err := p.solver().Present(t.Context(), batch); err == nil || len(p.sent) != 0 {
		t.Errorf("%v, %d replies", err, len(p.sent))
	}
	if _, err := p.solver().Present(t.Context(), batch[:20]); err != nil || len(p.sent) != 20 {
		t.Errorf("%v, %d replies", err, len(p.sent))
	}
}

// TestCancel: a mailbox that goes on and on does not keep an order that has ended.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended, yielded := errors.New("ended"), 0
	solver := holding().solver()
	solver.Mails = func(context.Context, string, string) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for yield(message(from(t), "other@example.com", part1), nil) {
				if yielded++; yielded == 3 {
					cancel(ended)
				}
				if yielded == 100 {
					return
				}
			}
		}
	}
	if _, err := solver.Present(ctx, []*acme.Attempt{attempt()}); !errors.Is(err, ended) || yielded != 3 {
		t.Errorf("%v after %d mails", err, yielded)
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	var solver emailreply00.Solver
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt(), true},
		{challengetest.NewAttempt(acme.EmailReply00, acme.DNS("example.com")[0], part2), false},
		{challengetest.NewAttempt(acme.HTTP01, email(address), part2), false},
		{&acme.Attempt{Identifier: email(address)}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
}
