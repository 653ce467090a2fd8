package tkauth01_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
)

// A carrier gets a certificate for the numbers of its service provider code.
func Example() {
	server := httptest.NewTLSServer(new(acmetest.TokenAuthority)) // in place of a real one
	defer server.Close()

	authority := &tkauth01.Authority{URL: server.URL + "/at/account/7/token", HTTPClient: server.Client()}
	solver := &tkauth01.Solver{Token: authority.Token}

	numbers, err := tkauth01.TNAuthList{{SPC: "709J"}}.Identifier()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(numbers)

	// The library calls Present, and sends the response.
	a := challengetest.NewAttempt(acme.TKAuth01, numbers, "IlirfxKKXAsHtmzK29Pj8A")
	if _, err := solver.Present(context.Background(), []*acme.Attempt{a}); err != nil {
		fmt.Println(err)
		return
	}
	token, err := tkauth01.ParseToken(a.Response.(tkauth01.Response).TKAuth)
	if err != nil {
		fmt.Println(err)
		return
	}
	atc, _ := json.MarshalIndent(token.ATC, "", "  ")
	fmt.Println(string(atc))
	// Output:
	// TNAuthList:MAigBhYENzA5Sg
	// {
	//   "tktype": "TNAuthList",
	//   "tkvalue": "MAigBhYENzA5Sg",
	//   "fingerprint": "SHA256 37:36:CB:B1:78:7C:B8:30:9C:77:EE:8C:37:05:C5:E1:6F:FB:9E:85:97:15:90:1F:1E:4C:59:B1:11:82:F5:7B"
	// }
}
