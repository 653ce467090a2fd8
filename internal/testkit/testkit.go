// Package testkit has what the tests of many packages begin with.
package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// Key makes a key.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Account makes an account at a CA in memory, and a Client, without a request.
func Account(t testing.TB, ca *acmetest.Server) *acme.Account {
	t.Helper()
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient(), UserAgent: "test/1"}
	key := Key(t)
	return client.Account(key, ca.AddAccount(key.Public()))
}
