package challengetest_test

import (
	"encoding/base64"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
)

// A test of what TestSolver cannot know: the record that a solver for dns-01
// has to write.
func ExampleNewAttempt() {
	a := challengetest.NewAttempt(acme.DNS01, acme.DNS("*.example.com")[0], "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
	fmt.Println(a)
	fmt.Println(a.Identifier, a.Wildcard)
	digest := a.KeyAuthorization.Digest()
	fmt.Println("TXT", base64.RawURLEncoding.EncodeToString(digest[:]))
	// Output:
	// dns-01 for *.example.com
	// example.com true
	// TXT ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8
}
