package acme

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Directories of public CAs. Start with a staging one: it has no limits worth
// mentioning, and its certificates are trusted by nobody.
const (
	LetsEncrypt                = "https://acme-v02.api.letsencrypt.org/directory"
	LetsEncryptStaging         = "https://acme-staging-v02.api.letsencrypt.org/directory"
	GoogleTrustServices        = "https://dv.acme-v02.api.pki.goog/directory"
	GoogleTrustServicesStaging = "https://dv.acme-v02.test-api.pki.goog/directory"
	ZeroSSL                    = "https://acme.zerossl.com/v2/DV90"
)

// A Directory lists what a server offers (§7.1.1). A URL is empty where the
// server does not offer the operation. It is shared: do not change it.
type Directory struct {
	NewNonceURL    string
	NewAccountURL  string
	NewOrderURL    string
	NewAuthzURL    string
	RevokeCertURL  string
	KeyChangeURL   string
	RenewalInfoURL string // RFC 9773
	Meta           DirectoryMeta
	Raw            json.RawMessage `json:",omitzero"` // as served
}

// DirectoryMeta is what a server says of itself (§9.7.6). Everything is
// optional.
type DirectoryMeta struct {
	TermsOfService          string // URL
	Website                 string
	CAAIdentities           []string          // names for CAA records (RFC 8659)
	ExternalAccountRequired bool              // NewAccount needs an ExternalAccount (§7.3.4)
	Profiles                map[string]string // name to description (draft-ietf-acme-profiles)
	AutoRenewal             *AutoRenewalMeta  // nil: no auto-renewal (RFC 8739)
	AllowCertificateGet     bool              // OrderRequest.AllowCertificateGet is offered (RFC 9115 §2.3.5)
	DelegationEnabled       bool              // RFC 9115 §2.3.4
	SubdomainAuthAllowed    bool              // RFC 9444 §4.4
	InBandOnionCAARequired  bool              // finalize needs the CAA records of .onion names (RFC 9799 §6.4.1)
	Raw                     json.RawMessage   // as served
}

const directoryLifetime = 24 * time.Hour

// A directoryCache keeps a Client's directory. No lock is held over the
// request: while one caller fetches, the others go on with the old directory, or
// wait for the first one or their context.
type directoryCache struct {
	mu     sync.Mutex
	dir    *Directory
	at     time.Time
	flight *fetching
}

// A fetching is a fetch under way, for all who wait for it.
type fetching struct {
	over chan struct{}
	err  error // unless it is the leader's context that ended
}

// Directory returns the server's directory (§7.1.1). It is fetched when it is
// first needed, shared by concurrent callers, and fetched again after a day;
// should that fail, the old one stays in use.
func (c *Client) Directory(ctx context.Context) (*Directory, error) {
	d := &c.directory
	for {
		d.mu.Lock()
		flight := d.flight
		if d.dir != nil && (flight != nil || time.Since(d.at) < directoryLifetime) {
			defer d.mu.Unlock()
			return d.dir, nil // an old one, too, while another caller fetches
		}
		if flight == nil {
			d.flight = &fetching{over: make(chan struct{})}
		}
		d.mu.Unlock()
		if flight == nil {
			return c.refreshDirectory(ctx)
		}
		select {
		case <-flight.over:
			if flight.err != nil {
				return nil, flight.err
			} // else look again: its leader's context may have ended
		case <-ctx.Done():
			return nil, wrap(contextError(ctx), "%s %s", OpDirectory, c.DirectoryURL)
		}
	}
}

// refreshDirectory fetches the directory and ends the flight.
func (c *Client) refreshDirectory(ctx context.Context) (*Directory, error) {
	d := &c.directory
	defer d.land() // after a panic of a hook, too
	dir, err := c.fetchDirectory(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.dir, d.at = dir, time.Now()
		return dir, nil
	}
	if d.dir != nil && ctx.Err() == nil {
		c.log(ctx, slog.LevelWarn, "acme: keeping the old directory", slog.String("acme.error", err.Error()))
		d.at = time.Now().Add(time.Hour - directoryLifetime) // try again in an hour
		return d.dir, nil
	}
	if ctx.Err() == nil {
		d.flight.err = err
	}
	return nil, err
}

