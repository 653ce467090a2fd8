module github.com/seed-aa0b9f56/acme/examples/hsm

go 1.26.0

require (
	github.com/ThalesGroup/crypto11 v1.6.2
	github.com/miekg/pkcs11 v1.1.2
	github.com/seed-aa0b9f56/acme v0.0.0
	github.com/seed-aa0b9f56/acme/acmetest/pebble v0.0.0
	github.com/seed-aa0b9f56/acme/examples v0.0.0
)

require (
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/letsencrypt/challtestsrv v1.4.2 // indirect
	github.com/letsencrypt/pebble/v2 v2.10.1 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/thales-e-security/pool v0.0.2 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/seed-aa0b9f56/acme => ../..
	github.com/seed-aa0b9f56/acme/acmetest/pebble => ../../acmetest/pebble
	github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136 => ../../challenge/dnstxt/rfc2136
	github.com/seed-aa0b9f56/acme/examples => ..
)
