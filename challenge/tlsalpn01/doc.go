// Package tlsalpn01 fulfils tls-alpn-01 challenges (RFC 8737; for addresses RFC
// 8738 §6): the server makes a TLS connection to port 443 of each name or
// address, and looks for a certificate with the digest of the key authorization.
//
// # Which solver
//
// A program that serves TLS anyway wraps the configuration that it has, and
// gives the [Solver] to the library:
//
//	var solver tlsalpn01.Solver
//	server.TLSConfig = solver.Wrap(server.TLSConfig)
//	request.Solvers = []acme.Solver{&solver}
//
// A program that does not lets a [Server] open port 443 while there is something
// to answer. Behind a load balancer, this challenge needs one that hands
// connections through to the process that places the orders; where TLS ends
// elsewhere, http-01 or a DNS challenge is for it. Wildcard names need a DNS
// challenge.
//
// # After the handshake
//
// With the handshake all is said (RFC 8737 §4). A [net/http.Server] closes such
// a connection by itself. Another server looks at
// [crypto/tls.ConnectionState].NegotiatedProtocol after the handshake, and closes
// the connection, without a word, if that is [Proto].
//
// # Looking first
//
// [Check] and [Checker] make the connection that a server makes, which tells what
// is wrong before the CA is asked and counts the failure:
//
//	request.Solvers = []acme.Solver{acme.Checked(&solver, tlsalpn01.Check)}
package tlsalpn01
