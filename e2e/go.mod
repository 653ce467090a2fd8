module github.com/seed-aa0b9f56/acme/e2e

go 1.26.0

require (
	github.com/emersion/go-msgauth v0.7.0
	github.com/emersion/go-smtp v0.25.1
	github.com/libdns/libdns v1.1.1
	github.com/redis/go-redis/v9 v9.23.0
	github.com/seed-aa0b9f56/acme v0.0.0
	github.com/seed-aa0b9f56/acme/acmetest/pebble v0.0.0
	github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136 v0.0.0
	github.com/seed-aa0b9f56/acme/challenge/http01/redisstore v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/letsencrypt/challtestsrv v1.4.2 // indirect
	github.com/letsencrypt/pebble/v2 v2.10.1 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/seed-aa0b9f56/acme => ..
	github.com/seed-aa0b9f56/acme/acmetest/pebble => ../acmetest/pebble
	github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136 => ../challenge/dnstxt/rfc2136
	github.com/seed-aa0b9f56/acme/challenge/http01/redisstore => ../challenge/http01/redisstore
)
