// Package weblink reads Link header fields (RFC 8288).
package weblink

import (
	"net/url"
	"strings"
)

// A Link is one link of a Link header field.
type Link struct {
	Target string   // as served, possibly relative
	Rels   []string // relation types, lower case
	Anchor string   // context other than the response, as served
}

// Parse reads all links in the field values, leniently: what is not a link is
// skipped, and nothing is an error, as RFC 8288 B.1 has it. It returns at most
// limit links.
func Parse(values []string, limit int) []Link {
	var links []Link
	for _, v := range values {
		for len(links) < limit {
			link, rest, ok := next(v)
			if !ok {
				break
			}
			links = append(links, link)
			v = rest
		}
	}
	return links
}

// Find returns the targets of the links with relation type rel, relative ones
// resolved against base. Links whose context is another resource are left out.
func Find(values []string, rel string, base *url.URL, limit int) []string {
	var targets []string
	for _, l := range Parse(values, limit) {
		if !l.has(rel) || l.Anchor != "" {
			continue
		}
		u, err := url.Parse(l.Target)
		if err != nil {
			continue
		}
		target := l.Target // an absolute one exactly as served (RFC 8555 §6.4)
		if base != nil && !u.IsAbs() {
			target = base.ResolveReference(u).String()
		}
		targets = append(targets, target)
	}
	return targets
}

func (l Link) has(rel string) bool {
	for _, r := range l.Rels {
		if strings.EqualFold(r, rel) {
			return true
		}
	}
	return false
}

// next reads the first link of s, skipping what stands before its "<".
func next(s string) (link Link, rest string, ok bool) {
	_, s, ok = strings.Cut(s, "<")
	if !ok {
		return Link{}, "", false
	}
	link.Target, s, ok = strings.Cut(s, ">")
	if !ok {
		return Link{}, "", false
	}
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] != ';' {
			return link, s, true // "," or rubbish: next skips to "<"
		}
		var name, value string
		name, value, s = parameter(s[1:])
		switch {
		case name == "rel" && link.Rels == nil: // only the first counts (RFC 8288 §3.3)
			link.Rels = strings.Fields(strings.ToLower(value))
		case name == "anchor" && link.Anchor == "":
			link.Anchor = value
		}
	}
}

// parameter reads one "name=value" or "name", up to the next ";" or ",".
func parameter(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return clean(s), "", ""
	}
	name, s = clean(s[:end]), s[end:]
	if s[0] != '=' {
		return name, "", s
	}
	s = strings.TrimLeft(s[1:], " \t")
	if strings.HasPrefix(s, `"`) {
		value, s = quoted(s[1:])
	} else {
		end = strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		value, s = strings.TrimSpace(s[:end]), s[end:]
	}
	return name, value, s
}

func clean(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// quoted reads the rest of a quoted-string, whose opening quote is consumed.
func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
