package tkauth01

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-aa0b9f56/acme"
)

// ClaimConstraints limit what a certificate's holder may claim in a PASSporT (RFC 8226
// §8), with Enhanced as RFC 9118 has it. As identifiers they are experimental
// (draft-ietf-acme-authority-token-jwtclaimcon).
type ClaimConstraints struct {
	MustInclude     []string // names of claims
	PermittedValues []ClaimValues
	Enhanced        bool
	MustExclude     []string // names of claims; with Enhanced alone
}

// ClaimValues are the values that a claim may have.
type ClaimValues struct {
	Claim  string
	Values []string
}

// Identifier returns the identifier of an order for the constraints, of the type
// [acme.TypeJWTClaimConstraints], or with Enhanced
// [acme.TypeEnhancedJWTClaimConstraints].
func (c ClaimConstraints) Identifier() (acme.Identifier, error) {
	der, err := c.Marshal()
	id := acme.Identifier{Type: acme.TypeJWTClaimConstraints, Value: base64.RawURLEncoding.EncodeToString(der)}
	if c.Enhanced {
		id.Type = acme.TypeEnhancedJWTClaimConstraints
	}
	return id, err
}

// Marshal returns the constraints in DER: the value of the certificate extension
// 1.3.6.1.5.5.7.1.27, or with Enhanced 1.3.6.1.5.5.7.1.33. There must be a constraint,
// and none that contradicts another one or the claims that all PASSporTs have.
func (c ClaimConstraints) Marshal() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("tkauth01: claim constraints: %w", err)
	}
	p := parts{MustInclude: texts(asn1.TagIA5String, c.MustInclude), MustExclude: texts(asn1.TagIA5String, c.MustExclude)}
	for _, v := range c.PermittedValues {
		p.PermittedValues = append(p.PermittedValues, permitted{text(asn1.TagIA5String, v.Claim), texts(asn1.TagUTF8String, v.Values)})
	}
	return asn1.Marshal(p)
}

// permitted is JWTClaimPermittedValues.
type permitted struct {
	Claim  asn1.RawValue
	Values []asn1.RawValue
}

func texts(tag int, list []string) []asn1.RawValue {
	var out []asn1.RawValue // nil is left out
	for _, s := range list {
		out = append(out, text(tag, s))
	}
	return out
}

func untexts(tag int, list []asn1.RawValue) ([]string, error) {
	var out []string
	for _, raw := range list {
		s, err := untext(tag, raw)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (c ClaimConstraints) check() error {
	names := slices.Concat(c.MustInclude, c.MustExclude)
	for _, v := range c.PermittedValues {
		if names = append(names, v.Claim); len(v.Values) == 0 {
			return fmt.Errorf("the claim %.30q has no permitted value", v.Claim)
		}
		if slices.ContainsFunc(v.Values, func(s string) bool { return !utf8.ValidString(s) }) {
			return fmt.Errorf("%.30q has a value in another character set than UTF-8", v.Claim)
		}
	}
	if len(names) == 0 {
		return errors.New("there are none")
	}
	for _, name := range names {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("%.30q is no name of a claim", name)
		}
	}
	if len(c.MustExclude) > 0 && !c.Enhanced {
		return errors.New("claims that must be excluded need Enhanced (RFC 9118 §3)")
	}
	for _, name := range c.MustExclude {
		isIt := func(v ClaimValues) bool { return v.Claim == name }
		switch {
		case slices.Contains([]string{"iat", "orig", "dest"}, name):
			return fmt.Errorf("%s cannot be excluded: every PASSporT has it (RFC 9118 §3)", name)
		case slices.Contains(c.MustInclude, name) || slices.ContainsFunc(c.PermittedValues, isIt):
			return fmt.Errorf("%.30q is both excluded and not", name)
		}
	}
	return nil
}

// parts are EnhancedJWTClaimConstraints, and without the last one JWTClaimConstraints.
type parts struct {
	MustInclude     []asn1.RawValue `asn1:"optional,explicit,tag:0"`
	PermittedValues []permitted     `asn1:"optional,explicit,tag:1"`
	MustExclude     []asn1.RawValue `asn1:"optional,explicit,tag:2"`
}

// ParseClaimConstraints reads constraints in DER, as they are in an extension, to the
// last octet: none is passed over. Enhanced is set if claims are excluded.
func ParseClaimConstraints(der []byte) (ClaimConstraints, error) {
	var parts parts
	fail := func(err error) (ClaimConstraints, error) {
		return ClaimConstraints{}, fmt.Errorf("tkauth01: no claim constraints: %w", err)
	}
	if rest, err := asn1.Unmarshal(der, &parts); err != nil {
		return fail(err)
	} else if len(rest) > 0 {
		return fail(fmt.Errorf("%d octets follow", len(rest)))
	}
	c, err := parts.decode()
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return fail(err)
	}
	if again, err := c.Marshal(); err != nil || !bytes.Equal(again, der) { // encoding/asn1 passes over what follows in a sequence
		return fail(errors.New("they are not in DER, or have elements that no claim constraints have (RFC 8226 §8, RFC 9118 §3)"))
	}
	return c, nil
}

func (p *parts) decode() (c ClaimConstraints, err error) {
	if c.MustInclude, err = untexts(asn1.TagIA5String, p.MustInclude); err != nil {
		return c, err
	}
	if c.MustExclude, err = untexts(asn1.TagIA5String, p.MustExclude); err != nil {
		return c, err
	}
	c.Enhanced = len(c.MustExclude) > 0
	for _, v := range p.PermittedValues {
		claim, err := untext(asn1.TagIA5String, v.Claim)
		if err != nil {
			return c, err
		}
		values, err := untexts(asn1.TagUTF8String, v.Values)
		if err != nil {
			return c, err
		}
		c.PermittedValues = append(c.PermittedValues, ClaimValues{claim, values})
	}
	return c, nil
}
