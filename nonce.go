package acme

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	maxNonces      = 128       // in the pool
	maxNonceOctets = 1024      // of one nonce
	maxNonceAge    = time.Hour // older ones are likely to be refused: Let's Encrypt's live for hours, others' for minutes
)

// A noncePool holds anti-replay nonces that came with answers (§6.5), for all
// requests of a Client. The newest is used first, since it lives longest. A
// nonce in the pool belongs to nobody; one taken belongs to the taker.
type noncePool struct {
	mu     sync.Mutex
	nonces []*pooledNonce // pointers: a Client printed with its fields shows none
}

type pooledNonce struct {
	value string
	at    time.Time
}

// put adds a nonce, and drops the oldest if there are too many.
func (p *noncePool) put(nonce string) {
	if !isNonce(nonce) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.nonces) == maxNonces {
		p.nonces = append(p.nonces[:0], p.nonces[1:]...)
	}
	p.nonces = append(p.nonces, &pooledNonce{nonce, time.Now()})
}

// take removes and returns the newest nonce, or "".
func (p *noncePool) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.nonces) - 1
	if last < 0 {
		return ""
	}
	n := p.nonces[last]
	if time.Since(n.at) > maxNonceAge {
		p.nonces = nil // so are all the others
		return ""
	}
	p.nonces = p.nonces[:last]
	return n.value
}

// newNonce asks the server for a nonce (§7.2). It goes to the caller, not
// through the pool, where somebody else could take it.
func (c *Client) newNonce(ctx context.Context) (string, error) {
	dir, err := c.Directory(ctx)
	if err != nil {
		return "", err
	}
	// HEAD is the rule, GET for servers that know only that.
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		resp, err := c.do(ctx, request{op: OpNewNonce, method: method, url: dir.NewNonceURL})
		if err != nil {
			if p, ok := asProblem(err); method == http.MethodHead && ok && isNoSuchMethod(p.Status) {
				continue
			}
			return "", err
		}
		if nonce := resp.Header.Get("Replay-Nonce"); isNonce(nonce) {
			return nonce, nil
		}
	}
	return "", wrap(ErrNoNonce, "%s %s", OpNewNonce, dir.NewNonceURL)
}

func isNoSuchMethod(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// isNonce reports whether s may be used as a nonce: others are ignored (§6.5.1).
func isNonce(s string) bool { return len(s) <= maxNonceOctets && isBase64URL(s) }
