// Package dnspersist01 is experimental: it fulfils dns-persist-01 challenges as
// three versions of a draft have them (draft-ietf-acme-dns-persist-00, -01 and
// -02), which differ in the names of members and in what the record says; which of
// them a server speaks is found out from its challenge.
//
// A TXT record that stays says which account of which CA may get certificates for
// a name. Once it is there, orders need no access to the DNS: a person, or a
// program that may change zones, makes it once.
//
//	solver := &dnspersist01.Solver{Issuer: "ca.example"}                     // only checks that the record is there
//	solver := &dnspersist01.Solver{Issuer: "ca.example", Provider: provider} // makes it if it is not
//
// Without a provider, the error of a missing record has the record to make. With
// one, see [dnstxt.Publication] for what else there is to set. Records of other
// CAs at the same name stay as they are, and nothing is cleaned up.
//
// # What such a record means
//
// Whoever has the account key can get certificates for the name for as long as the
// record stays: protect the key as well as that of a certificate, at least
// (section 7.2). To end it, remove the record, or deactivate the account. The
// Issuer has to be set so that a server cannot have a record made that names
// another CA; use one Solver for each CA.
//
// A record with policy=wildcard is also good for wildcards and all names below. It
// is made where a wildcard was ordered, or if [Solver.Wildcard] is set.
// [Solver.Lifetime] lets records end by themselves (persistUntil).
//
// # Before there is a challenge
//
// [Solver.CheckOrder] looks, before an order, whether the records are there and do
// not end within the hour; [Find] and [Parse] look at records that a program knows
// of. [Solver.Prepare] returns the record to make for a server of draft 02, whose
// directory has what is needed, set as [Solver.Meta]; for one of the drafts before
// that, whose directories say nothing, it is
//
//	dnspersist01.Record{Issuer: "ca.example", AccountURI: account.URL()}.TXT("example.com")
//
// [Solver.Remove] finds the records of an account and removes them.
//
// # After a change of the account key
//
// In draft 02 the record depends on the account key: make it again, with the new
// Account, soon after [acme.Account.ChangeKey] (section 7.2.1). With a provider,
// the next order does so. Records of the other drafts stay good.
package dnspersist01
