package acme

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"
)

// An Account is a Client, a key and an account URL: the capability to act at
// the server. It is the only type that signs; everything else is data. It is
// immutable and safe for concurrent use.
//
// Get one from [Client.NewAccount], [Client.FindAccount] or, for a stored
// account, [Client.Account].
type Account struct {
	client  *Client
	key     *signingKey // a pointer: an Account printed with its fields shows no key
	url     string
	created bool
	err     error // what is wrong with the key or the URL, reported by each method
}

// An AccountRequest describes the account to create (§7.3).
type AccountRequest struct {
	_ struct{}

	// Contact lists URLs by which the server can reach the account's holder:
	// "mailto:admin@example.com". Some servers need one, some ignore them.
	Contact []string

	// TermsOfServiceAgreed says that a person agreed to the terms at
	// Directory.Meta.TermsOfService. Most servers need it.
	TermsOfServiceAgreed bool

	// ExternalAccount binds the account to one that the holder has with the CA
	// otherwise (§7.3.4). Servers need it whose
	// Directory.Meta.ExternalAccountRequired is set.
	ExternalAccount *ExternalAccount
}

// An AccountInfo is an account as the server has it (§7.1.2).
type AccountInfo struct {
	Status                 Status // "valid", "deactivated" or "revoked"
	Contact                []string
	TermsOfServiceAgreed   bool
	ExternalAccountBinding json.RawMessage `json:",omitzero"` // as verified by the server, if it says so
	OrdersURL              string
	DelegationsURL         string          // RFC 9115 §2.3.1.1
	Raw                    json.RawMessage `json:",omitzero"` // as served
}

// decode reads an account object.
func (i *AccountInfo) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*i = AccountInfo{
		Status:                 Status(text(m["status"])),
		ExternalAccountBinding: m["externalAccountBinding"],
		OrdersURL:              link(m["orders"]),
		DelegationsURL:         link(m["delegations"]),
		Raw:                    append(json.RawMessage(nil), data...),
	}
	optional(m["contact"], &i.Contact)
	optional(m["termsOfServiceAgreed"], &i.TermsOfServiceAgreed)
	return nil
}

// NewAccount creates an account, or finds the one that the key has already
// (§7.3); Created tells which. Store its URL and the key: with them
// [Client.Account] makes the handle again without a request. The key must be
// used for nothing else (§11.1).
//
// ErrUserActionRequired asks for agreement to the terms of service,
// ErrExternalAccountRequired for an ExternalAccount, ErrUnsupportedContact and
// ErrInvalidContact for other contacts.
func (c *Client) NewAccount(ctx context.Context, key crypto.Signer, req AccountRequest) (*Account, error) {
	if err := req.check(); err != nil {
		return nil, wrap(err, "%s", OpNewAccount)
	}
	dir, err := c.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if dir.Meta.ExternalAccountRequired || req.ExternalAccount != nil {
		// An account that exists needs no binding, and Sectigo refuses a second.
		a, err := c.FindAccount(ctx, key)
		if err == nil {
			return a, nil
		}
		if p, ok := asProblem(err); !ok || isRateLimit(p) || p.Status >= 500 {
			return nil, err
		}
		if req.ExternalAccount == nil {
			return nil, wrap(fmt.Errorf("%w: AccountRequest.ExternalAccount is nil: the CA gives a key ID and a MAC key to its customers (§7.3.4)",
				ErrExternalAccountRequired), "%s %s", OpNewAccount, dir.NewAccountURL)
		}
	}
	body := map[string]any{}
	if len(req.Contact) > 0 {
		body["contact"] = req.Contact
	}
	if req.TermsOfServiceAgreed {
		body["termsOfServiceAgreed"] = true
	}
	a, err := c.newAccount(ctx, OpNewAccount, key, dir.NewAccountURL, body, req.ExternalAccount)
	return a, req.explain(err, dir.Meta.TermsOfService)
}

// explain adds to a server's refusal that nobody has agreed to its terms. What it
// says itself may be anything: userActionRequired, or malformed (Boulder).
func (r *AccountRequest) explain(err error, terms string) error {
	if r.TermsOfServiceAgreed || terms == "" || !errors.Is(err, ErrUserActionRequired) && !errors.Is(err, ErrMalformed) {
		return err
	}
	hint := fmt.Errorf("AccountRequest.TermsOfServiceAgreed is not set: has somebody read %s?", quote(terms))
	return wrap(series{err, hint}, "terms of service")
}

