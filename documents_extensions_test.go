package acme_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/smtp"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
)

// The blocks of docs/extensions.md, with what they take for granted.

type Documents struct{}

func (Documents) CAA(ctx context.Context, client *acme.Client, account *acme.Account) error {
	directory, err := client.Directory(ctx)
	if err != nil {
		return err
	}
	value, err := caa.Pin(directory.Meta.CAAIdentities[0], account.URL(), acme.DNS01)
	if err != nil {
		return err
	}
	fmt.Printf("example.com. CAA %s\n", caa.Record{Tag: caa.TagIssue, Value: value.String()})

	request := caa.Request{Identities: directory.Meta.CAAIdentities, AccountURL: account.URL(), Methods: []acme.ChallengeType{acme.DNS01}}
	var resolver dnstxt.Resolver // package challenge/dnstxt; any other will do
	lookup := func(ctx context.Context, name string) ([]caa.Record, error) {
		return caa.FromRDATA(resolver.CAA(ctx, name))
	}
	err = request.CheckOrder(ctx, lookup, acme.DNS("example.com", "*.example.com")...)
	return err
}

func (Documents) DeviceAttest01(ctx context.Context, account *acme.Account, certKey crypto.Signer, device interface {
	Attest(ctx context.Context, key crypto.Signer, data []byte) (map[string]any, error)
}) (*acme.Certificate, error) {
	solver := &deviceattest01.Solver{
		Attest: func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
			digest := r.Digest()                                     // of the key authorization; Apple's devices attest r.TokenDigest()
			statement, err := device.Attest(ctx, certKey, digest[:]) // a map of the format's members
			if err != nil {
				return nil, deviceattest01.Failure(err.Error()) // tells the server; any other error stays here
			}
			return deviceattest01.Object("tpm", statement)
		},
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypePermanentIdentifier, Value: "SN-1234"}}},
		CSR:          deviceattest01.NewPrivateCSR(certKey), // or acme.NewCSR, to have the device named in the certificate
		Solvers:      []acme.Solver{solver},
	})
	return cert, err
}

func (Documents) BPNodeID00(ctx context.Context, account *acme.Account, certKey crypto.Signer, agent interface {
	HandleRecords(recordType uint64, handle func(bpnodeid00.Bundle) (bpnodeid00.Reply, error)) (stop func() error, err error)
}) (*acme.Certificate, error) {
	solver := &bpnodeid00.Solver{
		Configure: func(ctx context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
			stop, err := agent.HandleRecords(bpnodeid00.RecordType, func(b bpnodeid00.Bundle) (bpnodeid00.Reply, error) { return r.Respond(b) })
			return func(context.Context) error { return stop() }, err
		},
		RTT: 5 * time.Minute, // pessimistic
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypeBundleEID, Value: "dtn://node/"}}},
		CSR:          bpnodeid00.NewCSR(certKey, 0), // asks for id-kp-bundleSecurity
		Solvers:      []acme.Solver{solver},
	})
	return cert, err
}

func (Documents) OnionCSR01(ctx context.Context, account *acme.Account, certKey, serviceKey crypto.Signer, servicePublicKey ed25519.PublicKey) (*acme.Certificate, error) {
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{serviceKey}} // Ed25519
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest:  acme.OrderRequest{Identifiers: acme.DNS(onioncsr01.Address(servicePublicKey))},
		CSR:           acme.NewCSR(certKey),
		FinalizeExtra: solver.OnionCAA(nil), // no CAA records, and signed that there are none
		Solvers:       []acme.Solver{solver},
	})
	return cert, err
}

func (Documents) TKAuth01(ctx context.Context, account *acme.Account, certKey crypto.Signer, password string) (*acme.Certificate, error) {
	numbers, err := tkauth01.TNAuthList{{SPC: "709J"}, {Number: "12025550100", Count: 100}}.Identifier()
	if err != nil {
		return nil, err
	}
	authority := &tkauth01.Authority{
		URL:          "https://authority.example.org/at/account/7/token",
		Authenticate: func(r *http.Request) error { r.SetBasicAuth("7", password); return nil },
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{numbers}},
		CSR:          tkauth01.NewCSR(certKey, false), // true, with Solver.CA, for a certification authority
		Solvers:      []acme.Solver{&tkauth01.Solver{Token: authority.Token}},
	})
	return cert, err
}

// dkim stands for a package of that name.
type dkimPackage struct {
	Verify func(io.Reader) ([]*dkimVerification, error)
}

type dkimVerification struct {
	Domain     string
	HeaderKeys []string
	Err        error
}

func (Documents) EmailReply00(ctx context.Context, account *acme.Account, certKey crypto.Signer, auth smtp.Auth, dkim dkimPackage, inbox interface {
	Watch(ctx context.Context, from, to string) iter.Seq2[[]byte, error]
}) (*acme.Certificate, error) {
	solver := &emailreply00.Solver{
		Mails: inbox.Watch, // func(ctx context.Context, from, to string) iter.Seq2[[]byte, error]
		Verify: func(ctx context.Context, m *emailreply00.Message) error {
			verifications, err := dkim.Verify(bytes.NewReader(m.Raw)) // github.com/emersion/go-msgauth/dkim
			for _, v := range verifications {
				if v.Err == nil && m.CheckDKIM(v.Domain, v.HeaderKeys) == nil {
					return nil
				}
			}
			return cmp.Or(err, errors.New("no DKIM signature of the CA"))
		},
		Send: func(ctx context.Context, r *emailreply00.Reply) error {
			return smtp.SendMail("submission.example.org:587", auth, r.From, r.To, r.Raw)
		},
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypeEmail, Value: "alexey@example.org"}}},
		CSR:          emailreply00.NewCSR(certKey, x509.KeyUsageDigitalSignature), // acme.NewCSR: for signing and encryption
		Solvers:      []acme.Solver{solver},
	})
	return cert, err
}
