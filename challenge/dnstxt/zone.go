package dnstxt

import (
	"context"
	"fmt"
	"net"
	"slices"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxHops      = 8  // of aliases
	maxNS        = 13 // name servers of a zone, as many as the root has
	maxAddresses = 4  // of a name server
)

// Zone returns the zone that a name is in: the name of the zone's apex, with the
// final dot. It is the nearest name above, or the name itself, that has an SOA
// record, so a delegated name is in the zone that it is delegated to, and one
// that does not exist in the zone that it would be in. Aliases are not followed.
// The name above all that there are in the DNS is in no zone: [ErrNoZone].
func (r *Resolver) Zone(ctx context.Context, name string) (string, error) {
	name, err := CanonicalName(name)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	zone, ok := r.zones.get(name)
	r.mu.Unlock()
	if ok {
		return zone, nil
	}
	if zone, err = r.findZone(ctx, name); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones.put(name, zone)
	return zone, nil
}

// findZone asks for the SOA record of the name, then of those above it. Mostly the
// first answer tells, in its authority section.
func (r *Resolver) findZone(ctx context.Context, name string) (string, error) {
	for at := name; at != "."; at = parent(at) {
		a, err := r.lookup(ctx, at, dnsmessage.TypeSOA)
		if err != nil {
			return "", fmt.Errorf("looking for the zone of %s: %w", name, err)
		}
		if zone := a.zone(at); zone != "" {
			return zone, nil
		}
		if cut := a.referral(at); cut != "" {
			return "", fmt.Errorf("%w of %s is here: %s is delegated to other servers, and who was asked asks nobody else", ErrNoZone, name, cut)
		}
	}
	return "", fmt.Errorf("%w has %s: no name above it has an SOA record", ErrNoZone, name)
}

// zone returns the zone of a name from the answer to a question for its SOA, or
// "" if it does not tell. The SOA of an alias is that of another name, but the
// name itself is no apex then.
func (a *answer) zone(name string) string {
	if len(a.of(name, dnsmessage.TypeSOA)) > 0 {
		return name
	}
	if len(a.of(name, dnsmessage.TypeCNAME)) > 0 {
		return ""
	}
	for _, r := range a.authority {
		if r.kind == dnsmessage.TypeSOA && r.owner != "." && isWithin(name, r.owner) {
			return r.owner
		}
	}
	return ""
}

// referral returns the name at which an answer refers to other servers, as those
// answer that have the zone above it and do not recurse, or "".
func (a *answer) referral(name string) string {
	if cut := a.refersTo(); cut != "." && isWithin(name, cut) {
		return cut
	}
	return ""
}

// refersTo returns the zone whose servers an answer refers to instead of saying
// something, or "" (RFC 2308 §2.2). Some that do not have a zone refer upwards.
func (a *answer) refersTo() string {
	zone := ""
	if a.code != dnsmessage.RCodeSuccess {
		return ""
	}
	for _, r := range a.authority {
		switch {
		case len(a.records) > 0 || r.kind == dnsmessage.TypeSOA:
			return ""
		case r.kind == dnsmessage.TypeNS:
			zone = r.owner
		}
	}
	return zone
}

// An authority is a server that a zone is delegated to.
type authority struct {
	name      string
	addresses []string
	err       error // why it has no addresses
}

// authorities returns the servers of a zone.
func (r *Resolver) authorities(ctx context.Context, zone string) ([]authority, error) {
	r.mu.Lock()
	known, ok := r.zoneNS.get(zone)
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	a, err := r.lookup(ctx, zone, dnsmessage.TypeNS)
	if err != nil {
		return nil, fmt.Errorf("looking for the servers of %s: %w", zone, err)
	}
	var all []authority
	for _, ns := range a.of(zone, dnsmessage.TypeNS) {
		if len(all) < maxNS && !slices.ContainsFunc(all, func(known authority) bool { return known.name == ns.text }) {
			all = append(all, authority{name: ns.text})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s has no NS records", ErrNoZone, zone)
	}
	_ = concurrently(ctx, len(all), func(i int) error {
		all[i].addresses, all[i].err = r.addressesOf(ctx, all[i].name)
		return nil
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if slices.ContainsFunc(all, func(known authority) bool { return known.err != nil }) {
		return all, nil // that may be different the next time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zoneNS.put(zone, all)
	return all, nil
}

// addressesOf returns the addresses of a name server, IPv4 first: more machines
// get there.
func (r *Resolver) addressesOf(ctx context.Context, host string) ([]string, error) {
	if _, err := CanonicalName(host); err != nil {
		return nil, err
	}
	var found []string
	var failed error
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		a, err := r.lookup(ctx, host, kind)
		if err != nil {
			failed = err
			continue
		}
		end, _, err := a.chase(host) // an alias is not allowed (RFC 2181 §10.3), but works
		if err != nil {
			return nil, err
		}
		for _, record := range a.of(end, kind) {
			if address := net.JoinHostPort(record.addr.String(), "53"); len(found) < maxAddresses && !slices.Contains(found, address) {
				found = append(found, address)
			}
		}
	}
	if len(found) == 0 {
		if failed == nil {
			failed = fmt.Errorf("%s has no address", host)
		}
		return nil, failed
	}
	return found, nil
}
