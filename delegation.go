package acme

import (
	"context"
	"encoding/json"
	"iter"
)

// A Delegation is what the owner of names lets an account order certificates for,
// and how (RFC 9115 §2.3.1.3). An order with its URL in OrderRequest.Delegation is
// ready at once, without authorizations.
type Delegation struct {
	URL string

	// CSRTemplate says what the CSR must have, may have and must not have (RFC 9115
	// §4). Package csrtemplate reads it, makes the CSR and checks one.
	CSRTemplate json.RawMessage `json:",omitzero"`

	// CNAMEMap has the aliases that the owner puts into the zone: names to names of
	// the account's holder, fully qualified, with a final dot.
	CNAMEMap map[string]string

	Raw json.RawMessage `json:",omitzero"` // as served
}

// decode reads a delegation object. URL is not part of it.
func (d *Delegation) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*d = Delegation{CSRTemplate: m["csr-template"], Raw: append(json.RawMessage(nil), data...)}
	optional(m["cname-map"], &d.CNAMEMap)
	return nil
}

// Delegations lists the URLs of the account's delegations, over all pages of the
// list (RFC 9115 §2.3.1.2). An error is yielded once, at the end. Servers whose
// Directory.Meta.DelegationEnabled is false give errors.ErrUnsupported.
func (a *Account) Delegations(ctx context.Context) iter.Seq2[string, error] {
	return a.list(ctx, OpDelegations, func(i *AccountInfo) string { return i.DelegationsURL })
}

// Delegation reads a delegation (RFC 9115 §2.3.1.3).
func (a *Account) Delegation(ctx context.Context, url string) (*Delegation, error) {
	d, _, err := call[Delegation](ctx, a, OpDelegation, url, nil)
	if err != nil {
		return nil, err
	}
	d.URL = url
	return d, nil
}
