// Package onioncsr01 fulfils onion-csr-01 challenges (RFC 9799): the key of a
// Tor hidden service signs a CSR with a nonce of the server's in it, which proves
// that one has the name, since the name is the key. The server need not reach
// the service.
//
//	solver := &onioncsr01.Solver{Keys: []crypto.Signer{serviceKey}}
//	cert, err := account.Obtain(ctx, acme.CertificateRequest{
//		OrderRequest:  acme.OrderRequest{Identifiers: acme.DNS(onioncsr01.Address(servicePublicKey))},
//		CSR:           acme.NewCSR(certKey), // never the service's key (RFC 9799 §3.2)
//		FinalizeExtra: solver.OnionCAA(nil),
//		Solvers:       []acme.Solver{solver},
//	})
//
// Servers may offer http-01 and tls-alpn-01 for onion names too, and then have to
// reach the service over Tor. The library never uses a challenge for them that
// looks into DNS (RFC 9799 §3.1.1), refuses names of version 2, and a CSR with the
// service's own key.
//
// # Keys
//
// Any [crypto.Signer] whose public key is an [ed25519.PublicKey] will do. Tor's
// own file, hs_ed25519_secret_key, has the key in an expanded form that package
// ed25519 cannot sign with; the nested module torkey reads it.
//
// # CAA
//
// A hidden service has no DNS to put CAA records in. Where its descriptor is not
// looked at, a request to finalize an order brings them, signed: see
// [Solver.OnionCAA]. A server that insists on it says so in its directory
// ([CAARequired]) and, without it, refuses with [acme.ErrOnionCAARequired].
//
// # Hidden services with client authorization
//
// A challenge can have a key of the server's that wants to be let in, see
// [AuthKey]. If the service knows its clients (restricted discovery), set
// [Solver.Authorize].
//
// # What else to think of
//
// Certificates are published in Certificate Transparency logs (RFC 9799 §8.9):
// whoever orders one for an onion name makes the name known to everybody. Connect
// to the ACME server over Tor, by its own onion name if it has one, or else it
// sees where the service is (RFC 9799 §5, §8.9); with the standard library, that
// is
//
//	proxy, err := url.Parse("socks5h://127.0.0.1:9050")
//	…
//	client := &acme.Client{
//		DirectoryURL: directoryURL,
//		HTTPClient:   &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
//	}
//
// where the names are resolved by Tor. Leave contacts out, or invent some
// (RFC 9799 §8.9.2). Services that should not be known to belong together need an
// account each, with a key of its own (RFC 9799 §8.9.3): accounts of one Client
// have nothing in common but its connections, so use a Client for each, too.
package onioncsr01
