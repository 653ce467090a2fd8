package acme

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
)

// ChangeKey gives the account another key (§7.3.5) and returns a handle with it;
// a itself is unchanged. The key must be new. Store it before the call, and the
// old one until it has returned.
//
// After nil the new key holds, after an error the old one does (ErrKeyInUse: the
// new one belongs to another account), but for an error that Is ErrKeyUnknown: then
// neither could be confirmed, and [Client.FindAccount] with each of the two tells
// which it is.
func (a *Account) ChangeKey(ctx context.Context, key crypto.Signer) (*Account, error) {
	if a.err != nil {
		return nil, wrap(a.err, "%s", OpKeyChange)
	}
	k, err := newSigningKey(key)
	if err != nil {
		return nil, wrap(err, "%s: new key", OpKeyChange)
	}
	if k.thumbprint == a.key.thumbprint {
		return nil, wrap(ErrSameKey, "%s", OpKeyChange)
	}
	url, err := a.client.offered(ctx, OpKeyChange, func(d *Directory) string { return d.KeyChangeURL })
	if err != nil {
		return nil, err
	}
	changed := &Account{client: a.client, key: k, url: a.url}
	for n := range 2 {
		var inner json.RawMessage
		if inner, err = k.changeFrom(a.key, a.url, url); err != nil {
			return nil, wrap(err, "%s %s", OpKeyChange, url)
		}
		if _, err = a.post(ctx, OpKeyChange, url, inner); err == nil {
			if err = a.inUse(ctx, key); err != nil {
				return nil, err
			}
			return changed, nil
		}
		if p, ok := asProblem(err); ok && (p.Status < 500 || p.Status == http.StatusNotImplemented) {
			return nil, keyChangeError(err) // a refusal
		}
		if ctx.Err() != nil {
			return nil, wrap(series{ErrKeyUnknown, err}, "%s", OpKeyChange)
		}
		// The answer was lost: the new key knows whether it holds.
		found, lookErr := a.client.FindAccount(ctx, key)
		switch {
		case lookErr == nil && found.url == a.url:
			return changed, nil
		case lookErr == nil:
			return nil, wrap(series{err, ErrKeyInUse, errors.New(quoteIfOdd(found.url))}, "%s", OpKeyChange)
		case !errors.Is(lookErr, ErrAccountDoesNotExist):
			return nil, wrap(series{ErrKeyUnknown, err, lookErr}, "%s", OpKeyChange)
		case n > 0 || !a.client.mayRepeat(ctx, 1, err):
			return nil, keyChangeError(err)
		}
	}
	return nil, keyChangeError(err)
}

// inUse looks whether a key that the server says to have accepted belongs to
// another account: Pebble answers 200 then, and changes nothing.
func (a *Account) inUse(ctx context.Context, key crypto.Signer) error {
	if found, err := a.client.FindAccount(ctx, key); err == nil && found.url != a.url {
		return wrap(series{ErrKeyInUse, errors.New(quoteIfOdd(found.url))}, "%s", OpKeyChange)
	}
	return nil // what the server has said counts, unless it contradicts itself
}

// keyChangeError tells servers that only advertise keyChange (step-ca, ZeroSSL)
// from those that refuse it.
func keyChangeError(err error) error {
	if p, ok := asProblem(err); ok && isNoSuchMethod(p.Status) {
		return wrap(series{errors.ErrUnsupported, err}, "%s", OpKeyChange)
	}
	return err
}
