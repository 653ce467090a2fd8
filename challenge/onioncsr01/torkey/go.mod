module github.com/seed-aa0b9f56/acme/challenge/onioncsr01/torkey

go 1.26.0

require (
	filippo.io/edwards25519 v1.2.0
	github.com/seed-aa0b9f56/acme v0.0.0
)

require (
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/seed-aa0b9f56/acme => ../../..
