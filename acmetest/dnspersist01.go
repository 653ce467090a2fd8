package acmetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const typeDNSPersist01 = "dns-persist-01" // draft-ietf-acme-dns-persist

// persistMembers are those of a dns-persist-01 challenge as draft 01 has them, which is the form that is deployed. With
// [Options].ChallengeFields it becomes one of the other drafts: accounturi is taken out for draft 00; for draft 02 so is
// issuer-domain-names, and issuerDomainNames put in.
func (ch *challenge) persistMembers(s *Server, base string) map[string]any {
	issuers := s.opts.CAAIdentities
	if len(issuers) == 0 {
		issuers = []string{"ca.test"}
	}
	return map[string]any{"issuer-domain-names": issuers, "accounturi": ch.authz.account.url(base)}
}

// ValidateDNSPersist01 returns an [Options].Validate for dns-persist-01 (draft-ietf-acme-dns-persist, all of 00, 01 and 02). The
// function lookup returns the values of the TXT records at a name, and accountHashPrefix is that of the directory, for draft 02.
func ValidateDNSPersist01(lookup func(name string) []string, accountHashPrefix string) func(context.Context, Validation) error {
	return func(_ context.Context, v Validation) error {
		if v.Type != typeDNSPersist01 {
			return fmt.Errorf("acmetest: ValidateDNSPersist01 cannot validate %s", v.Type)
		}
		if string(v.Response) != "{}" {
			return fmt.Errorf("the response is %s, not {}", v.Response)
		}
		issuers, accounts, err := persistExpectations(v, accountHashPrefix)
		if err != nil {
			return err
		}
		name := "_validation-persist." + v.Identifier.Value
		found := lookup(name)
		errs := []error{fmt.Errorf("no record at %s authorizes the account", name)}
		for _, value := range found {
			if issuer, _, _ := strings.Cut(value, ";"); !slices.Contains(issuers, strings.Trim(issuer, " \t")) {
				continue
			}
			err := checkPersistent(value, accounts, v.Wildcard)
			if err == nil {
				return nil
			}
			errs = append(errs, fmt.Errorf("%q: %w", value, err))
		}
		return errors.Join(errs...)
	}
}

// persistExpectations returns the issuer names and the account URIs that a record may have.
func persistExpectations(v Validation, prefix string) (issuers, accounts []string, err error) {
	var object struct {
		Hyphens  []string `json:"issuer-domain-names"`
		Camel    []string `json:"issuerDomainNames"`
		Accounts string   `json:"accounturi"`
	}
	if err := json.Unmarshal(v.Challenge, &object); err != nil {
		return nil, nil, err
	}
	if object.Camel == nil {
		return object.Hyphens, []string{v.AccountURL, object.Accounts}, nil
	}
	for _, domain := range []string{v.Identifier.Value, "*"} { // draft 02, section 4.1
		h := sha256.New()
		_, _ = h.Write([]byte{byte(len(domain))})
		_, _ = h.Write([]byte(domain + v.Thumbprint + v.AccountURL))
		accounts = append(accounts, prefix+"sha-256/"+encode64(h.Sum(nil)))
	}
	return object.Camel, accounts, nil
}

// checkPersistent checks the parameters of a record for the right issuer.
func checkPersistent(value string, accounts []string, wildcard bool) error {
	parameters := map[string]string{}
	for _, text := range strings.Split(value, ";")[1:] {
		tag, v, ok := strings.Cut(text, "=")
		if tag = strings.ToLower(strings.Trim(tag, " \t")); !ok || tag == "" {
			return fmt.Errorf("%q is no parameter", text)
		}
		if _, twice := parameters[tag]; twice {
			return fmt.Errorf("%s is there twice", tag)
		}
		parameters[tag] = strings.Trim(v, " \t")
	}
	if uri := parameters["accounturi"]; uri == "" || !slices.Contains(accounts, uri) {
		return fmt.Errorf("accounturi is %q, not one of %q", uri, accounts)
	}
	if wildcard && !strings.EqualFold(parameters["policy"], "wildcard") {
		return errors.New("policy is not wildcard")
	}
	if until, ok := parameters["persistuntil"]; ok {
		seconds, err := strconv.ParseInt(until, 10, 64)
		if err != nil {
			return err
		}
		if time.Now().After(time.Unix(seconds, 0)) {
			return errors.New("persistUntil is over")
		}
	}
	return nil
}
