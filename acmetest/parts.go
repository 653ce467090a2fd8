package acmetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Challenge types of extensions that this CA has members for, or that are for identifiers of certain types alone.
const (
	typeEmailReply00   = "email-reply-00"   // RFC 8823
	typeTKAuth01       = "tkauth-01"        // RFC 9447
	typeBPNodeID00     = "bp-nodeid-00"     // RFC 9891
	typeDeviceAttest01 = "device-attest-01" // draft-ietf-acme-device-attest
)

// fits reports whether a challenge type is for an identifier type, as far as that is restricted in the registry "ACME
// Validation Methods".
func fits(challengeType, identifierType string) bool {
	switch challengeType {
	case typeEmailReply00:
		return identifierType == "email"
	case typeBPNodeID00:
		return identifierType == "bundleEID"
	case typeDeviceAttest01:
		return identifierType == "permanent-identifier" || identifierType == "hardware-module"
	case typeTKAuth01: // RFC 9447 §3, draft-ietf-acme-authority-token-jwtclaimcon
		return identifierType == "TNAuthList" || identifierType == "JWTClaimConstraints" || identifierType == "EnhancedJWTClaimConstraints"
	}
	return true
}

// addMembers adds what challenges of extensions have beside a token, or instead of one. Two types have a token in parts,
// which go different ways.
func (ch *challenge) addMembers(s *Server, base string, page map[string]any) {
	switch ch.typ {
	case typeEmailReply00: // RFC 8823 §3: token is token-part2, and token-part1 comes in a mail
		page["from"] = ch.mailFrom()
	case typeBPNodeID00: // RFC 9891 §3.1: token-bundle comes in bundles
		delete(page, "token")
		page["id-chal"], page["token-chal"] = ch.second, ch.token
	case typeTKAuth01: // RFC 9447 §3
		page["tkauth-type"] = "atc"
	case typeOnionCSR01: // RFC 9799 §3.2
		delete(page, "token")
		page["nonce"] = base64.StdEncoding.EncodeToString([]byte(ch.second))
	case typeDNSPersist01:
		delete(page, "token")
		maps.Copy(page, ch.persistMembers(s, base))
	}
}

// mailFrom is the address that the mail for a challenge of type email-reply-00 comes from, and goes back to.
func (ch *challenge) mailFrom() string { return "acme-challenge+" + ch.id + "@ca.test" }

// ChallengeMails returns the mails that the CA has sent to an address: one for each email-reply-00 challenge of a pending
// authorization, the oldest first (RFC 8823 §3.1). They are as in the RFC, but not signed, by DKIM or otherwise. A mail is the
// same each time.
func (s *Server) ChallengeMails(address string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleQuietly()
	var mails [][]byte
	for _, a := range s.authzList {
		if a.refresh(); a.status != statusPending || a.identifier.Value != address {
			continue
		}
		for _, ch := range a.challenges {
			if ch.typ == typeEmailReply00 {
				mails = append(mails, ch.mail(a.expires.Add(-s.opts.orderLifetime())))
			}
		}
	}
	return mails
}

func (ch *challenge) mail(sent time.Time) []byte {
	return fmt.Appendf(nil, "Auto-Submitted: auto-generated; type=acme\r\n"+
		"Date: %s\r\nMessage-ID: <%s@ca.test>\r\nFrom: %s\r\nTo: %s\r\nSubject: ACME: %s\r\n"+
		"Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n"+
		"This is an automatically generated ACME challenge.\r\n",
		sent.Format(time.RFC1123Z), ch.id, ch.mailFrom(), ch.authz.identifier.Value, ch.second)
}

// served is the challenge object, for [Validation].
func (ch *challenge) served(s *Server, base string) json.RawMessage {
	data, err := json.Marshal(ch.page(s, base))
	if err != nil {
		panic("acmetest: " + err.Error()) // ChallengeFields has what is no JSON
	}
	return data
}
