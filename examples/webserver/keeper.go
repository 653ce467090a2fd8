package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

// The files. A certificate and its key are in one file, so that there is never one
// with the other's.
const (
	certificateFile = "certificate.pem"
	renewalFile     = "renewal.json"
	nextKeyFile     = "next-key.pem"   // of the order under way
	orderFile       = "next-order-url" // the order under way
)

const interval = time.Minute // between looks at whether to renew

// A keeper has the certificate, and sees to it that it stays valid.
type keeper struct {
	files   store.Store
	ids     []acme.Identifier
	client  *acme.Client
	account *acme.Account
	log     io.Writer

	http01   http01.Solver
	tlsalpn  tlsalpn01.Solver
	attempts int
	renewal  acme.Renewal
	current  atomic.Pointer[tls.Certificate] // what connections get
}

// config is that of the HTTPS server. New connections get the certificate that
// is current then.
func (k *keeper) config() *tls.Config {
	return k.tlsalpn.Wrap(&tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := k.current.Load(); c != nil {
				return c, nil
			}
			return nil, errors.New("there is no certificate yet")
		},
	})
}

// start takes the certificate from the folder, or gets the first one.
func (k *keeper) start(ctx context.Context) error {
	data, err := k.files.Read(certificateFile)
	if err != nil {
		return err
	}
	if err := k.load(data); err != nil {
		fmt.Fprintf(k.log, "no certificate to go on with: %v\n", err)
		return k.obtain(ctx)
	}
	fmt.Fprintf(k.log, "found %s\n", k.describe())
	return nil
}

// load takes over what is in the folder, if it is for the names and still valid.
func (k *keeper) load(data string) error {
	if data == "" {
		return errors.New("the folder has none")
	}
	cert, err := tls.X509KeyPair([]byte(data), []byte(data))
	if err != nil {
		return err
	}
	for _, id := range k.ids {
		if err := cert.Leaf.VerifyHostname(id.Value); err != nil {
			return err
		}
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		return fmt.Errorf("it expired at %v", cert.Leaf.NotAfter)
	}
	renewal := acme.NewRenewal(cert.Leaf, time.Time{})
	stored := acme.Renewal{}
	if advice, err := k.files.Read(renewalFile); err == nil && json.Unmarshal([]byte(advice), &stored) == nil && stored.ID == renewal.ID {
		renewal = stored // with the advice and the failures so far
	}
	k.renewal = renewal
	k.current.Store(&cert)
	if key, err := k.files.Read(nextKeyFile); err == nil && key != "" && strings.HasPrefix(data, key) {
		return k.forgetOrder() // died after it had the certificate
	}
	return nil
}

// obtain gets a certificate, or goes on with the order of a process that died,
// and serves it from then on.
func (k *keeper) obtain(ctx context.Context) error {
	// The key is stored before the order is made, and the order's URL before
	// anything is done with it.
	key, err := k.files.Key(nextKeyFile)
	if err != nil {
		return err
	}
	var stored error
	var mu sync.Mutex
	ctx = acme.WithTrace(ctx, &acme.Trace{
		OrderCreated: func(o *acme.Order) { stored = k.files.Write(orderFile, []byte(o.URL)) },
		Responded: func(a *acme.Attempt, _ *acme.Challenge, err error) {
			if err == nil {
				mu.Lock() // several at once
				defer mu.Unlock()
				fmt.Fprintf(k.log, "asked the CA to validate %v\n", a)
			}
		},
	})
	request := acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: k.ids, Replaces: k.renewal.ID},
		CSR:          acme.NewCSR(key),
		Solvers:      []acme.Solver{&k.tlsalpn, &k.http01},
	}
	if k.attempts++; k.attempts%2 == 0 { // each has its turn to be first, as one of the ports may be closed
		slices.Reverse(request.Solvers)
	}
	cert, err := k.issue(ctx, request)
	if err != nil {
		return errors.Join(err, stored)
	}
	return k.take(cert)
}

func (k *keeper) issue(ctx context.Context, request acme.CertificateRequest) (*acme.Certificate, error) {
	url, err := k.files.Read(orderFile)
	if err != nil {
		return nil, err
	}
	if url != "" {
		fmt.Fprintf(k.log, "going on with the order %s\n", url)
		cert, err := k.account.Complete(ctx, &acme.Order{URL: url}, request)
		if !acme.OrderLost(err) {
			return cert, err
		}
		fmt.Fprintln(k.log, err)
	}
	fmt.Fprintln(k.log, "ordering a certificate")
	return k.account.Obtain(ctx, request)
}

// take serves a new certificate and stores it. Where that fails, its order and key are
// kept, and the next attempt finds it there.
func (k *keeper) take(issued *acme.Certificate) error {
	key, err := k.files.Read(nextKeyFile)
	if err != nil {
		return err
	}
	pem := []byte(key + "\n" + string(issued.PEM))
	cert, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return err
	}
	k.current.Store(&cert)
	if err := k.files.Write(certificateFile, pem); err != nil {
		return err
	}
	k.renewal = acme.NewRenewal(cert.Leaf, time.Now())
	fmt.Fprintf(k.log, "got %s\n", k.describe())
	return errors.Join(k.saveRenewal(), k.forgetOrder())
}

// renewUntil renews when it is time to, until ctx ends.
func (k *keeper) renewUntil(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := k.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			fmt.Fprintf(k.log, "%v\n", err) // the certificate there is goes on being served
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look renews if it is time to.
func (k *keeper) look(ctx context.Context, now time.Time) error {
	before := k.renewal.AskAt
	err := k.client.UpdateRenewal(ctx, &k.renewal)
	if !k.renewal.AskAt.Equal(before) {
		err = errors.Join(err, k.saveRenewal())
	}
	if !k.renewal.Due(now, interval) {
		return err
	}
	fmt.Fprintln(k.log, "it is time to renew")
	if failed := k.obtain(ctx); failed != nil {
		if ctx.Err() == nil {
			k.renewal.Failed(now, failed)
		}
		return errors.Join(err, failed, k.saveRenewal())
	}
	return err
}

func (k *keeper) saveRenewal() error {
	data, err := json.Marshal(k.renewal)
	return errors.Join(err, k.files.Write(renewalFile, data))
}

func (k *keeper) forgetOrder() error {
	return errors.Join(k.files.Remove(orderFile), k.files.Remove(nextKeyFile))
}

func (k *keeper) describe() string {
	leaf := k.current.Load().Leaf
	names := slices.Sorted(slices.Values(leaf.DNSNames))
	for _, addr := range leaf.IPAddresses {
		names = append(names, addr.String())
	}
	return fmt.Sprintf("a certificate for %s, serial %x, valid to %s, to be renewed at %s", strings.Join(names, ", "),
		leaf.SerialNumber, leaf.NotAfter.UTC().Format(time.DateTime), k.renewal.At().UTC().Format(time.DateTime))
}
