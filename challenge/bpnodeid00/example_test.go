package bpnodeid00_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
)

// The values are those of RFC 9891 Appendix B, and the bundle that of Appendix B.1.
func Example() {
	var agent *bpnodeid00.Responder // what stands for the agent of the node
	solver := &bpnodeid00.Solver{
		Configure: func(_ context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
			agent = r
			return func(context.Context) error { agent = nil; return nil }, nil
		},
		RTT: 300 * time.Second,
	}

	// The library calls Present, sends the response, and calls the cleanup when the
	// server is done.
	ctx := context.Background()
	a := &acme.Attempt{
		Identifier: acme.Identifier{Type: acme.TypeBundleEID, Value: "dtn://acme-client/"},
		Challenge: &acme.Challenge{Type: acme.BPNodeID00, Raw: []byte(
			`{"type": "bp-nodeid-00", "id-chal": "dDtaviYTPUWFS3NK37YWfQ", "token-chal": "tPUZNY4ONIk6LxErRFEjVw"}`)},
		Thumbprint: "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
	}
	cleanup, err := solver.Present(ctx, []*acme.Attempt{a})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a, a.Response)

	// In the meantime, at the agent:
	record, _ := hex.DecodeString("8218ffa30150743b5abe26133d45854b734adfb6167d0250a77c916055382b1c1068742327645d8904812f")
	reply, err := agent.Respond(bpnodeid00.Bundle{
		Source: "dtn://acme-server/", Destination: "dtn://acme-client/", Timestamp: 1000000,
		Age: 30 * time.Second, Lifetime: 60 * time.Second, Trusted: true, Acknowledge: true, Payload: record,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(base64.RawURLEncoding.EncodeToString(reply.Payload[len(reply.Payload)-32:]), reply.Lifetime)

	fmt.Println(cleanup(ctx), agent == nil)
	// Output:
	// bp-nodeid-00 for bundleEID:dtn://acme-client/ {300}
	// mVIOJEQZie8XpYM6MMVSQUiNPH64URnhM9niJ5XHrew 30s
	// <nil> true
}
