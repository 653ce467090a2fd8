package http01

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/vantage"
)

// A Checker looks whether an attempt would pass, as a server does: it looks up
// the name, asks port 80 of each address for the answer, and follows redirects,
// up to 10, to ports that servers go to. The zero value is ready to use. Each
// address has 10 seconds, whatever the context allows.
type Checker struct {
	// Resolver looks up names; nil means [net.DefaultResolver].
	Resolver *net.Resolver

	// DialContext connects to an address and a port; nil means that of a zero
	// [net.Dialer]. Another one is for machines that cannot reach themselves at
	// their public address.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Check is the method of a zero [Checker], for [acme.Checked].
func Check(ctx context.Context, a *acme.Attempt) error { return new(Checker).Check(ctx, a) }

// Check returns nil if every address of the attempt's identifier answers with
// its key authorization. The error says for each that does not what was found,
// and how far the check got. It is safe for concurrent use.
func (c *Checker) Check(ctx context.Context, a *acme.Attempt) error {
	if err := check(a); err != nil {
		return err
	}
	return vantage.Look(ctx, c.Resolver, a.Identifier.Value, func(ctx context.Context, addr netip.Addr) error {
		return vantage.Tame(c.ask(ctx, a, addr), a.Challenge.Token)
	})
}

const maxRedirects = 10

// ask asks one address.
func (c *Checker) ask(ctx context.Context, a *acme.Attempt, addr netip.Addr) error {
	host := a.Identifier.Value
	if addr.Is6() && a.Identifier.Type == acme.TypeIP {
		host = "[" + host + "]"
	}
	u := url.URL{Scheme: "http", Host: host, Path: PathPrefix + a.Challenge.Token}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return errors.New("the identifier is no host for a URL")
	}
	request.Header.Set("User-Agent", "acme-http-01-check/1")
	request.Header.Set("Accept", "*/*") // as CAs do, for the sake of web application firewalls
	transport := c.transport(addr)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		return checkRedirect(next, len(via), vantage.Quote(next.URL.Redacted(), a.Challenge.Token))
	}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", u.String(), withoutURL(err))
	}
	defer response.Body.Close() //nolint:errcheck // it was read as far as needed
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", response.Request.URL.Redacted(), err)
	}
	if err := compare(response, string(body), a); err != nil {
		return fmt.Errorf("the answer of %s: %w", response.Request.URL.Redacted(), err)
	}
	return nil
}

const maxBody = 4 << 10 // more than a key authorization with white space behind it

// transport connects to the address first, and for redirects to where they lead.
func (c *Checker) transport(addr netip.Addr) *http.Transport {
	dial := c.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	first := true // the transport of one request makes one connection after the other
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if first {
				first = false
				return dial(ctx, network, netip.AddrPortFrom(addr, 80).String())
			}
			return c.dialHost(ctx, dial, network, address)
		},
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // servers take any certificate: there is none yet
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// dialHost connects to the host that a redirect leads to: to the first address
// that does.
func (c *Checker) dialHost(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := vantage.Addresses(ctx, c.Resolver, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range addrs {
		conn, err := dial(ctx, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// checkRedirect refuses what CAs refuse (Baseline Requirements §3.2.2.4.19).
func checkRedirect(next *http.Request, hops int, to string) error {
	switch port := next.URL.Port(); {
	case hops > maxRedirects:
		return fmt.Errorf("redirected more than %d times, the last time to %s", maxRedirects, to)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("redirected to %s: servers follow to http and https only", to)
	case port != "" && port != "80" && port != "443":
		return fmt.Errorf("redirected to %s: servers follow to the ports 80 and 443 only", to)
	case next.Response != nil && next.Response.StatusCode == http.StatusSeeOther:
		return fmt.Errorf("redirected to %s with status 303: servers follow 301, 302, 307 and 308 only", to)
	}
	return nil
}

// compare returns nil if the answer is the one to the attempt.
func compare(response *http.Response, body string, a *acme.Attempt) error {
	const expected = "expected status 200 with the key authorization"
	got := strings.TrimRight(body, " \t\r\n") // which servers ignore (§8.3)
	thumbprint, isForToken := strings.CutPrefix(got, a.Challenge.Token+".")
	switch {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("found status %d with %s, %s", response.StatusCode, excerpt(body, a.Challenge.Token), expected)
	case got == string(a.KeyAuthorization):
		return nil
	case isForToken && isBase64URL(thumbprint):
		want := strings.TrimPrefix(string(a.KeyAuthorization), a.Challenge.Token+".")
		return fmt.Errorf("found the key authorization of another account, whose key has the thumbprint %s, expected %s", vantage.Quote(thumbprint, ""), vantage.Quote(want, ""))
	}
	return fmt.Errorf("found status 200 with %s, %s", excerpt(body, a.Challenge.Token), expected)
}

// excerpt quotes the beginning of a body.
func excerpt(body, token string) string {
	if body == "" {
		return "nothing"
	}
	return vantage.Quote(body, token)
}

// withoutURL takes away what net/http adds to an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
