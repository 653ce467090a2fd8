// Package fakedns has a resolver for tests that knows what it is told, and asks
// no network.
package fakedns

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
)

// Resolver returns a resolver that knows the addresses of some names ("a.example")
// and that all others do not exist.
func Resolver(names map[string][]netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // no datagrams, so that messages have their length in front (RFC 1035 §4.2.2)
		go serve(server, names)
		return client, nil
	}}
}

func serve(conn net.Conn, names map[string][]netip.Addr) {
	defer conn.Close() //nolint:errcheck // of a pipe
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := answer(query, names)
		if _, err := conn.Write(binary.BigEndian.AppendUint16(nil, uint16(len(reply)))); err != nil {
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// answer answers a query with one question.
func answer(query []byte, names map[string][]netip.Addr) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	var labels []string
	end := header
	for query[end] != 0 {
		next := end + 1 + int(query[end])
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	end++
	question, kind := query[header:end+4], binary.BigEndian.Uint16(query[end:])
	addrs, known := names[strings.ToLower(strings.Join(labels, "."))]
	var records []byte
	count := 0
	for _, addr := range addrs {
		if kind == typeA && addr.Is4() || kind == typeAAAA && addr.Is6() {
			records = append(records, 0xc0, header) // the name of the question
			records = binary.BigEndian.AppendUint16(records, kind)
			records = append(records, 0, 1, 0, 0, 0, 1) // IN, for a second
			records = binary.BigEndian.AppendUint16(records, uint16(addr.BitLen()/8))
			records = append(records, addr.AsSlice()...)
			count++
		}
	}
	code := byte(0x80) // recursion is available
	if !known {
		code |= 3 // no such name
	}
	reply := append(query[:2:2], 0x81, code, 0, 1, 0, byte(count), 0, 0, 0, 0)
	return append(append(reply, question...), records...)
}
