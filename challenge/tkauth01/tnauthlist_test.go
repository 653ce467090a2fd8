package tkauth01_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestTNAuthList(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9448-3-01", "9448-3-02", "9448-3-03", "9448-3-04")
	for _, v := range vectors[struct {
		Name    string
		Entries []tkauth01.TNEntry
		Value   string
	}](t, "tnauthlists") {
		l := tkauth01.TNAuthList(v.Entries)
		id, err := l.Identifier()
		if err != nil || id.Type != "TNAuthList" || id.Value != v.Value || strings.Contains(id.Value, "=") {
			t.Errorf("%s: %v, %v, want %s", v.Name, id, err, v.Value)
		}
		if n, err := id.Normalize(); err != nil || n != id {
			t.Errorf("%s: normal %v, %v", v.Name, n, err)
		}
		der, err := base64.RawURLEncoding.DecodeString(v.Value)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := tkauth01.ParseTNAuthList(der); err != nil || !reflect.DeepEqual(back, l) {
			t.Errorf("%s: %v, %v", v.Name, back, err)
		}
	}
}

func TestTNAuthListRefuses(t *testing.T) {
	t.Parallel()
	for says, l := range map[string]tkauth01.TNAuthList{
		"the TNAuthList is empty":                   {},
		`entry 2 of the TNAuthList: "+12025550123"`: {{SPC: "709J"}, {Number: "+12025550123"}},
		`"1234567890123456" is no telephone number`: {{Number: "1234567890123456"}},
		`"" is no telephone number`:                 {{Count: 5}},
		"2 numbers or more, not 1":                  {{Number: "1", Count: 1}},
		"2 numbers or more, not -5":                 {{Number: "1", Count: -5}},
		"is either":                                 {{SPC: "709J", Number: "1"}},
		"it is either":                              {{SPC: "709J", Count: 2}},
		"is not ASCII":                              {{SPC: "ä"}},
		`"709J\n" is not ASCII`:                     {{SPC: "709J\n"}},
	} {
		if id, err := l.Identifier(); err == nil || id.Value != "" || !strings.HasPrefix(err.Error(), "tkauth01: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", says, id, err)
		}
	}
	for encoded, says := range map[string]string{
		"":                         "no TNAuthList",
		"3000":                     "0 entries",
		"3008a00616043730394a00":   "then 1 octets",
		"3106a004160437":           "no TNAuthList",
		"30061604373039":           "no TNAuthList",
		"300616043730394a":         "it has no tag",
		"30068004373039 4a":        "it has no tag",
		"3008a30616043730394a":     "the tag 3",
		"3004a0021600":             "no telephone number",
		"300860061604 3730394a":    "it has no tag",
		"3008a00696043730394a":     "another kind: tag 22",
		"3008a0060c043730394a":     "another kind: tag 12",
		"300aa00816043730394a0500": "2 octets follow",
		"3006a204160 22b31":        "no telephone number",
		"3004a2021600":             "no telephone number",
		"300aa1083006160131020101": "a range of 1 numbers",
		"3012a110300e160131020900ffffffffffffffff": "asn1",
	} {
		der, err := hex.DecodeString(strings.ReplaceAll(encoded, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if l, err := tkauth01.ParseTNAuthList(der); err == nil || l != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want %s", encoded, l, err, says)
		}
	}
}

// TestTNAuthListIsBounded: a list that takes long to print is none.
func TestTNAuthListIsBounded(t *testing.T) {
	t.Parallel()
	l := slices.Repeat(tkauth01.TNAuthList{{SPC: "7"}}, 10000)
	for _, want := range []bool{true, false} {
		der, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tkauth01.ParseTNAuthList(der); (err == nil) != want {
			t.Errorf("%d entries: %v", len(l), err)
		}
		l = append(l, l[0])
	}
}

func TestClaimConstraints(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name            string
		MustInclude     []string
		PermittedValues []tkauth01.ClaimValues
		MustExclude     []string
		Value           string
	}](t, "claimconstraints") {
		c := tkauth01.ClaimConstraints{MustInclude: v.MustInclude, PermittedValues: v.PermittedValues, MustExclude: v.MustExclude, Enhanced: v.MustExclude != nil}
		typ := acme.TypeJWTClaimConstraints
		if c.Enhanced {
			typ = acme.TypeEnhancedJWTClaimConstraints
		}
		id, err := c.Identifier()
		if err != nil || id.Type != typ || id.Value != v.Value {
			t.Errorf("%s: %v, %v, want %s", v.Name, id, err, v.Value)
		}
		der, err := base64.RawURLEncoding.DecodeString(v.Value)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := tkauth01.ParseClaimConstraints(der); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s: %+v, %v", v.Name, back, err)
		}
	}
}

