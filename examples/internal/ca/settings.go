package ca

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

// Settings are what all examples are told by flags: which CA, which account there,
// and which certificate.
type Settings struct {
	Directory   string // URL; "": a Pebble in this process
	Identifiers []acme.Identifier
	Files       store.Store // in no folder, with the Pebble in this process

	roots, email, macKeyID, macKeyFile string
	agree                              bool
}

// Parse reads the flags of all examples that get certificates, and those that
// flags has already. The names are those to show something with, where the user
// names none.
func (s *Settings) Parse(flags *flag.FlagSet, args []string, names ...string) error {
	var domains []string
	flags.Func("domain", "`name` or IP address for the certificate, may be repeated", func(v string) error {
		domains = append(domains, v)
		return nil
	})
	if err := s.ParseAccount(flags, args); err != nil {
		return err
	}
	if len(domains) == 0 {
		if s.Directory != "" {
			return errors.New("-directory needs at least one -domain")
		}
		domains = names
	}
	return s.identify(domains)
}

// ParseAccount reads the flags of all examples, and those that flags has already.
func (s *Settings) ParseAccount(flags *flag.FlagSet, args []string) error {
	flags.StringVar(&s.Directory, "directory", "", "`URL` of the CA's directory; none: a Pebble in this process")
	flags.StringVar(&s.roots, "roots", "", "PEM `file` with roots to trust for a CA of one's own; none: the system's")
	flags.StringVar(&s.email, "email", "", "`address` at which the CA can reach you")
	flags.BoolVar(&s.agree, "agree", false, "agree to the CA's terms of service")
	flags.StringVar(&s.macKeyID, "eab-kid", "", "`ID` of the external account binding that the CA has given you")
	flags.StringVar(&s.macKeyFile, "eab-hmac-file", "", "`file` with the MAC key of that, as the CA shows it: arguments can be read by everybody")
	flags.StringVar(&s.Files.Folder, "out", "", "`folder` for keys, account and certificates (default \"acme-data\" with -directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.Directory != "" && s.Files.Folder == "" {
		s.Files.Folder = "acme-data"
	}
	return s.check(flags)
}

// check finds flags that do not go together.
func (s *Settings) check(flags *flag.FlagSet) (err error) {
	if (s.macKeyID == "") != (s.macKeyFile == "") {
		return errors.New("-eab-kid and -eab-hmac-file need each other")
	}
	if s.Directory != "" {
		return nil
	}
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "roots", "email", "agree", "eab-kid", "out":
			err = errors.Join(err, fmt.Errorf("-%s needs -directory: the Pebble in this process is gone afterwards, and its accounts with it", f.Name))
		}
	})
	return err
}

// identify makes identifiers of names and addresses, in the form of orders.
func (s *Settings) identify(domains []string) error {
	for _, d := range domains {
		ids := acme.DNS(d)
		if addr, err := netip.ParseAddr(strings.Trim(d, "[]")); err == nil {
			ids = acme.IP(addr)
		}
		id, err := ids[0].Normalize()
		if err != nil {
			return err
		}
		s.Identifiers = append(s.Identifiers, id)
	}
	return nil
}

// externalAccount is what -eab-kid and -eab-hmac-file say, nil without them.
func (s *Settings) externalAccount() (*acme.ExternalAccount, error) {
	if s.macKeyFile == "" {
		return nil, nil //nolint:nilnil // as acme.AccountRequest has it
	}
	macKey, err := os.ReadFile(s.macKeyFile)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("the file that -eab-hmac-file names: %w", failed.Err) // without the name: it may be the key
	}
	if err != nil {
		return nil, err
	}
	return acme.NewExternalAccount(s.macKeyID, string(macKey))
}
