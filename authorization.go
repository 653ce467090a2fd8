package acme

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// An Authorization is an authorization as the server has it (§7.1.4). It is
// plain data.
type Authorization struct {
	URL        string
	Status     Status
	Identifier Identifier // without "*.", even of a wildcard's
	Wildcard   bool
	Expires    time.Time // zero if the server did not say
	RetryAfter time.Time // when the server wants to be asked again
	Challenges []*Challenge

	// SubdomainAuthAllowed says that it is also for all that is below the domain
	// (RFC 9444 §4.1).
	SubdomainAuthAllowed bool

	Raw json.RawMessage `json:",omitzero"` // as served, with the members of extensions
}

// maxChallenges bounds the challenges of an authorization that are looked at.
const maxChallenges = 64

// decode reads an authorization object. URL is not part of it.
func (z *Authorization) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*z = Authorization{
		Status:  Status(text(m["status"])),
		Expires: date(m["expires"]),
		Raw:     append(json.RawMessage(nil), data...),
	}
	optional(m["identifier"], &z.Identifier)
	optional(m["wildcard"], &z.Wildcard)
	optional(m["subdomainAuthAllowed"], &z.SubdomainAuthAllowed)
	if name, ok := strings.CutPrefix(z.Identifier.Value, "*."); ok {
		z.Identifier.Value, z.Wildcard = name, true // against §7.1.4, but seen
	}
	if id, err := z.Identifier.normalize(); err == nil {
		z.Identifier = id // the same in every reading
	}
	var challenges []json.RawMessage
	optional(m["challenges"], &challenges)
	for _, raw := range challenges[:min(len(challenges), maxChallenges)] {
		if c := new(Challenge); isObject(raw) && c.decode(raw) == nil {
			z.Challenges = append(z.Challenges, c)
		}
	}
	return nil
}

// name names the authorization's identifier for an error.
func (z *Authorization) name() string {
	if z.Wildcard {
		return "*." + z.Identifier.String()
	}
	return z.Identifier.String()
}

// isFinal reports whether the status cannot become valid or is (§7.1.6).
func (z *Authorization) isFinal() bool {
	switch z.Status {
	case StatusValid, StatusInvalid, StatusDeactivated, StatusExpired, StatusRevoked:
		return true
	}
	// One invalid challenge makes the authorization invalid (§7.1.6); step-ca
	// leaves it pending all the same, until it expires.
	return z.failed() != nil
}

// failed returns a challenge that is invalid, or nil.
func (z *Authorization) failed() *Challenge {
	for _, c := range z.Challenges {
		if c.Status == StatusInvalid {
			return c
		}
	}
	return nil
}

// challenge returns the challenge with the URL, or nil.
func (z *Authorization) challenge(url string) *Challenge {
	for _, c := range z.Challenges {
		if c.URL == url {
			return c
		}
	}
	return nil
}

func (z *Authorization) received(url string, resp *Response) {
	z.URL, z.RetryAfter = url, resp.RetryAfter
	for _, c := range z.Challenges {
		c.URL = resolve(resp.base(), c.URL)
	}
}

// NewAuthorization asks for an authorization before there is an order (§7.4.1),
// for exactly this identifier, which must not be a wildcard. Servers that do not
// offer it give errors.ErrUnsupported.
func (a *Account) NewAuthorization(ctx context.Context, id Identifier) (*Authorization, error) {
	return a.newAuthorization(ctx, id, false)
}

// newAuthorization asks for an authorization, of subdomains too (RFC 9444 §4.2).
func (a *Account) newAuthorization(ctx context.Context, id Identifier, subdomains bool) (*Authorization, error) {
	id, err := id.Normalize()
	if err == nil && strings.HasPrefix(id.Value, "*.") {
		err = fmt.Errorf("%w %s: a wildcard cannot be authorized in advance (§7.4.1)", ErrInvalidIdentifier, quote(id.Value))
	}
	if err != nil {
		return nil, wrap(err, "%s", OpNewAuthz)
	}
	if a.err != nil {
		return nil, wrap(a.err, "%s", OpNewAuthz)
	}
	url, err := a.client.offered(ctx, OpNewAuthz, func(d *Directory) string { return d.NewAuthzURL })
	if err != nil {
		return nil, err
	}
	identifier := any(id)
	if subdomains {
		if identifier, err = a.withSubdomains(ctx, id); err != nil {
			return nil, err
		}
	}
	z, resp, err := call[Authorization](ctx, a, OpNewAuthz, url, map[string]any{"identifier": identifier})
	if err != nil {
		return nil, err
	}
	location := resp.Location()
	if location == "" {
		return nil, wrap(fmt.Errorf("%w: no Location for the new authorization", ErrMalformedResponse), "%s %s", OpNewAuthz, url)
	}
	z.received(location, resp)
	return z, nil
}

// Authorization reads an authorization (§7.5).
func (a *Account) Authorization(ctx context.Context, url string) (*Authorization, error) {
	z, resp, err := call[Authorization](ctx, a, OpAuthorization, url, nil)
	if err != nil {
		return nil, err
	}
	z.received(url, resp)
	a.client.log(ctx, slog.LevelInfo, "acme: authorization", urlAttr(url), slog.String("acme.identifier", z.name()), statusAttr(z.Status))
	return z, nil
}

// WaitAuthorization reads an authorization until it is valid, at the intervals
// that the server asks for (§7.5.1). One that ends otherwise is an
// [*AuthorizationError], which tells why. If ctx ends first, it is a
// [*WaitError].
func (a *Account) WaitAuthorization(ctx context.Context, url string) (*Authorization, error) {
	var z *Authorization
	err := wait(ctx, url, func(int) (bool, state, error) {
		read, err := a.Authorization(ctx, url)
		if err != nil {
			return false, state{}, err
		}
		z = read
		return z.isFinal(), state{z.Status, z.RetryAfter, z.reason()}, nil
	})
	if err != nil {
		return nil, err
	}
	if z.Status != StatusValid {
		return nil, &AuthorizationError{Authorization: z, Challenge: z.failed()}
	}
	return z, nil
}

// reason returns what the server says about a validation that it tries again.
func (z *Authorization) reason() *Problem {
	for _, c := range z.Challenges {
		if c.Error != nil {
			return c.Error
		}
	}
	return nil
}

// DeactivateAuthorization gives up an authorization (§7.5.2): a pending one that
// will not be used, or a valid one.
func (a *Account) DeactivateAuthorization(ctx context.Context, url string) error {
	resp, err := a.post(ctx, OpDeactivateAuthorization, url, map[string]any{"status": StatusDeactivated})
	if err != nil {
		return err
	}
	return isDeactivated(resp, OpDeactivateAuthorization)
}