func TestClaimConstraintsRefuses(t *testing.T) {
	t.Parallel()
	type values = []tkauth01.ClaimValues
	for says, c := range map[string]tkauth01.ClaimConstraints{
		"there are none":             {Enhanced: true},
		`"a" has no permitted value`: {PermittedValues: values{{Claim: "a"}}},
		`"" is no name`:              {MustInclude: []string{""}},
		`"ä" is no name`:             {PermittedValues: values{{Claim: "ä", Values: []string{"b"}}}},
		`"a" has a value in another character set than UTF-8`: {PermittedValues: values{{Claim: "a", Values: []string{"b", "\xff"}}}},
		"need Enhanced (RFC 9118 §3)":                         {MustExclude: []string{"a"}},
		"orig cannot be excluded":                             {MustExclude: []string{"orig"}, Enhanced: true},
		`"a" is both excluded and not`:                        {MustExclude: []string{"a"}, MustInclude: []string{"b", "a"}, Enhanced: true},
		`"c" is both excluded and not`:                        {MustExclude: []string{"c"}, PermittedValues: values{{Claim: "c", Values: []string{"b"}}}, Enhanced: true},
	} {
		if id, err := c.Identifier(); err == nil || id.Value != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", says, id, err)
		}
	}
	for encoded, says := range map[string]string{
		"":                                      "no claim constraints",
		"3000":                                  "there are none",
		"3009a00730051603727068 00":             "1 octets follow",
		"3009a0073005 0c03727068":               "another kind",
		"3009a30730051603727068":                "there are none",
		"3004a0023000":                          "there are none",
		"3009a00730051603ff7068":                "asn1",
		"300da20b30091607 6f 72 69 67 0a 0a 0a": "no name",
		// None is lost that encoding/asn1 passes over.
		"3021 a10f300d300b16046f72696730030c0178 a00e300c160a636f6e666964656e6365": "elements that no claim constraints have", // [1] before [0]
		"301d a20a30081606617474657374 a10f300d300b16046f72696730030c0178":         "elements that no claim constraints have", // [2] before [1]
		"301e a00e300c160a636f6e666964656e6365 0500 a20a30081606617474657374":      "elements that no claim constraints have", // NULL between
		"3016 a1143012301016046f72696730030c0178 30030c0179":                       "elements that no claim constraints have", // more values of a claim
		"301a a018300c160a636f6e666964656e6365 30081606 7365636f6e64":              "elements that no claim constraints have", // two lists in a tag
		"3015 a0023000 a10f300d300b16046f72696730030c0178":                         "elements that no claim constraints have", // an empty list
	} {
		der, err := hex.DecodeString(strings.ReplaceAll(encoded, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := tkauth01.ParseClaimConstraints(der); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v, want %s", encoded, c, err, says)
		}
	}
}

// FuzzTNAuthList: what can be read can be written, and gives the same list again.
func FuzzTNAuthList(f *testing.F) {
	for _, seed := range []string{"3008a00616043730394a", "3024a006160431323334a1133011160b3132303235353530313030020203e8a20516032a3637"} {
		der, _ := hex.DecodeString(seed)
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := tkauth01.ParseTNAuthList(der)
		if err != nil {
			return
		}
		once, err := l.Marshal()
		if err != nil {
			t.Fatalf("%v: %v", l, err)
		}
		if again, err := tkauth01.ParseTNAuthList(once); err != nil || !reflect.DeepEqual(l, again) {
			t.Errorf("%v, then %v, %v", l, again, err)
		}
	})
}

// FuzzClaimConstraints: what can be read can be written, and gives the same again.
func FuzzClaimConstraints(f *testing.F) {
	for _, seed := range []string{"3009a00730051603727068", "3012a1103 00e300c16016130070c01620c02c3bc", "300ca00330011600a20530031601 61"} {
		der, _ := hex.DecodeString(strings.ReplaceAll(seed, " ", ""))
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := tkauth01.ParseClaimConstraints(der)
		if err != nil {
			return
		}
		once, err := c.Marshal()
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		again, err := tkauth01.ParseClaimConstraints(once)
		if err != nil {
			t.Fatalf("%x: %v", once, err)
		}
		if twice, err := again.Marshal(); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x, then %x, %v", once, twice, err)
		}
	})
}
