package caa_test

import (
	"context"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
)

// The record that lets one account at one CA issue, by dns-01 only.
func ExamplePin() {
	value, err := caa.Pin("ca.example", "https://ca.example/acct/1", acme.DNS01) // Meta.CAAIdentities[0], account.URL()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("example.com. CAA", caa.Record{Tag: caa.TagIssue, Value: value.String()})
	// Output:
	// example.com. CAA 0 issue "ca.example; accounturi=https://ca.example/acct/1; validationmethods=dns-01"
}

// Before an order the records of its names are looked up and checked as the CA
// would do it.
func ExampleRequest_CheckOrder() {
	zone := map[string][]caa.Record{"example.com": {
		{Tag: caa.TagIssue, Value: "ca.example; accounturi=https://ca.example/acct/1"},
		{Tag: caa.TagIssueWild, Value: ";"},
	}}
	lookup := func(_ context.Context, name string) ([]caa.Record, error) { return zone[name], nil } // a resolver in real life

	request := caa.Request{
		Identities: []string{"ca.example"}, // Directory.Meta.CAAIdentities
		AccountURL: "https://ca.example/acct/1",
		Methods:    []acme.ChallengeType{acme.DNS01},
	}
	fmt.Println(request.CheckOrder(context.Background(), lookup, acme.DNS("www.example.com")...))
	fmt.Println(request.CheckOrder(context.Background(), lookup, acme.DNS("*.example.com")...))
	// Output:
	// <nil>
	// caa: *.example.com: the CAA records of example.com forbid to issue: 0 issuewild ";" lets nobody issue; add 0 issuewild "ca.example; accounturi=https://ca.example/acct/1; validationmethods=dns-01", or without its parameters
}
