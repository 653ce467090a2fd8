package acme_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// The example of RFC 9773, Appendix A.
const ariExample = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`

const ariExampleID = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

func TestCertID(t *testing.T) {
	conformance.Claim(t, "9773-4.1-02", "9773-4.1-03")
	t.Parallel()
	block, _ := pem.Decode([]byte(ariExample))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	id, err := acme.NewCertID(cert)
	if err != nil || id != ariExampleID {
		t.Errorf("got %q, %v", id, err)
	}
	keyID, serial, err := id.Parse()
	if err != nil || hex.EncodeToString(keyID) != "69885b6b87464041e1b37b847ba0ae2cde01c8d4" || serial.Cmp(big.NewInt(0x87654321)) != 0 {
		t.Errorf("parsed %x %x, %v", keyID, serial, err)
	}
	for _, bad := range []*x509.Certificate{nil, {}, {AuthorityKeyId: []byte{1}}, {SerialNumber: big.NewInt(1)}} {
		if _, err := acme.NewCertID(bad); !errors.Is(err, acme.ErrInvalidChain) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	// Each number has one identifier, each identifier one number, and none has padding.
	for _, n := range []int64{0, 1, 127, 128, 255, 256, 32767, 32768, -1, -128, -129} {
		id, err := acme.NewCertID(&x509.Certificate{AuthorityKeyId: []byte{0, 255}, SerialNumber: big.NewInt(n)})
		keyID, serial, parseErr := id.Parse()
		if err != nil || parseErr != nil || !bytes.Equal(keyID, []byte{0, 255}) || serial.Int64() != n || strings.Contains(string(id), "=") {
			t.Errorf("%d: %q, %x, %v, %v, %v", n, id, keyID, serial, err, parseErr)
		}
	}
	for _, bad := range []acme.CertID{
		"", ".", "a", "AQ", "AQ.", ".AQ", "AQ.AQ.AQ", "AQ=.AQ", "AQ==.AQ", "AQ.AQ==", "AQ.A\nQ", "../x.y",
		"AQ.h2VDIQ" + "AA==", "AQ.AAE", /* 00 01 */
		"AQ.__8", /* ff ff */
		"AQ.AQEBA",
		"AR.AQ", /* bits that are not zero behind the last octet */
	} {
		if _, _, err := bad.Parse(); !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), "RFC 9773") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// renewing makes the CA answer about renewals with a body and a Retry-After.
func (f *fixture) renewing(body, retryAfter string) {
	header := http.Header{"Retry-After": nil}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 200, Body: []byte(body), Header: header}))
}

func TestRenewalInfo(t *testing.T) {
	conformance.Claim(t, "9773-3-01", "9773-4.1-01", "9773-4.2-01", "9773-4.2-02", "9773-4.2-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var logged bytes.Buffer
		f.client.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
		f.renewing(`{"suggestedWindow":{"start":"2025-01-02T04:00:00.25+01:00","end":"2025-01-03T04:00:00Z"},"explanationURL":"https://ca.test/why","x":1}`, "21600")
		info, err := f.client.RenewalInfo(t.Context(), ariExampleID)
		start, end := time.Date(2025, 1, 2, 3, 0, 0, 250e6, time.UTC), time.Date(2025, 1, 3, 4, 0, 0, 0, time.UTC)
		if err != nil || !info.Start.Equal(start) || !info.End.Equal(end) || info.ID != ariExampleID || !strings.Contains(string(info.Raw), `"x":1`) {
			t.Errorf("got %+v, %v", info, err)
		}
		if info.ExplanationURL != "https://ca.test/why" || !strings.Contains(logged.String(), `"acme.explanation":"https://ca.test/why"`) {
			t.Errorf("the operator does not hear of %q: %s", info.ExplanationURL, logged.String())
		}
		last := f.ca.Requests()[len(f.ca.Requests())-1]
		if last.Method != http.MethodGet || last.Protected != nil || !strings.HasSuffix(last.URL, "/renewal-info/"+ariExampleID) {
			t.Errorf("asked %s %s", last.Method, last.URL)
		}
		for _, body := range []string{
			`{}`, `null`, `<html>`, `{"suggestedWindow":null}`, `{"suggestedWindow":{"start":"2025-01-03T04:00:00Z","end":"2025-01-02T04:00:00Z"}}`,
			`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-02T04:00:00Z"}}`, `{"suggestedWindow":{"end":"2025-01-02T04:00:00Z"}}`, `{"suggestedWindow":[]}`,
			`{"suggestedWindow":{"start":1735790400,"end":1735876800}}`,
		} {
			f.renewing(body, "60")
			if _, err := f.client.RenewalInfo(t.Context(), "AQ.AQ"); !errors.Is(err, acme.ErrMalformedResponse) {
				t.Errorf("%s: got %v", body, err)
			}
		}
		f.ca.Reset()
		if _, err := f.client.RenewalInfo(t.Context(), "AQ.AQ="); !errors.Is(err, acme.ErrInvalidIdentifier) || f.ca.Count("") != 0 {
			t.Errorf("got %v after %d requests", err, f.ca.Count(""))
		}
		f.ca.Update(func(o *acmetest.Options) { o.OmitFromDirectory = []string{"renewalInfo"} })
		if _, err := f.newClient().RenewalInfo(t.Context(), "AQ.AQ"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("not offered: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 404}))
		if _, err := f.client.RenewalInfo(t.Context(), "AQ.AQ"); problemIn(t, err).Status != 404 {
			t.Errorf("404: %v", err)
		}
	})
}

