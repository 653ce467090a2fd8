package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
)

// demonstrate makes a request to the server, has it renew, and makes another one.
func demonstrate(ctx context.Context, k *keeper, at *ca.CA, addr string) error {
	if err := visit(ctx, k, at, addr); err != nil {
		return err
	}
	const window = `{"suggestedWindow":{"start":%q,"end":%q}}`
	now := time.Now()
	body := fmt.Sprintf(window, now.UTC().Format(time.RFC3339), now.Add(time.Hour).UTC().Format(time.RFC3339))
	if err := at.Pebble.SetRenewalInfo(k.current.Load().Leaf, body); err != nil {
		return err
	}
	fmt.Fprintln(k.log, "the CA now suggests to renew within the hour; as if two hours had passed:")
	before := k.current.Load()
	if err := k.look(ctx, now.Add(2*time.Hour)); err != nil {
		return err
	}
	if k.current.Load() == before {
		return fmt.Errorf("not renewed, which is due at %v", k.renewal.At())
	}
	return visit(ctx, k, at, addr)
}

// visit asks the server for a page, as a browser that trusts the CA does.
func visit(ctx context.Context, k *keeper, at *ca.CA, addr string) error {
	host := k.ids[0].Value
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: at.Issuers, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return err
	}
	leaf := resp.TLS.PeerCertificates[0]
	fmt.Fprintf(k.log, "visited https://%s/: %s, certificate with serial %x of %s, verified: %s", host, resp.Status, leaf.SerialNumber, leaf.Issuer, page)
	return nil
}
