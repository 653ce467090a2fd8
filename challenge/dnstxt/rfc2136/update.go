package rfc2136

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	maxDatagram  = 512 // octets (RFC 1035 §4.2.1)
	udpTries     = 3   // an update has the same effect twice
	maxDatagrams = 64  // of one try, which may answer something else
	fudge        = 300 // seconds by which clocks may differ (RFC 8945 §10)
)

// send sends an update, and returns an error unless the server has carried it out.
func (p *Provider) send(ctx context.Context, update *dns.Msg) error {
	answer, err := p.ask(ctx, cmp.Or(p.Network, "tcp"), update)
	if err == nil {
		err = p.judge(answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.address(), err)
	}
	return nil
}

// ask sends a message, a few times if it may get lost, and returns the answer.
func (p *Provider) ask(ctx context.Context, network string, message *dns.Msg) (answer *dns.Msg, err error) {
	tries := 1
	if network == "udp" {
		if message.Len() > maxDatagram-128 { // 128 for the signature
			network = "tcp"
		} else {
			tries = udpTries
		}
	}
	for range tries {
		answer, err = p.try(ctx, network, message)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return answer, err
}

// try sends a message once, and returns what the server answers.
func (p *Provider) try(ctx context.Context, network string, message *dns.Msg) (*dns.Msg, error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v over %s", timeout, network))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, p.address())
	if err != nil {
		return nil, or(ctx, err)
	}
	defer conn.Close() //nolint:errcheck // all that was of interest was read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := p.exchange(&dns.Conn{Conn: conn}, message)
	if err != nil {
		return nil, or(ctx, err)
	}
	return answer, nil
}

// or returns why ctx has ended, if it has, or else the error.
func or(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (p *Provider) exchange(conn *dns.Conn, message *dns.Msg) (*dns.Msg, error) {
	message = message.Copy()
	message.Id = dns.Id()
	if p.Key.Name != "" {
		name := dns.CanonicalName(p.Key.Name)
		conn.TsigSecret = map[string]string{name: p.Key.Secret}
		message.SetTsig(name, p.Key.algorithm()+".", fudge, time.Now().Unix())
	}
	if err := conn.WriteMsg(message); err != nil {
		return nil, err
	}
	for range maxDatagrams {
		answer, err := conn.ReadMsg()
		switch {
		case answer == nil:
			return nil, err
		case answer.Id != message.Id || !answer.Response || answer.Opcode != message.Opcode:
			continue // by UDP anybody may send something
		}
		if answer.Rcode != dns.RcodeSuccess {
			return answer, nil // an error, signed or not: a key that is not known signs nothing
		}
		return answer, err
	}
	return nil, errors.New("nothing but answers to something else")
}

// judge returns an error unless an answer says that what was asked was done.
func (p *Provider) judge(answer *dns.Msg) error {
	signature := answer.IsTsig()
	if signature != nil && signature.Error != dns.RcodeSuccess {
		return fmt.Errorf("the server does not accept key %s: %s (%s)", p.Key, dns.RcodeToString[int(signature.Error)], hint(int(signature.Error)))
	}
	if answer.Rcode != dns.RcodeSuccess {
		code := cmp.Or(dns.RcodeToString[answer.Rcode], fmt.Sprintf("code %d", answer.Rcode))
		if why := hint(answer.Rcode); why != "" && answer.Opcode == dns.OpcodeUpdate {
			code += " (" + why + ")"
		}
		return errors.New("the server answers " + code)
	}
	if p.Key.Name != "" && signature == nil {
		return errors.New("the answer is not signed, so that anybody may have sent it (RFC 8945 §5.3)")
	}
	return nil
}

// hint says what to look at.
func hint(code int) string {
	switch code {
	case dns.RcodeRefused:
		return "its policy lets this key, or this address, not make TXT records there"
	case dns.RcodeNotAuth:
		return "it does not have the zone, or does not accept the key"
	case dns.RcodeNotZone:
		return "a name is not in the zone"
	case dns.RcodeNotImplemented:
		return "it takes no updates"
	case dns.RcodeBadKey:
		return "it has no key of that name and algorithm"
	case dns.RcodeBadSig:
		return "its secret is another one"
	case dns.RcodeBadTime:
		return "the clocks differ"
	}
	return ""
}
