// Package http01 fulfils http-01 challenges (RFC 8555 §8.3): the server asks
// port 80 of each name or address for a file with the key authorization.
//
// # Which solver
//
// A program that serves HTTP anyway hangs a [Solver] into its mux, and gives it
// to the library:
//
//	var solver http01.Solver
//	mux.Handle(http01.PathPrefix, &solver)
//	request.Solvers = []acme.Solver{&solver}
//
// A program that does not lets a [Server] open port 80 while there is something
// to answer. Where several replicas stand behind one address, [Stateless] answers
// for any order of an account, and [Shared] with what the replicas keep in a store
// that they share. Where the web server is somebody else's, [Webroot] writes
// files into the folder that it serves.
//
// # What servers do
//
// They look up the name and ask one of its addresses, from several places of
// the world; all addresses, IPv6 ones too, must lead to the solver. They follow
// redirects, also to https with any certificate, so that an existing redirect
// of everything can stay. An address is asked with itself as the host (RFC 8738
// §5). Wildcard names need a DNS challenge.
//
// # Looking first
//
// [Check] and [Checker] ask as a server does, which tells what is wrong before
// the CA is asked and counts the failure:
//
//	request.Solvers = []acme.Solver{acme.Checked(&solver, http01.Check)}
package http01
