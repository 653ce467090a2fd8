package acme

import (
	"context"
	"crypto"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// A Client talks to one ACME server. A literal with DirectoryURL is ready to
// use; its fields must not be changed and it must not be copied after that. It
// is safe for concurrent use, and one Client should serve all accounts at a
// server: they share its directory, its nonces, its connections and what it
// knows of rate limits.
type Client struct {
	// DirectoryURL is where the server's directory is (§7.1.1): all that a
	// client has to know of a server. It is required; there is no default CA.
	DirectoryURL string

	// HTTPClient sends the requests. It is used as it is, but for redirects,
	// which a signed request never follows, and it is never modified. Private
	// roots, proxies and client certificates are set in its Transport. For
	// HTTP/1.1, set the Transport's MaxConnsPerHost and MaxIdleConnsPerHost to the
	// concurrency: else net/http opens connections that it does not need, and
	// closes those that it will need again.
	//
	// Nil stands for a client of this Client's own, with net/http's defaults, the
	// proxy of the environment included, and up to 8 connections to a host.
	HTTPClient *http.Client

	// UserAgent names the application and how to reach its makers:
	// "example/1.0 (+https://example.com)". It goes before the library's own
	// token (§6.1).
	UserAgent string

	// Language is the Accept-Language of the requests, for problem details that
	// people read (§6.1). Empty stands for "en".
	Language string

	// Logger gets one Debug record a request, Info for state changes, Warn for
	// retries, failed clean-ups and chains that are out of order. Nil is silent.
	// Keys, nonces, tokens and request bodies are never logged.
	Logger *slog.Logger

	// Backoff tells how long to wait before a request is sent once more, the
	// attempt-th time (1, 2, …), after a lost connection, a 5xx or a short rate
	// limit; retryAfter is what the server asked for, or 0. A negative answer
	// gives up. Nil stands for DefaultBackoff. What may be sent again at all is
	// not up to Backoff, nor are rejected nonces. A Retry-After is never undercut:
	// where Backoff answers less, the call waits that long.
	Backoff func(attempt int, retryAfter time.Duration) time.Duration

	// MaxBodyBytes bounds each response body; 0 stands for 1 MiB. Certificate
	// chains may have four times that. More is ErrResponseTooLarge.
	MaxBodyBytes int64

	// AllowHTTP admits plain http to loopback addresses, for tests. Nothing
	// else opens it (§6.1).
	AllowHTTP bool

	once      sync.Once
	own       *http.Client // made at first use, if HTTPClient is nil
	directory directoryCache
	nonces    noncePool
	limits    rateLimits
}

// Account returns a handle on an account that exists, from its key and its URL
// as stored by the program: [Account.URL]. It sends nothing; a wrong key or URL
// shows in the first request, as ErrAccountDoesNotExist, ErrUnauthorized or, for a
// signature that does not fit the account, ErrMalformed.
func (c *Client) Account(key crypto.Signer, url string) *Account {
	a := &Account{client: c, url: url}
	a.key, a.err = newSigningKey(key)
	if a.err == nil && url == "" {
		a.err = ErrNoAccountURL
	}
	return a
}

// String returns the directory URL alone.
func (c *Client) String() string { return "acme.Client(" + redacted(c.DirectoryURL) + ")" }

// GoString returns the directory URL alone.
func (c *Client) GoString() string { return c.String() }

// LogValue returns the directory URL alone.
func (c *Client) LogValue() slog.Value { return slog.StringValue(redacted(c.DirectoryURL)) }

// redacted returns a URL without a password.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "no URL"
	}
	return u.Redacted()
}

// httpClient returns the client to send a request with. Redirects are followed
// for unsigned requests only, and to acceptable URLs only.
func (c *Client) httpClient() *http.Client {
	var hc http.Client
	if c.HTTPClient != nil {
		hc = *c.HTTPClient
	} else {
		c.once.Do(func() { c.own = newHTTPClient() })
		hc = *c.own
	}
	theirs := hc.CheckRedirect
	hc.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if via[0].Method == http.MethodPost || len(via) > maxRedirects {
			return ErrRedirect
		}
		if _, err := c.checkURL(req.URL.String()); err != nil {
			return err
		}
		if theirs != nil {
			return theirs(req, via)
		}
		return nil
	}
	return &hc
}

const maxRedirects = 5

// newHTTPClient has no overall time limit: each exchange has its own.
func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    30 * time.Second, // keyon takes more than 15
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        defaultConcurrency, // HTTP/1.1; HTTP/2 needs one
		MaxIdleConnsPerHost:    defaultConcurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}}
}

// checkURL applies the policy for URLs, all of which come from outside: https,
// or http to loopback where AllowHTTP is set, without user information.
func (c *Client) checkURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrInsecureURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be parsed", ErrInsecureURL) // it may have a password
	}
	secure := u.Scheme == "https" || u.Scheme == "http" && c.AllowHTTP && isLoopback(u.Hostname())
	if !secure || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: %s", ErrInsecureURL, quote(u.Redacted()))
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// userAgent has the application's token, then name and version of this library
// and of the HTTP library below it (§6.1).
func (c *Client) userAgent() string {
	ua := "acme/" + moduleVersion() + " Go-http-client/" + strings.TrimPrefix(runtime.Version(), "go")
	if c.UserAgent != "" {
		ua = c.UserAgent + " " + ua
	}
	return ua
}

// moduleVersion is the version of the module that this package belongs to, as
// the program was built.
func moduleVersion() string {
	path := reflect.TypeFor[Client]().PkgPath()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == path && m.Version != "" {
				return strings.Trim(m.Version, "()")
			}
		}
	}
	return "devel"
}

// language is the Accept-Language of the requests.
func (c *Client) language() string {
	if c.Language == "" {
		return "en"
	}
	return c.Language
}

// log writes a record if there is a Logger.
func (c *Client) log(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if c.Logger != nil {
		c.Logger.LogAttrs(ctx, level, msg, attrs...)
	}
}