// land ends the flight.
func (d *directoryCache) land() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.flight.over)
	d.flight = nil
}

func (c *Client) fetchDirectory(ctx context.Context) (*Directory, error) {
	if c.DirectoryURL == "" {
		return nil, wrap(ErrNoDirectoryURL, "client")
	}
	resp, err := c.do(ctx, request{op: OpDirectory, method: http.MethodGet, url: c.DirectoryURL})
	if err != nil {
		return nil, err
	}
	dir := new(Directory)
	if err := resp.decode(dir); err != nil {
		return nil, wrap(err, "%s %s", OpDirectory, c.DirectoryURL)
	}
	if dir.NewNonceURL == "" || dir.NewAccountURL == "" || dir.NewOrderURL == "" {
		return nil, wrap(fmt.Errorf("%w: no ACME directory: newNonce, newAccount or newOrder is missing", ErrMalformedResponse),
			"%s %s", OpDirectory, c.DirectoryURL)
	}
	dir.resolve(resp.base())
	return dir, nil
}

// decode reads a directory object. Members of the wrong type count as
// missing: Let's Encrypt adds a random one, for clients that read too much.
func (d *Directory) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*d = Directory{
		NewNonceURL:    link(m["newNonce"]),
		NewAccountURL:  link(m["newAccount"]),
		NewOrderURL:    link(m["newOrder"]),
		NewAuthzURL:    link(m["newAuthz"]),
		RevokeCertURL:  link(m["revokeCert"]),
		KeyChangeURL:   link(m["keyChange"]),
		RenewalInfoURL: link(m["renewalInfo"]),
		Raw:            append(json.RawMessage(nil), data...),
	}
	var meta map[string]json.RawMessage
	optional(m["meta"], &meta)
	d.Meta = DirectoryMeta{
		TermsOfService: text(meta["termsOfService"]),
		Website:        text(meta["website"]),
		Raw:            append(json.RawMessage(nil), m["meta"]...),
	}
	optional(meta["caaIdentities"], &d.Meta.CAAIdentities)
	optional(meta["externalAccountRequired"], &d.Meta.ExternalAccountRequired)
	optional(meta["profiles"], &d.Meta.Profiles)
	d.Meta.decodeAutoRenewal(meta["auto-renewal"])
	var onionCAA bool // the name in the IANA registry (RFC 9799 §7.3)
	for name, flag := range map[string]*bool{
		"allow-certificate-get": &d.Meta.AllowCertificateGet, "delegation-enabled": &d.Meta.DelegationEnabled,
		"subdomainAuthAllowed": &d.Meta.SubdomainAuthAllowed, "inBandOnionCAARequired": &d.Meta.InBandOnionCAARequired, "onionCAARequired": &onionCAA,
	} {
		optional(meta[name], flag)
	}
	d.Meta.InBandOnionCAARequired = d.Meta.InBandOnionCAARequired || onionCAA
	return nil
}

// resolve makes the URLs absolute.
func (d *Directory) resolve(base *url.URL) {
	for _, u := range []*string{&d.NewNonceURL, &d.NewAccountURL, &d.NewOrderURL, &d.NewAuthzURL, &d.RevokeCertURL, &d.KeyChangeURL, &d.RenewalInfoURL} {
		*u = resolve(base, *u)
	}
}

// offered returns the URL of a directory member, or the error that says that
// the server does not have it.
func (c *Client) offered(ctx context.Context, member Operation, pick func(*Directory) string) (string, error) {
	dir, err := c.Directory(ctx)
	if err != nil {
		return "", err
	}
	if u := pick(dir); u != "" {
		return u, nil
	}
	return "", unsupported("the server at %s offers no %s", redacted(c.DirectoryURL), member)
}
