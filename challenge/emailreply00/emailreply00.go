// Package emailreply00 fulfils email-reply-00 challenges (RFC 8823): the server sends
// a mail to the address that is to be certified, and wants it answered, from there.
// The certificates are for S/MIME.
//
// The package reads and writes the mails, and leaves their transport to the program:
// a [Solver] asks it for the mails that arrive, for a judgement on their signatures,
// and to send the answer.
//
//	solver := &emailreply00.Solver{
//		Mails:  inbox.Watch, // IMAP, a maildir, a milter: whatever there is
//		Verify: verifyDKIM,  // with any DKIM library: see Message.CheckDKIM
//		Send: func(ctx context.Context, r *emailreply00.Reply) error {
//			return smtp.SendMail("submission.example.org:587", auth, r.From, r.To, r.Raw)
//		},
//	}
//
// Where people read the mail, a program does without the Solver: it asks for the
// part of the token that is in the subject, and shows what to answer with, of
// [Challenge.KeyAuthorization] and [Body].
//
// Orders are for identifiers of the type [acme.TypeEmail]. [NewCSR] makes CSRs for
// signing or encryption alone; for both, [acme.NewCSR] does.
package emailreply00

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/lease"
)

// A Solver fulfils email-reply-00 challenges, with the mailboxes of the program. It
// answers each challenge mail once, and each challenge once. It may be used for any
// number of orders and accounts at once, if its functions may, and must not be copied
// after first use.
//
// Which challenge a mail is for shows in the address that it is from. A CA that uses
// one address for all, other than in the example of the RFC, must not be asked for two
// certificates for one address at a time.
type Solver struct {
	// Mails yields the mails for an address as they are on the wire, or at least
	// their headers: those that are there, then those that arrive, until the loop is
	// left or ctx ends. The address is to, and the challenge mail is from from.
	// Others may be yielded, and are ignored. Mails of earlier challenges should not
	// be: after a restart, the Solver does not know which ones it has answered.
	// An error ends the order.
	Mails func(ctx context.Context, from, to string) iter.Seq2[[]byte, error]

	// Verify checks that a mail is authentic: by DKIM, with [Message.CheckDKIM] for
	// what RFC 8823 asks of the signature, or by S/MIME, with [Message.CheckSMIME]. A
	// mail for which it returns an error is ignored.
	Verify func(ctx context.Context, m *Message) error

	// Send sends a mail, by way of a server that signs mails of the sender's domain
	// with DKIM, which must cover the fields of RFC 8823 §3.2. It returns when the
	// server has it; an error says that it was not sent.
	Send func(ctx context.Context, r *Reply) error

	// Join says how the CA joins the parts of the token.
	Join Join

	// Logger gets a Warn record for each challenge mail that is ignored, with the
	// reason, and a Debug record for other mails. Nil is silent.
	Logger *slog.Logger

	shared lease.Group
	seen   memory
}

// Supports reports whether a is an email-reply-00 challenge for a mail address.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.EmailReply00 && a.Identifier.Type == acme.TypeEmail
}

// Present waits for the challenge mails of the batch and answers them. There is
// nothing to clean up: what is sent is sent. It fails if a function is missing, if a
// challenge is not as the RFC wants it, if Mails or Send fails, and if Mails ends
// without the challenge mail.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	missing := map[string]bool{"Mails": s.Mails == nil, "Verify": s.Verify == nil, "Send": s.Send == nil}
	for _, name := range []string{"Mails", "Verify", "Send"} {
		if missing[name] {
			return nil, fmt.Errorf("emailreply00: Solver.%s is nil", name)
		}
	}
	for _, a := range batch { // before a mail is waited for
		if _, err := NewChallenge(a); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	return acme.Each(s.Supports, func(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
		err := s.present(ctx, a)
		if err != nil {
			stop(err) // the other mails are not worth waiting for
		}
		return nil, err
	}).Present(ctx, batch)
}

func (s *Solver) present(ctx context.Context, a *acme.Attempt) error {
	c, err := NewChallenge(a)
	if err != nil {
		return err
	}
	// Orders that share a challenge wait for one mail.
	release, err := s.shared.Acquire(ctx, c.key(), func(ctx context.Context) (func(context.Context) error, error) {
		return nil, s.answer(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("emailreply00: %s: %w", a, err)
	}
	return release(ctx) // what was answered is remembered
}

// answer waits for the mail of a challenge and answers it.
func (s *Solver) answer(ctx context.Context, c Challenge) error {
	if s.seen.has(c.key()) {
		return nil
	}
	for raw, err := range s.Mails(ctx, c.From, c.Address) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if m := s.accept(ctx, c, raw); m != nil {
			return s.reply(ctx, c, m)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return fmt.Errorf("no challenge mail from %s to %s", c.From, c.Address)
}

// accept returns the mail if it is the challenge's and authentic, and nobody has
// answered it or is about to.
func (s *Solver) accept(ctx context.Context, c Challenge, raw []byte) *Message {
	m, err := ParseMessage(raw)
	if err == nil {
		err = c.Check(m)
	}
	if err == nil {
		if err = s.Verify(ctx, m); err != nil {
			err = fmt.Errorf("emailreply00: the mail is not authentic: %w", err)
		}
	}
	if err == nil && !s.seen.add(m.key()) {
		err = errors.New("emailreply00: the mail was answered before (RFC 8823 §3)")
	}
	if err != nil {
		s.log(ctx, c, err)
		return nil
	}
	return m
}

// log notes why a mail was ignored (RFC 8823 §3.1).
func (s *Solver) log(ctx context.Context, c Challenge, err error) {
	if s.Logger == nil {
		return
	}
	level := slog.LevelWarn
	if errors.Is(err, ErrNoChallenge) {
		level = slog.LevelDebug
	}
	s.Logger.LogAttrs(ctx, level, "emailreply00: mail ignored", slog.String("acme.identifier", c.Address), slog.String("error", err.Error()))
}

// reply answers a mail that was accepted.
func (s *Solver) reply(ctx context.Context, c Challenge, m *Message) error {
	r, err := c.Reply(m, s.Join)
	if err == nil {
		if err = s.Send(ctx, r); err != nil {
			err = fmt.Errorf("the reply to %s was not sent: %w", c.From, err)
		}
	}
	if err != nil {
		s.seen.remove(m.key())
		return err
	}
	s.seen.add(c.key())
	return nil
}
