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
			// Pebble answers 200 for the key of another account, and changes nothing.
			// What the server has said counts, unless it contradicts itself.
			if found, lookErr := a.client.FindAccount(ctx, key); lookErr == nil {
				return a.settle(ctx, changed, found, nil)
			}
			return changed, nil
		}
		p, isProblem := asProblem(err)
		refused := isProblem && (p.Status < 500 || p.Status == http.StatusNotImplemented)
		switch {
		case refused && n == 0:
			return nil, keyChangeError(err)
		case ctx.Err() != nil:
			return nil, wrap(series{ErrKeyUnknown, err}, "%s", OpKeyChange)
		}
		// The answer was lost, this one or that before: the new key knows whether it holds.
		found, lookErr := a.client.FindAccount(ctx, key)
		switch {
		case lookErr == nil:
			return a.settle(ctx, changed, found, err)
		case refused: // by a replica that knows, and looked at in one that does not yet
			return nil, wrap(series{ErrKeyUnknown, err}, "%s", OpKeyChange)
		case !errors.Is(lookErr, ErrAccountDoesNotExist):
			return nil, wrap(series{ErrKeyUnknown, err, lookErr}, "%s", OpKeyChange)
		case n > 0 || !a.client.mayRepeat(ctx, 1, err):
			return nil, keyChangeError(err)
		}
	}
	return nil, keyChangeError(err)
}

// settle returns changed, unless the account that the new key has is another one. One
// with another URL may be the same: Boulder knows accounts by their URLs of ACMEv1, too.
// The old key tells: if it has none, or that one as well, the new one holds.
func (a *Account) settle(ctx context.Context, changed, found *Account, lost error) (*Account, error) {
	if found.url == a.url {
		return changed, nil
	}
	var why series
	if lost != nil {
		why = series{lost}
	}
	old, err := a.client.FindAccount(ctx, a.key.signer)
	switch {
	case errors.Is(err, ErrAccountDoesNotExist), err == nil && old.url == found.url:
		return changed, nil
	case err != nil:
		return nil, wrap(append(why, ErrKeyUnknown, err), "%s", OpKeyChange)
	}
	return nil, wrap(append(why, ErrKeyInUse, errors.New(quoteIfOdd(found.url))), "%s", OpKeyChange)
}

// keyChangeError tells servers that only advertise keyChange (step-ca, ZeroSSL)
// from those that refuse it, and a key that is in use (§7.3.5) from other reasons.
func keyChangeError(err error) error {
	if p, ok := asProblem(err); ok && p.Status == http.StatusConflict {
		return wrap(series{ErrKeyInUse, err}, "%s", OpKeyChange)
	}
	if p, ok := asProblem(err); ok && isNoSuchMethod(p.Status) {
		return wrap(series{errors.ErrUnsupported, err}, "%s", OpKeyChange)
	}
	return err
}