// check finds what a server would refuse (§7.3).
func (r *AccountRequest) check() error {
	for _, contact := range r.Contact {
		scheme, rest, ok := strings.Cut(contact, ":")
		if !ok || scheme == "" || rest == "" || strings.ContainsAny(contact, " \r\n\t") {
			return fmt.Errorf("%w %s: want a URL, like mailto:admin@example.com", ErrMalformedContact, quote(contact))
		}
		if strings.EqualFold(scheme, "mailto") && (strings.ContainsAny(rest, "?,") || !strings.Contains(rest, "@")) {
			return fmt.Errorf("%w %s: want one address without header fields (§7.3)", ErrMalformedContact, quote(contact))
		}
	}
	if r.ExternalAccount != nil {
		return r.ExternalAccount.check()
	}
	return nil
}

// FindAccount looks up the account that the key has at the server, without
// creating one (§7.3.1). errors.Is(err, ErrAccountDoesNotExist) tells that there
// is none; any other error tells nothing of that.
func (c *Client) FindAccount(ctx context.Context, key crypto.Signer) (*Account, error) {
	dir, err := c.Directory(ctx)
	if err != nil {
		return nil, err
	}
	return c.newAccount(ctx, OpFindAccount, key, dir.NewAccountURL, map[string]any{"onlyReturnExisting": true}, nil)
}

func (c *Client) newAccount(ctx context.Context, op Operation, key crypto.Signer, url string, body map[string]any, eab *ExternalAccount) (*Account, error) {
	k, err := newSigningKey(key)
	if err != nil {
		return nil, wrap(err, "%s", op)
	}
	if eab != nil {
		if body["externalAccountBinding"], err = k.bind(eab, url); err != nil {
			return nil, wrap(err, "%s %s: external account binding", op, url)
		}
	}
	resp, err := c.signed(ctx, op, k, "", url, body)
	if err != nil {
		return nil, eab.explain(err)
	}
	location := resp.Location()
	if _, err := c.checkURL(location); err != nil {
		return nil, wrap(fmt.Errorf("%w: Location: %w", ErrMalformedResponse, err), "%s %s", op, url)
	}
	a := &Account{client: c, key: k, url: location, created: resp.StatusCode == http.StatusCreated}
	c.log(ctx, slog.LevelInfo, "acme: account", urlAttr(location), slog.Bool("acme.created", a.created))
	return a, nil
}

// signed sends a signed request with a JSON body; nil means POST-as-GET (§6.3).
func (c *Client) signed(ctx context.Context, op Operation, key *signingKey, account, url string, body any) (*Response, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, wrap(err, "%s %s", op, url)
		}
	}
	return c.do(ctx, request{op: op, method: http.MethodPost, url: url, key: key, account: account, payload: payload})
}

// post is signed, by the account.
func (a *Account) post(ctx context.Context, op Operation, url string, body any) (*Response, error) {
	if a.err != nil {
		return nil, wrap(a.err, "%s", op)
	}
	return a.client.signed(ctx, op, a.key, a.url, url, body)
}

// call posts and decodes the answer.
func call[T any, P interface {
	*T
	decoder
}](ctx context.Context, a *Account, op Operation, url string, body any) (*T, *Response, error) {
	resp, err := a.post(ctx, op, url, body)
	if err != nil {
		return nil, nil, err
	}
	v := new(T)
	if err := resp.decode(P(v)); err != nil {
		return nil, nil, wrap(err, "%s %s", op, url)
	}
	return v, resp, nil
}

// URL returns the account's URL, which identifies it at the server (§6.2, §7.3).
func (a *Account) URL() string { return a.url }

// Created reports whether [Client.NewAccount] made the account. Where it found
// one that the key had already, the request's contents had no effect (§7.3.1).
func (a *Account) Created() bool { return a.created }

// String returns the account's URL alone.
func (a *Account) String() string { return "acme.Account(" + a.url + ")" }

// GoString returns the account's URL alone.
func (a *Account) GoString() string { return a.String() }

// LogValue returns the account's URL alone.
func (a *Account) LogValue() slog.Value { return slog.StringValue(a.url) }

// Thumbprint returns the thumbprint of the account key (RFC 7638), with which
// http-01 can be answered without knowing the order (§8.1).
func (a *Account) Thumbprint() string {
	if a.key == nil {
		return ""
	}
	return a.key.thumbprint
}

// Info reads the account (§7.1.2).
func (a *Account) Info(ctx context.Context) (*AccountInfo, error) {
	return a.info(ctx, OpAccount, nil)
}

// Update replaces the contacts, and clears them if contact is empty (§7.3.2).
// Nothing else of an account can be updated.
func (a *Account) Update(ctx context.Context, contact []string) (*AccountInfo, error) {
	req := AccountRequest{Contact: contact}
	if err := req.check(); err != nil {
		return nil, wrap(err, "%s %s", OpUpdateAccount, a.url)
	}
	body := map[string]any{"contact": append([]string{}, contact...)} // [] and not null
	return a.info(ctx, OpUpdateAccount, body)
}

