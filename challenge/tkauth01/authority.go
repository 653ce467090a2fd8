package tkauth01

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// An Authority gets tokens from a token authority over HTTPS (RFC 9447 §5, RFC 9448
// §5.5). It must not be changed while it is used, and is safe for concurrent use.
type Authority struct {
	// URL is where tokens are requested: "https://authority.example.org/at/account/7/token",
	// with the client's account.
	URL string

	// Locate, if it is not nil, is called for the URL instead, with the
	// token-authority of the challenge ("" where there is none). As that comes from
	// the CA, and gets the credentials, answer for authorities that you know.
	Locate func(tokenAuthority string) (url string, err error)

	// Authenticate adds the credentials of the client's account with the token
	// authority to a request, if any are needed: an Authorization field, mostly.
	Authenticate func(r *http.Request) error

	// Nested puts what is requested into a member "atc", as RFC 9447 §5.1 has it.
	// Otherwise it is at the top, as in the example of RFC 9448 §5.5. Ask which of
	// the two a token authority reads.
	Nested bool

	// HTTPClient sends the requests; nil stands for one with net/http's defaults.
	// Redirects are not followed, whatever it says.
	HTTPClient *http.Client
}

// ErrCredentials says that a token authority refused the credentials, or that there
// is no such account (RFC 9448 §5.5): errors.Is finds it in a [*StatusError].
const ErrCredentials constError = "the token authority does not accept the credentials or the account"

type constError string

func (e constError) Error() string { return string(e) }

// A StatusError reports that a token authority refused a request.
type StatusError struct {
	StatusCode int
	URL        string
	Body       string // the beginning; not to be trusted
}

// Error names the URL and the status, and quotes the body.
func (e *StatusError) Error() string {
	why := ""
	if e.Is(ErrCredentials) {
		why = ": " + string(ErrCredentials)
	}
	return fmt.Sprintf("%s answers %d%s: %q", e.URL, e.StatusCode, why, e.Body)
}

// Is reports whether target is ErrCredentials, and the status 401 or 403.
func (e *StatusError) Is(target error) bool {
	return target == ErrCredentials && (e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized)
}

// Token requests a token: it is the Token of a [Solver]. It fails before anything is
// sent if the URL is not https (RFC 9447 §7).
func (a *Authority) Token(ctx context.Context, r Request) (string, error) {
	target, err := a.locate(r)
	if err != nil {
		return "", err
	}
	var body any = r.atc()
	if a.Nested {
		body = map[string]any{"atc": body}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if a.Authenticate != nil {
		if err := a.Authenticate(req); err != nil {
			return "", fmt.Errorf("credentials for %s: %w", target, err)
		}
	}
	resp, err := a.client().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or cut off
	return read(target, resp)
}

// locate returns the URL to request a token from.
func (a *Authority) locate(r Request) (string, error) {
	target := a.URL
	if a.Locate != nil {
		var err error
		if target, err = a.Locate(r.Authority); err != nil {
			return "", fmt.Errorf("token authority %.100q: %w", r.Authority, err)
		}
	}
	if target == "" {
		return "", errors.New("no token authority: Authority.URL is empty")
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("token authority: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("token authority %.100q: want https, without user information (RFC 9447 §7)", target)
	}
	return target, nil
}

func (a *Authority) client() *http.Client {
	var c http.Client
	if a.HTTPClient != nil {
		c = *a.HTTPClient
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// read reads the answer of a token authority, up to a bound.
func read(target string, resp *http.Response) (token string, err error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, 2*maxToken))
	if err != nil {
		return "", fmt.Errorf("%s: %w", target, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", &StatusError{StatusCode: resp.StatusCode, URL: target, Body: string(data[:min(len(data), 300)])}
	}
	var members struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(data, &members); err != nil || members.Token == "" {
		return "", fmt.Errorf("%s answers 200 without a token (RFC 9448 §5.5)", target)
	}
	return members.Token, nil
}
