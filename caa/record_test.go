package caa_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/caa"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		record caa.Record
		text   string
		data   string
	}{
		{caa.Record{Tag: caa.TagIssue, Value: "ca1.example.net"}, `0 issue "ca1.example.net"`, "\x00\x05issueca1.example.net"},
		{caa.Record{Flags: caa.FlagCritical, Tag: "tbs", Value: "Unknown"}, `128 tbs "Unknown"`, "\x80\x03tbsUnknown"},
		{caa.Record{Tag: caa.TagIssueWild, Value: ";"}, `0 issuewild ";"`, "\x00\x09issuewild;"},
		{caa.Record{Tag: caa.TagIodef}, `0 iodef ""`, "\x00\x05iodef"},
		{caa.Record{Flags: 255, Tag: "a1", Value: "\"\\\x00\n\x7f\xffä "}, `255 a1 "\"\\\000\010\127\255\195\164 "`, "\xff\x02a1\"\\\x00\n\x7f\xffä "},
	} {
		if got := tt.record.String(); got != tt.text {
			t.Errorf("%#v: %s", tt.record, got)
		}
		if got, err := caa.ParseRecord(tt.text); err != nil || got != tt.record {
			t.Errorf("%s: %#v, %v", tt.text, got, err)
		}
		if got, err := tt.record.RDATA(); err != nil || string(got) != tt.data {
			t.Errorf("%s: %q, %v", tt.text, got, err)
		}
		if got, err := caa.ParseRDATA([]byte(tt.data)); err != nil || got != tt.record {
			t.Errorf("%q: %#v, %v", tt.data, got, err)
		}
		if got := tt.record.IsCritical(); got != (tt.record.Flags >= 128) {
			t.Errorf("%s: critical %t", tt.text, got)
		}
	}
	upper := caa.Record{Tag: "ISSUE", Value: "ca.example"}
	if got := upper.String(); got != `0 issue "ca.example"` { // the canonical form
		t.Error(got)
	}
	for text, value := range map[string]string{
		" 0\tissue \t ca.example ":               "ca.example",
		`0 issue ca\.exampl\101`:                 "ca.example",
		`0 issue "\067\a.example; a=\"\\\" \; "`: `Ca.example; a="\" ; `,
		`0 issue "\"`:                            "!backslash", "0 issue": "!flags, a tag and a value", "0 issue ": "!flags, a tag and a value", "issue ca.example": "!flags, a tag and a value",
		"256 issue a": "!flags", "-1 issue a": "!flags", "x issue a": "!flags", "0 is-sue a": "!letters and digits", `0 "issue" a`: "!letters and digits",
		"0 " + strings.Repeat("a", 256) + " b": "!letters and digits", "0 issue a b": "!quotation marks", "0 issue ;": "!quotation marks",
		`0 issue "a`: "!missing", `0 issue a"b`: "!backslash", `0 issue "a"b"`: "!backslash", `0 issue "a\`: "!missing", `0 issue a\`: "!backslash", `0 issue "\25"`: "!backslash",
		`0 issue "\256"`: "!255", `0 issue "\2x5"`: "!255", "0 issue \"a\nb\"": "!line break", `0 issue "` + strings.Repeat("a", 1<<16) + `"`: "!too long",
	} {
		got, err := caa.ParseRecord(text)
		if says, bad := strings.CutPrefix(value, "!"); bad {
			if syntax, ok := errors.AsType[*caa.SyntaxError](err); !ok || syntax.Input != text || !strings.Contains(err.Error(), says) || len(err.Error()) > 5000 {
				t.Errorf("%.100q: %v, %.300v", text, got, err)
			}
		} else if err != nil || got.Value != value {
			t.Errorf("%q: %q, %v", text, got.Value, err)
		}
	}
	for _, data := range []string{"", "\x00", "\x00\x00", "\x00\x00a", "\x00\x02a", "\x00\x01-", "\x00\x01\xff", "\x00\x01a" + strings.Repeat("a", 1<<16)} {
		if got, err := caa.ParseRDATA([]byte(data)); err == nil || got != (caa.Record{}) {
			t.Errorf("%.100q: %v", data, got)
		}
	}
	if set, err := caa.FromRDATA([][]byte{[]byte("\x00\x01ab"), []byte("\x80\x01cd")}, nil); err != nil || len(set) != 2 || set[1] != (caa.Record{Flags: 128, Tag: "c", Value: "d"}) {
		t.Errorf("%v, %v", set, err)
	}
	if set, err := caa.FromRDATA(nil, errBroken); set != nil || !errors.Is(err, errBroken) {
		t.Errorf("%v, %v", set, err)
	}
	if set, err := caa.FromRDATA([][]byte{[]byte("\x00\x01ab"), nil}, nil); set != nil || err == nil {
		t.Errorf("%v, %v", set, err)
	}
	for _, r := range []caa.Record{{Value: "a"}, {Tag: "a b"}, {Tag: strings.Repeat("a", 256)}, {Tag: "a", Value: strings.Repeat("a", 1<<16)}} {
		if data, err := r.RDATA(); err == nil || data != nil {
			t.Errorf("%.100v: %.100q", r, data)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{`0 issue "ca.example; a=b"`, `128 tbs Unknown`, `1 a "\"\\\000"`, `0 issue ";"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := caa.ParseRecord(s)
		if err != nil {
			return
		}
		r.Tag = strings.ToLower(r.Tag)
		if again, err := caa.ParseRecord(r.String()); err != nil || again != r {
			t.Errorf("%q is %#v, which is written %s, and read: %#v, %v", s, r, r, again, err)
		}
	})
}

func FuzzParseRDATA(f *testing.F) {
	f.Add([]byte("\x00\x05issueca.example"))
	f.Add([]byte("\x80\x03tbsUnknown\xff"))
	f.Add([]byte("\x00\xffa"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := caa.ParseRDATA(data)
		if err != nil {
			return
		}
		if again, err := r.RDATA(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is %#v, which is written %q, %v", data, r, again, err)
		}
		if again, err := caa.ParseRecord(r.String()); err != nil || again.Value != r.Value || again.Flags != r.Flags || !strings.EqualFold(again.Tag, r.Tag) {
			t.Errorf("%q is written %s, and read: %#v, %v", data, r, again, err)
		}
	})
}
