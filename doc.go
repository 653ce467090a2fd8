// Package acme gets X.509 certificates from an ACME server (RFC 8555): Let's
// Encrypt, another public CA, or one of a company's own.
//
// # First steps
//
// A [Client] talks to one server. An [Account] is a Client with a key and an
// account URL, and has a method for each operation of the RFC. [Account.Obtain]
// does them all:
//
//	client := &acme.Client{DirectoryURL: acme.LetsEncryptStaging}
//	account, err := client.NewAccount(ctx, accountKey, acme.AccountRequest{TermsOfServiceAgreed: true})
//	…
//	var solver http01.Solver // package challenge/http01
//	http.Handle(http01.PathPrefix, &solver)
//	cert, err := account.Obtain(ctx, acme.CertificateRequest{
//		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com", "www.example.com")},
//		CSR:          acme.NewCSR(certKey),
//		Solvers:      []acme.Solver{&solver},
//	})
//
// A program that wants to take the steps itself calls [Account.NewOrder],
// [Account.Authorization], [Account.RespondChallenge], [Account.WaitOrder],
// [Account.FinalizeOrder] and [Account.Certificate]; Obtain is written with
// those. What has no method can be asked for with [Account.Post], and members of
// extensions are in the Raw field of each object.
//
// # What to store
//
// The account key and the account URL ([Account.URL]); the certificate key, before
// there is an order for it; and while that is under way the order's URL
// (Trace.OrderCreated). With those a new process goes on where another one died:
// [Client.Account], [Account.Complete].
//
// # Waiting and repeating
//
// The context is the only time limit of a call, but for two minutes in which a
// request must be answered. Requests are repeated by themselves where that is
// safe: after a rejected nonce always, after a lost answer or a 5xx if the request
// has the same effect twice; a finalize request or a key change is looked up
// instead. Short rate limits are waited for, longer ones are an error with the
// time, and the Client does not send the same kind of request before that, but for
// [IgnoreRateLimits].
//
// # Errors
//
// What the server reports is a [*Problem], anywhere in the error's tree, and
// errors.Is compares it with its type: errors.Is(err, acme.ErrRateLimited).
// When to come back is in the RetryAfter of the one that errors.AsType finds;
// where many were collected, [Renewal.Failed] takes the latest. What the client
// itself finds is a [ClientError], like [ErrInvalidIdentifier]. What the server
// does not offer is errors.ErrUnsupported. [*AuthorizeError], [*OrderError] and
// [*WaitError] tell what an issuance failed of. The text says what was done, to
// which identifier and URL, and quotes the server.
//
// # Concurrency and safety
//
// Client and Account are safe for concurrent use; orders, authorizations,
// challenges and certificates are plain data. No goroutine outlives the call
// that started it. The package has no state of its own and reads no environment,
// but for the proxy settings of net/http where Client.HTTPClient is nil.
//
// The server is not trusted: only https is spoken, signed requests follow no
// redirect, all that is read is bounded, tokens are checked before a [Solver]
// sees them, and a certificate is checked against its request. Keys are used as
// [crypto.Signer] only, and never printed.
//
// # Testing
//
// Package acmetest has a CA in memory for tests, with faults to switch on;
// package challenge/challengetest tests solvers.
//
// # The RFC's sections
//
// Where a section is obeyed; all but those named otherwise are of RFC 8555.
//
//	§6.2              Account.URL
//	§6.3              Account.Post
//	§7.1.1            Client.Directory
//	§7.1.2            Account.Info
//	§7.1.2.1          Account.Orders
//	§7.1.3            Account.Order
//	§7.1.6            Account.Complete, Account.Obtain
//	§7.3              Account.URL, Client.NewAccount
//	§7.3.1            Account.Created, Client.FindAccount
//	§7.3.2            Account.Update
//	§7.3.4            NewExternalAccount
//	§7.3.5            Account.ChangeKey
//	§7.3.6            Account.Deactivate
//	§7.4              Account.FinalizeOrder, Account.NewOrder, Account.Obtain, Account.WaitOrder, CSRExtensions
//	§7.4.1            Account.NewAuthorization
//	§7.4.2            Account.Certificate, Account.Certificates, Account.OrderCertificate, PreferRoot
//	§7.5              Account.Authorization
//	§7.5.1            Account.RespondChallenge, Account.WaitAuthorization
//	§7.5.2            Account.Authorize, Account.DeactivateAuthorization
//	§7.6              Account.RevokeCertificate, Client.RevokeCertificate
//	§8.1              Account.KeyAuthorization, Account.Thumbprint
//	§11.1             Client.NewAccount
//	RFC 8739 §3.1.2   Account.CancelOrder
//	RFC 8739 §3.3     Account.OrderCertificate
//	RFC 8739 §3.4     Client.Certificate
//	RFC 9115 §2.3.1.2 Account.Delegations
//	RFC 9115 §2.3.1.3 Account.Delegation
//	RFC 9115 §2.3.2   Account.OrderCertificate
//	RFC 9115 §2.3.5   Client.Certificate
//	RFC 9444 §4.2     Account.NewSubdomainAuthorization
//	RFC 9448 §3       CSRExtensions
//	RFC 9773 §4.2     Client.RenewalInfo
//	RFC 9773 §4.3     Client.UpdateRenewal
//	RFC 9773 §4.3.3   Client.RenewalInfo
//	RFC 9799 §6.4     Account.FinalizeOrder
package acme
