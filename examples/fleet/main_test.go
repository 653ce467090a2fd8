package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

var asked = regexp.MustCompile(`replica [123] was asked [1-9]\d* times`)

// Each certificate is asked for several times, at replicas that did not order it.
func TestFleet(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-certificates", "12"}, {"-certificates", "12", "-shared"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out.String())
		}
		if n := strings.Count(out.String(), "got a certificate for shop"); n != 12 {
			t.Errorf("%q: %d certificates\n%s", args, n, out.String())
		}
		if n := len(asked.FindAllString(out.String(), -1)); n != 3 {
			t.Errorf("%q: %d replicas were asked\n%s", args, n, out.String())
		}
		if strings.Contains(out.String(), "from a shared store") != (len(args) == 3) {
			t.Errorf("%q:\n%s", args, out.String())
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, args := range [][]string{{"x"}, {"-replicas", "0"}, {"-certificates", "-1"}, {"-x"}} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Error(err)
	}
}
