package rfc2136

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// written returns records as this package writes them, and as the server has them, if
// that is otherwise.
func (p *Provider) written(ctx context.Context, recs []dnstxt.Record) ([]dns.RR, error) {
	there := make(map[string][]*dns.TXT)
	out := asRRs(recs)
	for _, r := range recs {
		found, asked := there[r.Name]
		if !asked {
			var err error
			if found, err = p.texts(ctx, r.Name); err != nil {
				return nil, err
			}
			there[r.Name] = found
		}
		own, err := unpacked(record(r))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		for _, other := range found {
			if strings.Join(other.Txt, "") == strings.Join(own.Txt, "") && !slices.Equal(other.Txt, own.Txt) {
				out = append(out, other)
			}
		}
	}
	return out, nil
}

// texts asks the server for the TXT records at a name.
func (p *Provider) texts(ctx context.Context, name string) (found []*dns.TXT, err error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	query.RecursionDesired = false
	network := cmp.Or(p.Network, "tcp")
	answer, err := p.ask(ctx, network, query)
	if err == nil && answer.Truncated && network != "tcp" {
		answer, err = p.ask(ctx, "tcp", query)
	}
	if err == nil && answer.Rcode != dns.RcodeNameError {
		err = p.judge(answer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: asking for those at %s: %w", p.address(), name, err)
	}
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok && dns.CanonicalName(txt.Hdr.Name) == dns.CanonicalName(name) { // and not where an alias leads
			found = append(found, txt)
		}
	}
	return found, nil
}

// unpacked returns a record as it comes out of a message: with its escapes.
func unpacked(r *dns.TXT) (*dns.TXT, error) {
	message := make([]byte, dns.Len(r)+1)
	n, err := dns.PackRR(r, message, 0, nil, false)
	if err != nil {
		return nil, err
	}
	again, _, err := dns.UnpackRR(message[:n], 0)
	if err != nil {
		return nil, err
	}
	return again.(*dns.TXT), nil
}
