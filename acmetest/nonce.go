package acmetest

import (
	"crypto/rand"
	"net/http"
)

// A nonceState is what became of a nonce that was given out.
type nonceState int

const (
	nonceUnknown nonceState = iota // never given out, or forgotten
	nonceGood
	nonceUsed
)

// randomID returns n random octets in base64url: nonces, tokens and the unpredictable part of URLs (§6.5.1, §8.3, §10.5).
func randomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return encode64(b)
}

// newNonce gives out a nonce. The lock is held.
func (s *Server) newNonce() string {
	n := randomID(16)
	s.nonces[n] = nonceGood
	return n
}

// ForgetNonces makes all nonces given out so far bad, as the restart of a CA does.
func (s *Server) ForgetNonces() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, state := range s.nonces {
		if state == nonceGood {
			delete(s.nonces, n)
		}
	}
}

// spendNonce takes the nonce of a call out of circulation, whatever becomes of the call (§6.5), and says whether it was
// acceptable.
func (s *Server) spendNonce(c *call) *refusal {
	if c.jws == nil || c.jws.nonce == "" {
		return violation(http.StatusBadRequest, "badNonce", "the protected header has no nonce (§6.5)")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.nonces[c.jws.nonce]
	s.nonces[c.jws.nonce] = nonceUsed
	switch {
	case state == nonceUsed:
		return violation(http.StatusBadRequest, "badNonce", "nonce %q was used before (§6.5)", c.jws.nonce)
	case state == nonceUnknown:
		return refuse(http.StatusBadRequest, "badNonce", "nonce %q is unknown", c.jws.nonce)
	case s.opts.BadNonce > 0 && s.random.Float64() < s.opts.BadNonce:
		return refuse(http.StatusBadRequest, "badNonce", "nonce %q is rejected at random", c.jws.nonce)
	}
	return nil
}
