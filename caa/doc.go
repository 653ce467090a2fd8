// Package caa makes, reads and checks CAA records: which certification
// authority may issue for a name (RFC 8659), for which account and by which
// validation methods (RFC 8657).
//
// # Pinning an account
//
// A record that names a CA lets everybody who controls the name, for as long as
// the CA can be made to believe it, get a certificate there. [Pin] makes the
// value that lets one account do so, and by some methods only:
//
//	directory, err := client.Directory(ctx)
//	…
//	value, err := caa.Pin(directory.Meta.CAAIdentities[0], account.URL(), acme.DNS01)
//	…
//	fmt.Printf("example.com. CAA %s\n", caa.Record{Tag: caa.TagIssue, Value: value.String()})
//
// A pin is only as good as the CA's word: the parameters bind nobody but a CA
// that says in its documentation that it heeds them (RFC 8657 §5.2), they say
// nothing to other CAs, and an attacker in the middle between the CA and a zone
// without DNSSEC removes them (§5.6). Let's Encrypt heeds both. A pin has to be
// changed when the account changes: a new account is a new URL, a new key is not.
// Everybody can read the account URL in it (§5.9).
//
// # Before ordering
//
// A CA looks the records up when it issues, and a record that forbids it costs a
// failed order, or a renewal that fails months after a change of DNS. A
// [Request] checks records the way a CA does:
//
//	request := caa.Request{
//		Identities: directory.Meta.CAAIdentities,
//		AccountURL: account.URL(),
//		Methods:    []acme.ChallengeType{acme.HTTP01},
//	}
//	err := request.CheckOrder(ctx, lookup, acme.DNS("example.com", "*.example.com"))
//
// The [*ForbiddenError] says which record is in the way and what to change. The
// package sends no queries: lookup is any function that asks for the CAA records
// of one name; [Relevant] climbs the tree with it. Around the resolver of package
// challenge/dnstxt, or any other that has such records as octets, it is
//
//	lookup := func(ctx context.Context, name string) ([]caa.Record, error) {
//		return caa.FromRDATA(resolver.CAA(ctx, name))
//	}
//
// Everything here is a pure function or plain data, safe for concurrent use.
package caa