// The URL is what the directory says, a slash and the identifier, whatever it
// looks like.
func TestRenewalInfoURL(t *testing.T) {
	conformance.Claim(t, "9773-4.1-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, base := range []string{"https://ca.test/acme/renewal-info", "https://ca.test/ari?ca=1&x", "https://ca.test", "https://ca.test/a%2Fb/%7Eari"} {
			f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) { m["renewalInfo"] = base })))
			_, _ = f.newClient().RenewalInfo(t.Context(), ariExampleID) // no such resource
			if last := f.ca.Requests()[len(f.ca.Requests())-1]; last.URL != base+"/"+ariExampleID {
				t.Errorf("asked %s", last.URL)
			}
		}
	})
}

// When to ask again: as the server says, within bounds, and six hours after an
// answer that does not say.
func TestRenewalInfoRetryAfter(t *testing.T) {
	conformance.Claim(t, "9773-4.3.2-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for value, want := range map[string]time.Duration{
			"21600": 6 * time.Hour, "1": time.Minute, "0": time.Minute, "59": time.Minute, "61": 61 * time.Second, "86400": 24 * time.Hour,
			"86401": 24 * time.Hour, "10000000": 24 * time.Hour, "99999999999999999999": 24 * time.Hour,
			"": 6 * time.Hour, "-1": 6 * time.Hour, "soon": 6 * time.Hour, "1.5": 6 * time.Hour,
			time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat): 2 * time.Hour,
			time.Now().Add(time.Second).UTC().Format(http.TimeFormat):   time.Minute,
		} {
			f.renewing(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}}`, value)
			info, err := f.client.RenewalInfo(t.Context(), ariExampleID)
			if err != nil || time.Until(info.RetryAfter) != want {
				t.Errorf("%q: got %+v, %v, want %v", value, info, err, want)
			}
		}
	})
}

// A holder has one moment in a window, and those of many are spread over it.
func TestMoment(t *testing.T) {
	conformance.Claim(t, "9773-4.2-04")
	t.Parallel()
	info := acme.RenewalInfo{Start: time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC), End: time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC)}
	const holders = 2400
	var perHour [24]int
	for i := range holders {
		name := fmt.Sprint("holder ", i)
		m := info.Moment(name)
		if m.Before(info.Start) || !m.Before(info.End) || !m.Equal(info.Moment(name)) {
			t.Fatalf("%s: %v", name, m)
		}
		perHour[int(m.Sub(info.Start).Hours())]++
	}
	for hour, n := range perHour {
		if n < 60 || n > 140 { // 100 is the mean, 10 the deviation
			t.Errorf("%d in hour %d: %v", n, hour, perHour)
		}
	}
	// The window moves: the moment moves with it. The window is past: it is past.
	moved := acme.RenewalInfo{Start: info.Start.Add(-time.Hour), End: info.End.Add(-time.Hour)}
	if got := moved.Moment("x"); !got.Equal(info.Moment("x").Add(-time.Hour)) {
		t.Errorf("got %v", got)
	}
	// What no server's answer becomes, but a program may make.
	none := acme.RenewalInfo{Start: info.End, End: info.Start}
	if got := none.Moment("x"); !got.Equal(none.Start) {
		t.Errorf("got %v", got)
	}
	before := acme.Renewal{ID: "AQ.AQ", NotBefore: info.Start.AddDate(0, -2, 0), NotAfter: info.Start.AddDate(0, 1, 0), Info: &info}
	before.Info.ID = "AQ.AQ"
	at := before.At()
	for _, tt := range []struct {
		now      time.Time
		interval time.Duration
		due      bool
	}{
		{at, 0, true}, {at.Add(-time.Second), 0, false}, {info.End.AddDate(0, 0, 1), 0, true}, // a window that is past: now
		{at.Add(-time.Hour), time.Hour, true}, {at.Add(-time.Hour - 1), time.Hour, false}, // before the program looks again: now
	} {
		if got := before.Due(tt.now, tt.interval); got != tt.due {
			t.Errorf("at %v from the moment, every %v: due %v", tt.now.Sub(at), tt.interval, got)
		}
	}
}

// When a certificate is renewed without advice, and with advice that is no good.
func TestRenewalAt(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	notBefore := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	window := func(start, end time.Duration) *acme.RenewalInfo {
		return &acme.RenewalInfo{ID: "AQ.AQ", Start: notBefore.Add(start), End: notBefore.Add(end)}
	}
	other := window(day, 2*day)
	other.ID = "AQ.Ag"
	for name, tt := range map[string]struct {
		lifetime time.Duration
		change   func(*acme.Renewal)
		from, to time.Duration // after notBefore
	}{
		"a third is left":         {90 * day, nil, 60 * day, 63 * day},
		"a year":                  {360 * day, nil, 240 * day, 252 * day},
		"half of a short life":    {6 * day, nil, 3 * day, 3*day + 5*time.Hour},
		"an hour":                 {time.Hour, nil, 30 * time.Minute, 32 * time.Minute},
		"advice":                  {90 * day, func(r *acme.Renewal) { r.Info = window(10*day, 11*day) }, 10 * day, 11 * day},
		"advice to wait":          {90 * day, func(r *acme.Renewal) { r.Info = window(70*day, 71*day) }, 70 * day, 71 * day},
		"advice to let it expire": {90 * day, func(r *acme.Renewal) { r.Info = window(100*day, 101*day) }, 81 * day, 81 * day},
		"advice on another":       {90 * day, func(r *acme.Renewal) { r.Info = other }, 60 * day, 63 * day},
		"advice at once":          {90 * day, func(r *acme.Renewal) { r.Info = window(-20*day, time.Second) }, time.Hour, time.Hour},
		"advice at once, 1 h":     {time.Hour, func(r *acme.Renewal) { r.Info = window(-20*day, time.Second) }, 3 * time.Minute, 3 * time.Minute},
		"dated back, advice": {90 * day, func(r *acme.Renewal) {
			r.Info, r.ObtainedAt = window(-20*day, 61*time.Minute), notBefore.Add(time.Hour)
		}, 2 * time.Hour, 2 * time.Hour},
		"advice of before":          {90 * day, func(r *acme.Renewal) { r.Info = window(-20*day, 0) }, 60 * day, 63 * day},
		"dated back, of before":     {90 * day, func(r *acme.Renewal) { r.Info, r.ObtainedAt = window(-20*day, time.Hour), notBefore.Add(time.Hour) }, 60 * day, 63 * day},
		"no identifier":             {90 * day, func(r *acme.Renewal) { r.ID, r.Info = "", &acme.RenewalInfo{} }, 60 * day, 63 * day},
		"a failure":                 {90 * day, func(r *acme.Renewal) { r.Failed(notBefore.Add(65*day), errors.New("x")) }, 65*day + 5*time.Minute, 65*day + 5*time.Minute},
		"a failure, with advice":    {90 * day, func(r *acme.Renewal) { r.Info = window(day, 2*day); r.Failed(notBefore.Add(3*day), nil) }, 3*day + 5*time.Minute, 3*day + 5*time.Minute},
		"a failure long ago":        {90 * day, func(r *acme.Renewal) { r.Failed(notBefore, errors.New("x")) }, 60 * day, 63 * day},
		"three failures":            {90 * day, func(r *acme.Renewal) { r.Failures, r.FailedAt = 3, notBefore.Add(65*day) }, 65*day + 20*time.Minute, 65*day + 20*time.Minute},
		"many failures":             {90 * day, func(r *acme.Renewal) { r.Failures, r.FailedAt = math.MaxInt, notBefore.Add(65*day) }, 65*day + 12*time.Hour, 65*day + 12*time.Hour},
		"many failures, short life": {40 * time.Hour, func(r *acme.Renewal) { r.Failures, r.FailedAt = 100, notBefore.Add(day) }, day + time.Hour, day + time.Hour},
		"the server's limit": {90 * day, func(r *acme.Renewal) {
			r.Failed(notBefore.Add(65*day), fmt.Errorf("x: %w", &acme.Problem{RetryAfter: notBefore.Add(67 * day)}))
		}, 67 * day, 67 * day},
		"nonsense": {-day, nil, -day, day},
	} {
		r := acme.NewRenewal(&x509.Certificate{AuthorityKeyId: []byte{1}, SerialNumber: big.NewInt(1), NotBefore: notBefore, NotAfter: notBefore.Add(tt.lifetime)}, time.Time{})
		if tt.change != nil {
			tt.change(&r)
		}
		if got := r.At().Sub(notBefore); got < tt.from || got > tt.to {
			t.Errorf("%s: renewed after %v, want %v to %v", name, got, tt.from, tt.to)
		}
		// What is stored is read again, and says the same.
		stored, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var read acme.Renewal
		if err := json.Unmarshal(stored, &read); err != nil || !read.At().Equal(r.At()) {
			t.Errorf("%s: %v, stored %s, %v", name, r.At(), stored, err)
		}
	}
}

// Whatever the lifetime, and however often the program looks: one issuance for
// each certificate where all is well, three attempts before it expires and no
// storm where nothing is.
func TestRenewalForAllLifetimes(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{time.Hour, 2 * time.Hour, 24 * time.Hour, 160 * time.Hour, 45 * 24 * time.Hour, 90 * 24 * time.Hour, 398 * 24 * time.Hour} {
		most := 8 + int(lifetime/2/min(12*time.Hour, lifetime/40))
		for _, interval := range []time.Duration{lifetime / 1000, lifetime / 60, lifetime / 20} {
			for _, good := range []bool{true, false} {
				start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
				r := acme.Renewal{ID: "AQ.AQ", NotBefore: start, NotAfter: start.Add(lifetime)}
				attempts := 0
				for now := start; now.Before(start.Add(lifetime)); now = now.Add(interval) {
					if !r.Due(now, interval) {
						continue
					}
					if attempts++; good {
						r = acme.Renewal{ID: "AQ.AQ", NotBefore: now, NotAfter: now.Add(lifetime)}
					} else {
						r.Failed(now, errors.New("no"))
					}
				}
				if good && attempts != 1 || !good && (attempts < 3 || attempts > most) {
					t.Errorf("%v, every %v, good %v: %d attempts", lifetime, interval, good, attempts)
				}
			}
		}
	}
}

// A program that does what a Renewal says. It starts anew each time that it looks,
// with nothing but what it stored.
type renewer struct {
	*fixture
	stored  []byte // the Renewal
	updates []error
}

func (p *renewer) store(r acme.Renewal) {
	var err error
	if p.stored, err = json.Marshal(r); err != nil {
		p.Fatal(err)
	}
}

// obtain gets the first certificate, and those that replace it.
func (p *renewer) obtain(replaces acme.CertID) error {
	req := p.request("a.example.com")
	req.OrderRequest.Replaces = replaces
	cert, err := p.account.Obtain(p.Context(), req)
	if err != nil {
		return err
	}
	chain, err := cert.Chain()
	if err != nil {
		return err
	}
	p.store(acme.NewRenewal(chain[0], time.Now()))
	return nil
}

// look is a run of the program.
func (p *renewer) look(interval time.Duration) acme.Renewal {
	var r acme.Renewal
	if err := json.Unmarshal(p.stored, &r); err != nil {
		p.Fatal(err)
	}
	p.updates = append(p.updates, p.newClient().UpdateRenewal(p.Context(), &r))
	p.store(r)
	if r.Due(time.Now(), interval) {
		if err := p.obtain(r.ID); err != nil {
			r.Failed(time.Now(), err)
			p.store(r)
		}
	}
	return r
}

func (p *renewer) run(d, interval time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); pass(interval) {
		p.look(interval)
	}
}

// A certificate is asked about right after it was issued, then when the server
// says, and never after it was replaced or has expired. It is renewed in the
// window, at once where that is past, and the order says what it replaces.
func TestRenewalSchedule(t *testing.T) {
	conformance.Claim(t, "9773-4.2-03", "9773-4.3-01", "9773-4.3-03", "9773-4.3.2-01", "9773-5-01")
	bubble(t, func(t *testing.T) {
		began := time.Now()
		start, end, until := began.AddDate(0, 0, 10), began.AddDate(0, 0, 11), began
		p := &renewer{fixture: newFixture(t, acmetest.Options{
			PreValidated: true, Strict: true, RenewalWindow: func(leaf *x509.Certificate) (time.Time, time.Time) {
				if leaf.NotBefore.After(until) {
					return leaf.NotBefore.AddDate(0, 0, 60), leaf.NotBefore.AddDate(0, 0, 61)
				}
				return start, end
			},
		})}
		var asked []time.Time
		var about []string
		p.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindRenewalInfo {
				return nil
			}
			asked, about = append(asked, time.Now()), append(about, r.URL)
			return &acmetest.Fault{Header: http.Header{"Retry-After": {"7200"}}}
		})
		if err := p.obtain(""); err != nil {
			t.Fatal(err)
		}
		p.run(5*24*time.Hour, 10*time.Minute)
		if len(asked) != 60 || !asked[0].Equal(began) || asked[1].Sub(asked[0]) != 2*time.Hour || asked[59].Sub(asked[58]) != 2*time.Hour || len(p.ca.Issued()) != 1 {
			t.Errorf("asked %d times, %v and then %v, issued %d", len(asked), asked[0], asked[1], len(p.ca.Issued()))
		}
		p.run(6*24*time.Hour, 10*time.Minute)
		issued := p.ca.Issued()
		if len(issued) != 2 || issued[1].NotBefore.Before(start) || issued[1].NotBefore.After(end) {
			t.Fatalf("issued %d", len(issued))
		}
		old, err := acme.NewCertID(issued[0])
		if err != nil {
			t.Fatal(err)
		}
		if orders := p.ca.Orders(); orders[1].Replaces != string(old) || orders[1].Status != "valid" {
			t.Errorf("got %+v", orders[1])
		}
		// The window moves into the past: a mass revocation. Once is enough, though
		// the CA says the same of what it issues then.
		start, end, until = issued[1].NotBefore, issued[1].NotBefore.Add(time.Minute), time.Now().AddDate(1, 0, 0)
		n, from := len(about), time.Now()
		p.run(48*time.Hour, 10*time.Minute)
		if issued = p.ca.Issued(); len(issued) != 3 || issued[2].NotBefore.Sub(from) > 2*time.Hour {
			t.Fatalf("issued %d", len(issued))
		}
		for _, url := range about[n:] {
			if strings.HasSuffix(url, string(old)) {
				t.Error("asked about a certificate that was replaced")
			}
		}
	})
}

// An hour after a failure the next attempt is not due because of a window that is
// open, and there are not many.
func TestRenewalBackoff(t *testing.T) {
	conformance.Claim(t, "9773-4.2-06")
	bubble(t, func(t *testing.T) {
		p := &renewer{fixture: newFixture(t, acmetest.Options{PreValidated: true})}
		if err := p.obtain(""); err != nil {
			t.Fatal(err)
		}
		var attempts []time.Time
		p.fault(func(r acmetest.Request) *acmetest.Fault {
			switch r.Kind {
			case acmetest.KindNewOrder:
				attempts = append(attempts, time.Now())
				return &acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrRejectedIdentifier), Status: 403}}
			case acmetest.KindRenewalInfo:
				return &acmetest.Fault{Status: 200, Body: []byte(`{"suggestedWindow":{"start":"1999-01-01T00:00:00Z","end":"2000-01-01T00:00:01Z"}}`)}
			}
			return nil
		})
		p.run(26*time.Hour, time.Minute)
		// Each attempt is two requests: with replaces and without.
		attempts = slices.CompactFunc(attempts, func(a, b time.Time) bool { return a.Equal(b) })
		var gaps []time.Duration
		for i, at := range attempts[1:] {
			gaps = append(gaps, at.Sub(attempts[i]))
		}
		want := []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 640 * time.Minute}
		if !slices.Equal(gaps, want) {
			t.Errorf("pauses %v, want %v", gaps, want)
		}
	})
}

// No failure of the advice stops a renewal, and after each the server is asked
// again in six hours.
func TestRenewalWithoutAdvice(t *testing.T) {
	conformance.Claim(t, "9773-4.3.3-01", "9773-4.3.3-02", "9773-4.3.3-03")
	t.Parallel()
	for name, tt := range map[string]struct {
		fault acmetest.Fault
		tries int
	}{
		"503":             {acmetest.Fault{Status: 503}, 5},
		"no answer":       {acmetest.Fault{LoseResponse: true}, 5},
		"404":             {acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Status: 404}}, 1},
		"an hour's limit": {acmetest.RateLimited(time.Hour), 1},
		"HTML":            {acmetest.HTMLError(200), 1},
		"no window":       {acmetest.Fault{Status: 200, Body: []byte(`{}`), Header: http.Header{"Retry-After": {"60"}}}, 1},
		"inverted": {acmetest.Fault{Status: 200, Header: http.Header{"Retry-After": {"60"}},
			Body: []byte(`{"suggestedWindow":{"start":"1999-01-02T00:00:00Z","end":"1999-01-01T00:00:00Z"}}`)}, 1},
		"no Retry-After": {acmetest.Fault{Header: http.Header{"Retry-After": nil}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &renewer{fixture: newFixture(t, acmetest.Options{PreValidated: true, CertificateLifetime: 15 * 24 * time.Hour, Strict: true})}
				if err := p.obtain(""); err != nil {
					t.Fatal(err)
				}
				var asked []time.Time
				p.fault(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind != acmetest.KindRenewalInfo {
						return nil
					}
					asked = append(asked, time.Now())
					return &tt.fault
				})
				p.run(24*time.Hour, 10*time.Minute)
				if len(asked) != 4*tt.tries {
					t.Errorf("asked %d times, want %d: %v", len(asked), 4*tt.tries, asked)
				}
				for i := 1; i < tt.tries-1; i++ {
					if asked[i+1].Sub(asked[i]) <= asked[i].Sub(asked[i-1]) {
						t.Errorf("the pauses do not grow: %v", asked[:tt.tries])
					}
				}
				if gap := asked[tt.tries].Sub(asked[tt.tries-1]); gap < 6*time.Hour-time.Minute || gap > 6*time.Hour+10*time.Minute {
					t.Errorf("asked again after %v", gap)
				}
				p.run(13*24*time.Hour, 24*time.Hour)
				if got := len(p.ca.Issued()); got != 2 {
					t.Errorf("%d certificates after 14 of 15 days", got)
				}
			})
		})
	}
}

// A server without renewal information is not an error, and newOrder does not
// mention what it replaces.
func TestRenewalNotOffered(t *testing.T) {
	conformance.Claim(t, "9773-3-01", "9773-5-02")
	bubble(t, func(t *testing.T) {
		p := &renewer{fixture: newFixture(t, acmetest.Options{PreValidated: true, OmitFromDirectory: []string{"renewalInfo"}, Strict: true})}
		if err := p.obtain(""); err != nil {
			t.Fatal(err)
		}
		p.run(63*24*time.Hour, 12*time.Hour)
		if errs := slices.DeleteFunc(p.updates, func(err error) bool { return err == nil }); len(errs) > 0 || p.ca.Count(acmetest.KindRenewalInfo) != 0 {
			t.Errorf("got %v", errs[0])
		}
		if len(p.ca.Issued()) != 2 || strings.Contains(p.last(acmetest.KindNewOrder), "replaces") {
			t.Errorf("issued %d, last order %s", len(p.ca.Issued()), p.last(acmetest.KindNewOrder))
		}
	})
}

// A certificate that has expired is not asked about, whatever was planned.
func TestRenewalOfExpired(t *testing.T) {
	conformance.Claim(t, "9773-4.3-02")
	bubble(t, func(t *testing.T) {
		p := &renewer{fixture: newFixture(t, acmetest.Options{PreValidated: true, CertificateLifetime: time.Hour, Strict: true})}
		if err := p.obtain(""); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour) // the program was down
		r := p.look(time.Minute)
		if p.ca.Count(acmetest.KindRenewalInfo) != 0 || !r.Due(time.Now(), 0) || len(p.ca.Issued()) != 2 {
			t.Errorf("asked %d times, issued %d", p.ca.Count(acmetest.KindRenewalInfo), len(p.ca.Issued()))
		}
		// Nor is one without an identifier, and nothing happens after ctx's end.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r = acme.NewRenewal(p.ca.Issued()[1], time.Now())
		if err := p.client.UpdateRenewal(ctx, &r); !errors.Is(err, context.Canceled) || !r.AskAt.IsZero() {
			t.Errorf("got %v, %v", err, r.AskAt)
		}
		r.ID = ""
		if err := p.client.UpdateRenewal(t.Context(), &r); err != nil || p.ca.Count(acmetest.KindRenewalInfo) != 0 {
			t.Errorf("got %v", err)
		}
	})
}

// The server's four ways to refuse replaces, told apart, and the order that is
// made without. Which certificate an order replaces is in the order.
func TestReplaces(t *testing.T) {
	conformance.Claim(t, "9773-5-03", "9773-5-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		id, err := acme.NewCertID(f.ca.Issued()[0])
		if err != nil {
			t.Fatal(err)
		}
		req := f.request("a.example.com")
		req.OrderRequest.Replaces = id
		o, err := f.account.NewOrder(t.Context(), req.OrderRequest)
		if err != nil || o.Replaces != id {
			t.Errorf("got %+v, %v", o, err)
		}
		if o, err = f.account.Order(t.Context(), o.URL); err != nil || o.Replaces != id {
			t.Errorf("got %+v, %v", o, err)
		}
		if _, err = f.account.NewOrder(t.Context(), req.OrderRequest); !errors.Is(err, acme.ErrAlreadyReplaced) || problemIn(t, err).Status != http.StatusConflict {
			t.Errorf("replaced before: %v", err)
		}
		other, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = other.NewOrder(t.Context(), req.OrderRequest); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("another account's: %v", err)
		}
		for name, kind := range map[string]acme.ProblemType{"HARICA": acme.ErrMalformed, "Boulder before alreadyReplaced": "urn:ietf:params:acme:error:conflict"} {
			f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.Fault{Problem: &acmetest.Problem{Type: string(kind), Status: 400}}))
			if _, err = f.account.NewOrder(t.Context(), req.OrderRequest); !errors.Is(err, kind) {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.ca.Reset()
		if _, err = f.account.Obtain(t.Context(), req); err != nil || f.ca.Count(acmetest.KindNewOrder) != 2 || f.ca.Orders()[len(f.ca.Orders())-1].Replaces != "" {
			t.Errorf("%d newOrder requests, %v", f.ca.Count(acmetest.KindNewOrder), err)
		}
		f.ca.Reset()
		req.OrderRequest.Replaces = "AQ=.AQ"
		if _, err = f.account.NewOrder(t.Context(), req.OrderRequest); !errors.Is(err, acme.ErrInvalidIdentifier) || f.ca.Count("") != 0 {
			t.Errorf("no identifier: %v after %d requests", err, f.ca.Count(""))
		}
		if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("b.example.com")}); err != nil || strings.Contains(f.last(acmetest.KindNewOrder), "replaces") {
			t.Error("replaces, which nobody asked for")
		}
	})
}
