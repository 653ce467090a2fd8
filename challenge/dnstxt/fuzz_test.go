package dnstxt

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// FuzzParse: no message makes the parser panic or stall, or is taken for an answer
// to another query; and what comes of it is no more than what was in it. The
// corpus has loops of pointers and of aliases, records that end too early, names
// of 255 octets, and what else a server should not send.
func FuzzParse(f *testing.F) {
	q := query{id: 0x1234, name: "_Acme-challenge.eXample.com.", kind: dnsmessage.TypeTXT}
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeSOA} {
			q.kind = kind
			a, err := q.parse(message)
			if err != nil {
				if a != nil || errors.Is(err, errForeign) == errors.Is(err, errCase) && !strings.HasPrefix(err.Error(), "malformed") {
					t.Fatalf("answer %v, error %v", a, err)
				}
				continue
			}
			if message[0] != 0x12 || message[1] != 0x34 || message[2]&0x80 == 0 {
				t.Fatal("taken for the answer to a query that it does not answer")
			}
			checkAnswer(t, a, len(message))
		}
	})
}

func checkAnswer(t *testing.T, a *answer, size int) {
	t.Helper()
	if n := len(a.records) + len(a.authority); n > size/11 {
		t.Fatalf("%d records of %d octets", n, size)
	}
	texts := 0
	for _, r := range a.records {
		if r.owner != strings.ToLower(r.owner) || len(r.owner) > 255 {
			t.Fatalf("owner %q", r.owner)
		}
		if r.kind == dnsmessage.TypeTXT {
			texts += len(r.text)
		}
	}
	if texts > size {
		t.Fatalf("%d octets of text from %d", texts, size)
	}
	end, aliased, err := a.chase("_acme-challenge.example.com.")
	if err != nil && !errors.Is(err, ErrAlias) || aliased && end == "_acme-challenge.example.com." {
		t.Fatalf("%q, %t, %v", end, aliased, err)
	}
	a.texts(end)
	if zone := a.zone("_acme-challenge.example.com."); zone != "" && !isWithin("_acme-challenge.example.com.", zone) {
		t.Fatalf("zone %q", zone)
	}
}
