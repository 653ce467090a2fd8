package challengetest

import (
	"context"
	"fmt"
	"strings"
)

const ruleHostileTokens = `The library refuses tokens that are not base64url, as the RFC has them (§8.1),
but not everybody who uses a solver is the library. A token that would leave a
directory, end a line or is very long must not make Present panic. Present
must either fail, and leave nothing of the batch behind without a cleanup, or
its cleanup must remove everything; other answers must stay in place. The
easiest way is to let Present fail before it does anything.`

// hostileTokens returns tokens that no server should send. Were one of them taken
// for a path, it would be a harmless one.
func hostileTokens() []string {
	return []string{
		"",
		"../../challengetest-was-here",
		`..\challengetest-was-here`,
		"/challengetest-was-here",
		"a/b",
		"a b",
		"a.b",
		"a%2fb",
		"\x00",
		"a\nb",
		"a\r\nSet-Cookie: a=b",
		"<script>alert(1)</script>",
		"\xff\xfe",
		"ä",
		strings.Repeat("a", 1<<20),
	}
}

func checkHostileTokens(ctx context.Context, s *subject) error {
	other, err := s.presentAll(ctx, s.attempt())
	if err != nil {
		return err
	}
	for _, token := range hostileTokens() {
		if err := s.hostile(ctx, token, other); err != nil {
			return fmt.Errorf("with the token %s: %w", clip(fmt.Sprintf("%q", token)), err)
		}
	}
	return other.finish(ctx)
}

// hostile presents an attempt with a token, together with one that is fine.
func (s *subject) hostile(ctx context.Context, token string, other *order) error {
	fine, victim := s.attempt(), s.attempt()
	o, err := s.present(ctx, longPatience, fine, NewAttempt(s.typ, victim.Identifier, token))
	if err != nil {
		return err
	}
	if o.err == nil {
		if err := s.answered(ctx, fine); err != nil {
			return fmt.Errorf("the solver's Present returned no error, but in the same batch %w", err)
		}
	}
	if err := o.undo(ctx, longPatience); err != nil {
		return err
	}
	if err := o.gone(ctx); err != nil {
		return err
	}
	if err := other.answered(ctx); err != nil {
		return fmt.Errorf("of another order: %w", err)
	}
	return nil
}
