// Package pebble runs Pebble, Let's Encrypt's ACME server for tests, inside
// the calling process, on loopback. It needs no binary, configuration file,
// fixed port or network, starts in milliseconds, and validates challenges for
// real. It is for tests and for example programs; nothing in it imports
// testing.
//
// # Quick start
//
//	server, err := pebble.Start(pebble.Options{})
//	if err != nil { … }
//	defer server.Close()
//
//	listener, err := server.ListenHTTP() // where http-01 is asked
//	if err != nil { … }
//	go http.Serve(listener, solver)
//
//	// An ACME client is given these two:
//	server.DirectoryURL() // https://127.0.0.1:PORT/dir
//	server.Client()       // an *http.Client that trusts the server
//
// Certificates are then checked with [Server.Roots], which are new for each
// server.
//
// # Names and ports
//
// Every DNS name resolves to 127.0.0.1 for the server, because it asks a small
// DNS server of its own: [Server.SetAddresses] and [Server.SetCNAME] change
// that, and [Server.AddTXT] and [Server.RemoveTXT] make records for dns-01,
// dns-account-01 and dns-persist-01. The names for a wildcard and for the name
// below it are the same, with two records. Challenges of type http-01 and
// tls-alpn-01 are asked at [Server.HTTPAddr] and [Server.TLSAddr], whose
// listeners come from [Server.ListenHTTP] and [Server.ListenTLS]: the ports
// are open from the start, so nobody can take them meanwhile.
//
// # What is different from Pebble's command
//
// A bare Pebble deadlocks when it is asked for too much at once, or when the
// second challenge of an authorization is answered. Here a handler in front of
// it keeps it from that. What a client sees of it:
//
//   - Requests are served one after the other. They take well under a
//     millisecond each.
//   - A challenge is refused as malformed if its authorization is no longer
//     pending, or if another challenge of it is being validated.
//   - At most 16 challenges are validated at a time. The answer to another one
//     waits, up to 5 seconds. (Not with [Options.ValidationSleep].)
//   - An authorization is deactivated, and an account key changed, when no
//     validation is under way that it would be in the way of.
//   - Finalize is answered when the certificate is there, unless
//     [Options.ShowProcessing] is set. The answer still says "processing".
//   - A name above a blocked one is a name like any other. Pebble panics.
//   - No authorization is reused, and no good nonce rejected, if not asked for.
//
// Everything else is as Pebble does it, on purpose: authorizations, challenges
// and identifiers come in random order; an order that names no profile gets
// any; a challenge is asked for three times at once, and after a failure the
// other two may come late; objects that are not there are a 404 without a body;
// a key change to a key in use is 200 and changes nothing; a notBefore that
// cannot be parsed leaves the order processing for ever.
//
// Several servers may run in one process, started in parallel, with different
// options.
package pebble
