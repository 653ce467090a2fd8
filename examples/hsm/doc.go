// Command hsm gets a certificate with keys that never leave a hardware security
// module: neither that of the account nor that of the certificate.
//
// Without flags it makes a token of SoftHSM, which does in software what such
// hardware does, in a folder that is gone afterwards, and starts Pebble, a CA for
// tests, in its own process. It wants SoftHSM (apt-get install softhsm2) and a C
// compiler, because PKCS#11, the interface to all of them, is one of C.
//
//	cd examples/hsm && GOWORK=off go run .
//
// With flags it uses a token that there is, makes the keys in it that are not
// there yet, and goes to a real CA:
//
//	softhsm2-util --init-token --free --label acme   # asks for the PINs, of which the user's goes into the file pin
//	GOWORK=off go run . -module /usr/lib/softhsm/libsofthsm2.so -token acme -pin-file pin \
//	    -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -domain example.com -http :80 -out certs
//
// The library takes any crypto.Signer. Here github.com/ThalesGroup/crypto11 makes
// one of a key in a token; those of clouds and of TPMs are used alike.
package main
