package dnstxt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const typeCAA dnsmessage.Type = 257 // RFC 8659 §4.1

// A question is what a server is asked.
type question struct {
	name      string // canonical
	kind      dnsmessage.Type
	recursive bool
}

// A query is a question as it is sent.
type query struct {
	id      uint16
	name    string // in upper and lower case at random, which the answer must repeat
	anyCase bool   // but for this
	kind    dnsmessage.Type
	message []byte
}

func (q question) query() (query, error) {
	var random [2 + 32]byte
	_, _ = rand.Read(random[:]) // never fails
	out := query{id: binary.BigEndian.Uint16(random[:]), name: mixCase(q.name, random[2:]), kind: q.kind}
	name, err := dnsmessage.NewName(out.name)
	if err != nil {
		return query{}, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: out.id, RecursionDesired: q.recursive})
	if err := b.StartQuestions(); err != nil {
		return query{}, err
	}
	if err := b.Question(dnsmessage.Question{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}); err != nil {
		return query{}, err
	}
	out.message, err = b.Finish()
	return out, err
}

// mixCase changes the case of letters, so that who forges an answer must guess it
// (draft-vixie-dnsext-dns0x20).
func mixCase(name string, random []byte) string {
	mixed := []byte(name)
	for i, c := range mixed {
		if 'a' <= c && c <= 'z' && random[i/8%len(random)]>>(i%8)&1 == 1 {
			mixed[i] -= 'a' - 'A'
		}
	}
	return string(mixed)
}

// An answer is what a server said, as far as it is of use here. Owners are in
// lower case.
type answer struct {
	code      dnsmessage.RCode
	truncated bool
	records   []record
	authority []record // SOA and NS
}

// A record is one of an answer.
type record struct {
	owner string
	kind  dnsmessage.Type
	text  string     // of TXT: all strings, joined; of CNAME and NS: the name, in lower case; of CAA: all
	addr  netip.Addr // of A and AAAA
}

// Why a message is not taken for an answer.
var (
	errForeign = errors.New("it answers another query")
	errCase    = errors.New("it repeats the question in another case of letters")
)

// parse reads the answer to q. An error that is errForeign says that the message
// may have been forged, and that the answer may come yet; errCase, that it may
// have been, or that the server does not keep to the case.
func (q query) parse(message []byte) (*answer, error) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.ID != q.id || !header.Response {
		return nil, errForeign
	}
	a := &answer{code: header.RCode, truncated: header.Truncated}
	questions, err := p.AllQuestions()
	switch {
	case err != nil:
		return nil, errForeign
	case len(questions) == 0 && a.code != dnsmessage.RCodeSuccess:
		return a, nil // a server that did not understand the question need not repeat it
	case len(questions) != 1 || questions[0].Type != q.kind || questions[0].Class != dnsmessage.ClassINET ||
		!strings.EqualFold(questions[0].Name.String(), q.name):
		return nil, errForeign
	case questions[0].Name.String() != q.name && !q.anyCase:
		return nil, errCase
	case a.truncated:
		return a, nil // what is there of it may end in the middle of a record
	}
	if a.records, err = records(p.AnswerHeader, p.SkipAnswer, &p); err == nil {
		a.authority, err = records(p.AuthorityHeader, p.SkipAuthority, &p)
	}
	if err != nil {
		return nil, fmt.Errorf("malformed message: %w", err)
	}
	return a, nil
}

// records reads a section.
func records(next func() (dnsmessage.ResourceHeader, error), skip func() error, p *dnsmessage.Parser) ([]record, error) {
	var all []record
	for {
		header, err := next()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		r := record{owner: strings.ToLower(header.Name.String()), kind: header.Type}
		if header.Class != dnsmessage.ClassINET {
			r.kind = 0
		}
		known, err := r.read(p, skip)
		if err != nil {
			return nil, err
		}
		if known {
			all = append(all, r)
		}
	}
}

// read reads the data of a record, if it is of a type that is of use.
func (r *record) read(p *dnsmessage.Parser, skip func() error) (known bool, err error) {
	switch r.kind {
	case dnsmessage.TypeTXT:
		var body dnsmessage.TXTResource
		body, err = p.TXTResource()
		r.text = strings.Join(body.TXT, "")
	case dnsmessage.TypeCNAME:
		var body dnsmessage.CNAMEResource
		body, err = p.CNAMEResource()
		r.text = strings.ToLower(body.CNAME.String())
	case dnsmessage.TypeNS:
		var body dnsmessage.NSResource
		body, err = p.NSResource()
		r.text = strings.ToLower(body.NS.String())
	case typeCAA:
		var body dnsmessage.UnknownResource
		body, err = p.UnknownResource()
		r.text = string(body.Data)
	case dnsmessage.TypeSOA:
		err = skip() // the owner is enough; and the mailbox may have a dot in its first label
	case dnsmessage.TypeA:
		var body dnsmessage.AResource
		body, err = p.AResource()
		r.addr = netip.AddrFrom4(body.A)
	case dnsmessage.TypeAAAA:
		var body dnsmessage.AAAAResource
		body, err = p.AAAAResource()
		r.addr = netip.AddrFrom16(body.AAAA)
	default:
		return false, skip()
	}
	return true, err
}

// chase follows the aliases within an answer: it returns the name at their end,
// and whether there were any.
func (a *answer) chase(name string) (end string, aliased bool, err error) {
	targets := make(map[string]string)
	for _, r := range a.records {
		if r.kind == dnsmessage.TypeCNAME {
			targets[r.owner] = r.text
		}
	}
	end = name
	for hops := 0; ; hops++ {
		target, ok := targets[end]
		if !ok {
			return end, hops > 0, nil
		}
		if hops == maxHops {
			return "", true, fmt.Errorf("%w: %s: more than %d, or a loop", ErrAlias, quote(name), maxHops)
		}
		end = target
	}
}

// of returns the records of a type that a name has.
func (a *answer) of(owner string, kind dnsmessage.Type) []record {
	var found []record
	for _, r := range a.records {
		if r.kind == kind && r.owner == owner {
			found = append(found, r)
		}
	}
	return found
}

// texts returns the values of the TXT records of a name.
func (a *answer) texts(owner string) []string {
	var values []string
	for _, r := range a.of(owner, dnsmessage.TypeTXT) {
		values = append(values, r.text)
	}
	return values
}
