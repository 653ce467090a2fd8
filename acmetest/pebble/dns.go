package pebble

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// names is the content of the DNS server and its handler. It answers like a
// recursive resolver that knows the whole world: aliases are followed.
type names struct {
	mu        sync.Mutex
	txt       map[string][]string
	addresses map[string][]netip.Addr
	aliases   map[string]string
}

func newNames() *names {
	return &names{
		txt:       make(map[string][]string),
		addresses: make(map[string][]netip.Addr),
		aliases:   make(map[string]string),
	}
}

// key is how a name is looked up: lower case, with the final dot.
func key(name string) string { return dns.Fqdn(strings.ToLower(name)) }

// ServeDNS implements [dns.Handler].
func (n *names) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.RecursionAvailable = true
	if len(request.Question) == 1 {
		reply.Answer, reply.Ns = n.answer(request.Question[0])
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := request.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
}

// answer returns the records for a question, aliases first. If there are none
// of the type, it returns the zone's SOA for the authority section.
func (n *names) answer(q dns.Question) (records, authority []dns.RR) {
	n.mu.Lock()
	defer n.mu.Unlock()
	owner := q.Name // as it was asked, in upper or lower case
	for range 8 {   // more would be a circle
		target, ok := n.aliases[key(owner)]
		if !ok {
			break
		}
		records = append(records, &dns.CNAME{Hdr: header(owner, dns.TypeCNAME), Target: target})
		owner = target
	}
	found := n.records(owner, q.Qtype)
	if len(found) == 0 {
		return records, []dns.RR{soa(owner)}
	}
	return append(records, found...), nil
}

// records returns the records of a name. The caller holds the lock.
func (n *names) records(owner string, kind uint16) []dns.RR {
	var records []dns.RR
	switch kind {
	case dns.TypeSOA:
		if zone := soa(owner); key(zone.Hdr.Name) == key(owner) {
			records = append(records, zone)
		}
	case dns.TypeNS:
		if zone := soa(owner); key(zone.Hdr.Name) == key(owner) {
			records = append(records, &dns.NS{Hdr: header(owner, dns.TypeNS), Ns: zone.Ns})
		}
	case dns.TypeTXT:
		for _, value := range n.txt[key(owner)] {
			records = append(records, &dns.TXT{Hdr: header(owner, dns.TypeTXT), Txt: pieces(value)})
		}
	case dns.TypeA:
		for _, addr := range n.resolve(owner) {
			if addr.Is4() {
				records = append(records, &dns.A{Hdr: header(owner, dns.TypeA), A: addr.AsSlice()})
			}
		}
	case dns.TypeAAAA:
		for _, addr := range n.resolve(owner) {
			if addr.Is6() {
				records = append(records, &dns.AAAA{Hdr: header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()})
			}
		}
	}
	return records
}

// soa returns the SOA record of the zone that a name is in. A zone is what has
// at most two labels, for want of a better rule.
func soa(name string) *dns.SOA {
	labels := dns.SplitDomainName(name)
	zone := dns.Fqdn(strings.Join(labels[max(0, len(labels)-2):], "."))
	return &dns.SOA{
		Hdr: header(zone, dns.TypeSOA), Ns: "localhost.", Mbox: "nobody.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400,
	}
}

// resolve returns the addresses of a name. The caller holds the lock.
func (n *names) resolve(name string) []netip.Addr {
	if addrs, ok := n.addresses[key(name)]; ok {
		return addrs
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
}

// pieces splits the value of a TXT record into the strings it consists of on
// the wire, which have room for 255 octets each.
func pieces(value string) []string {
	var split []string
	for len(value) > 255 {
		split, value = append(split, value[:255]), value[255:]
	}
	return append(split, value)
}

// startDNS serves the names over TCP and UDP, on one port.
func startDNS(handler dns.Handler) (addr string, stop func() error, err error) {
	var tcp net.Listener
	var udp net.PacketConn
	for range 10 { // the number is free for TCP; that it is not for UDP is bad luck
		tcp, err = net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		udp, err = net.ListenPacket("udp4", tcp.Addr().String())
		if err == nil {
			break
		}
		_ = tcp.Close()
	}
	if err != nil {
		return "", nil, err
	}
	servers := []*dns.Server{
		{Listener: tcp, Handler: handler, ReadTimeout: time.Minute, WriteTimeout: time.Minute},
		{PacketConn: udp, Handler: handler},
	}
	var started, running sync.WaitGroup
	for _, server := range servers {
		started.Add(1)
		up := sync.OnceFunc(started.Done)
		server.NotifyStartedFunc = up
		running.Go(func() {
			defer up() // it may fail before
			_ = server.ActivateAndServe()
		})
	}
	started.Wait() // Shutdown refuses what has not started
	stop = func() error {
		var first error
		for _, server := range servers {
			if err := server.Shutdown(); err != nil && first == nil {
				first = err
			}
		}
		running.Wait()
		return first
	}
	return tcp.Addr().String(), stop, nil
}

// AddTXT adds a TXT record for a name. A name has any number of them, as the
// challenges of a wildcard and of the name below it need.
func (s *Server) AddTXT(name, value string) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	k := key(name)
	if !slices.Contains(s.names.txt[k], value) {
		s.names.txt[k] = append(s.names.txt[k], value)
	}
}

// RemoveTXT takes away the TXT record with that value and leaves the others.
func (s *Server) RemoveTXT(name, value string) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	k := key(name)
	s.names.txt[k] = slices.DeleteFunc(slices.Clone(s.names.txt[k]), func(v string) bool { return v == value })
}

// SetAddresses makes a name resolve to these addresses, in place of 127.0.0.1,
// which every name resolves to until it is told otherwise. Without addresses
// the name has none. Pebble prefers the first IPv6 address to the first IPv4
// one and tries no other.
func (s *Server) SetAddresses(name string, addrs ...netip.Addr) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	known := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		known = append(known, addr.Unmap().WithZone(""))
	}
	s.names.addresses[key(name)] = known
}

// SetCNAME makes a name an alias of another one, for records of all types; ""
// as the target ends that.
func (s *Server) SetCNAME(name, target string) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if target == "" {
		delete(s.names.aliases, key(name))
		return
	}
	s.names.aliases[key(name)] = key(target)
}

// DNSAddr is the address of the DNS server that challenges are validated
// with, on TCP and UDP. A client that looks up its own records asks there. A
// name without records of a type is answered with no error and, like a real
// one, with the SOA record of its zone, which is the last two labels. The server
// of each zone is localhost: a client that asks the zones' servers is to be led
// here from port 53.
func (s *Server) DNSAddr() string { return s.dnsAddr }