func (a *Account) info(ctx context.Context, op Operation, body any) (*AccountInfo, error) {
	info, resp, err := call[AccountInfo](ctx, a, op, a.url, body)
	if err != nil {
		return nil, err
	}
	info.OrdersURL = resolve(resp.base(), info.OrdersURL)
	info.DelegationsURL = resolve(resp.base(), info.DelegationsURL)
	return info, nil
}

// Deactivate ends the account, for good (§7.3.6). The server then refuses all
// requests of it with ErrUnauthorized.
func (a *Account) Deactivate(ctx context.Context) error {
	resp, err := a.post(ctx, OpDeactivateAccount, a.url, map[string]any{"status": StatusDeactivated})
	if p, ok := asProblem(err); ok && p.repeated && p.Type == ErrUnauthorized {
		return nil // the first try, whose answer was lost, had done it
	}
	if err != nil {
		return err
	}
	return isDeactivated(resp, OpDeactivateAccount)
}

// isDeactivated checks the object that a deactivation answered with, if any.
func isDeactivated(resp *Response, op Operation) error {
	m, _ := members(resp.Body) // no body will do
	if s := Status(text(m["status"])); s != StatusDeactivated && s != "" {
		return wrap(fmt.Errorf("%w: status is still %s", ErrMalformedResponse, quote(string(s))), "%s %s", op, resp.URL)
	}
	return nil
}

// Orders lists the URLs of the account's orders, over all pages of the list
// (§7.1.2.1). An error is yielded once, at the end. Let's Encrypt has no such
// list (errors.ErrUnsupported), and step-ca 0.30 takes no more orders of an
// account that asked for it while none was pending: store what
// Trace.OrderCreated tells.
func (a *Account) Orders(ctx context.Context) iter.Seq2[string, error] {
	return a.list(ctx, OpOrders, func(i *AccountInfo) string { return i.OrdersURL })
}

// maxPages bounds the pages of a list.
const maxPages = 1000

// list reads a list of URLs that the account has, page by page.
func (a *Account) list(ctx context.Context, op Operation, first func(*AccountInfo) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		info, err := a.Info(ctx)
		if err == nil && first(info) == "" {
			err = unsupported("the account %s has no %s list", a.url, op)
		}
		if err != nil {
			yield("", err)
			return
		}
		seen := map[string]bool{}
		for next := first(info); next != ""; {
			if seen[next] || len(seen) == maxPages {
				yield("", wrap(fmt.Errorf("%w: the list does not end", ErrMalformedResponse), "%s %s", op, next))
				return
			}
			seen[next] = true
			page, resp, err := a.readPage(ctx, op, next)
			if err != nil {
				yield("", err)
				return
			}
			for _, u := range page {
				if !yield(resolve(resp.base(), u), nil) {
					return
				}
			}
			next = ""
			if links := resp.Links("next"); len(links) > 0 {
				next = links[0]
			}
		}
	}
}

// readPage reads one page of a list: an object whose member has the list's name,
// or the bare array of step-ca.
func (a *Account) readPage(ctx context.Context, op Operation, url string) ([]string, *Response, error) {
	resp, err := a.post(ctx, op, url, nil)
	if err != nil {
		return nil, nil, err
	}
	page := listPage{name: string(op)}
	if json.Unmarshal(resp.Body, &page.urls) == nil {
		return page.urls, resp, nil
	}
	if err := resp.decode(&page); err != nil {
		return nil, nil, wrap(err, "%s %s", op, url)
	}
	return page.urls, resp, nil
}

// A listPage is a page of a list.
type listPage struct {
	name string
	urls []string
}

func (p *listPage) decode(data []byte) error {
	m, err := members(data)
	if err != nil || len(m[p.name]) == 0 {
		return err
	}
	return json.Unmarshal(m[p.name], &p.urls)
}

// Post sends a signed request to any URL of the server, for what has no method
// here: an extension, a member of [Directory].Raw. A nil payload is a
// POST-as-GET (§6.3), anything else is encoded as JSON. Nonces, retries, limits
// and problems are those of all other requests; one with a payload is not
// repeated after a lost answer.
func (a *Account) Post(ctx context.Context, url string, payload any) (*Response, error) {
	if payload == nil {
		return a.post(ctx, OpPostAsGet, url, nil)
	}
	return a.post(ctx, OpPost, url, payload)
}

// KeyAuthorization returns the key authorization for a challenge token (§8.1),
// or "" if the token is not base64url or the account has no key.
func (a *Account) KeyAuthorization(token string) KeyAuthorization {
	if a.key == nil || !isBase64URL(token) {
		return ""
	}
	return KeyAuthorization(token + "." + a.key.thumbprint)
}
