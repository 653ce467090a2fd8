// Package acmetest is a fake certification authority for tests of ACME clients and of programs that use them.
//
// A [Server] speaks RFC 8555, RFC 9773 (renewal information), RFC 8738 (IP addresses) and draft-ietf-acme-profiles, and where
// [Options] switch it on RFC 8739 (auto-renewal), RFC 9115 (delegation), RFC 9444 (subdomains) and identifiers of other types. It
// issues real certificates, and answers a client that breaks the RFC with the error it deserves. It is programmable: it can be slow,
// forgetful, rate limited, cut off in the middle of an answer, or as peculiar as CAs in the field are. It imports no ACME
// client, so it is a second reading of the RFC and not an echo of the client's own.
//
// # Quick start
//
//	func TestCertificate(t *testing.T) {
//		ca := acmetest.NewServer(t, acmetest.Options{})
//		client := myacme.New(ca.DirectoryURL(), ca.HTTPClient())
//		cert := client.Obtain(t.Context(), "example.com")
//		_, err := cert.Verify(x509.VerifyOptions{DNSName: "example.com", Roots: ca.Roots()})
//		…
//	}
//
// The zero [Options] are a CA that finds every challenge fulfilled. To have http-01 challenges checked, give it the handler that
// serves them: Validate: acmetest.ValidateHTTP01(mux). For other types, write an [Options].Validate; it gets everything a CA
// knows.
//
// # Three ways to reach it
//
// [Server.HTTPClient] and [Server.Transport] hand requests over in-process: no socket, no goroutine, a fraction of a
// millisecond each. [Server.Client] and [Server.ClientHTTP1] go over TCP and TLS on the loopback interface, for tests of
// connections, protocol versions and timeouts of net/http. And a Server is an http.Handler, for httptest.NewServer and
// programs that serve it to something else. The directory is at [Server.DirectoryURL]; the URLs in answers follow the host
// that a request was sent to.
//
// # Time
//
// A server has no clock of its own and no goroutine. What happens with time (a validation that takes a minute, an order that
// expires) is worked out when the next request arrives. So it runs in a testing/synctest bubble, where hours cost nothing and
// durations are exact:
//
//	func TestPatience(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			ca := acmetest.NewServer(t, acmetest.Options{
//				Latency:        100 * time.Millisecond,
//				ValidationTime: 2 * time.Hour,
//				RetryAfter:     "600",
//			})
//			start := time.Now()
//			obtain(t, ca.DirectoryURL(), ca.HTTPClient())
//			t.Log(time.Since(start)) // two hours and a bit
//		})
//	}
//
// Use the in-process transport there: a bubble does not wait for sockets. Its clock starts in the year 2000, and the root
// certificates are old enough for that.
//
// # Faults
//
// [Options].Fault is asked about every request and may answer with a [Fault]: lose the request, or the answer; delay it; answer
// something else; rewrite or truncate what the CA says. [FaultOnce], [FaultKind], [FaultAt], [FaultEvery], [FaultSequence] and
// [Faults] choose requests; [RateLimited], [HTMLError], [EditJSON], [EndlessBody] and [SlowBody] are things to go wrong.
// BadNonce, OmitLocation and OmitNonceOnErrors are for what goes wrong all the time.
//
// # What was before
//
// [Server.AddAccount] makes an account without a request, for tests of what comes after registration.
//
// # What it saw
//
// [Server.Requests] and [Server.Count] tell which requests arrived, decoded; [Server.Orders], [Server.Authorizations],
// [Server.Issued] and [Server.Revoked] what became of them. [Server.Violations] lists requests that no correct client sends, and
// [Options].Strict makes them fail the test.
//
// # Stricter than a real CA
//
// RFC 8555 lets servers ignore members they do not know, and many decode them whatever their case. This one refuses both, because
// they are typing errors more often than extensions; [Options].Extensions makes exceptions. It wants a User-Agent (§6.1), lower-case
// names, canonical addresses and exact URLs.
//
// What it does not do: look at DNS or CAA records, publish CRLs or OCSP answers, or limit rates by itself.
//
// # Concurrency
//
// All methods of a Server may be called at any time from any goroutine. Functions in [Options] are called concurrently, and with no
// lock held, so they may call the server. [Server.Update] changes options between two requests.
//
// Sections (§) in this package are those of RFC 8555, unless another RFC is named.
package acmetest
