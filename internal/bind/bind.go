// Package bind runs BIND's name server for tests, on loopback, with zones that
// take updates. It is Debian's package bind9.
package bind

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Key is a secret that the server shares with its clients.
type Key struct {
	Name, Algorithm, Secret string // the secret in base64
}

// A Zone is one that the server is primary for. It has an SOA record and one
// name server, ns1, at 127.0.0.1.
type Zone struct {
	Name    string // with the final dot
	Records string // lines of a zone file
	Policy  string // statements on updates, such as "allow-update { key acme; };"
}

// A Server is a running server. It ends with its test.
type Server struct {
	Addr string // 127.0.0.1:PORT, by UDP and TCP
}

const (
	tries    = 5                // to get the port before anybody else
	patience = 30 * time.Second // in real time, for a server that starts in 50 ms
)

// Start starts a server. Without BIND, the test is skipped.
func Start(t testing.TB, keys []Key, zones ...Zone) *Server {
	t.Helper()
	path := find()
	if path == "" {
		t.Skip("named, BIND's server, is not installed: apt-get install --no-install-recommends bind9")
	}
	var err error
	for range tries {
		var s *Server
		if s, err = start(t, path, keys, zones); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// find returns where the server is, which may not be on a user's path.
func find() string {
	for _, name := range []string{"named", "/usr/sbin/named", "/usr/local/sbin/named"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func start(t testing.TB, path string, keys []Key, zones []Zone) (*Server, error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config, err := configure(t.TempDir(), port, keys, zones)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(t.Context(), path, "-g", "-n", "1", "-c", config) //nolint:gosec // BIND, with a file of ours
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	running, ended := make(chan struct{}), make(chan string, 1)
	go watch(bufio.NewScanner(stderr), running, ended)
	stop := func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		_ = cmd.Wait()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-running:
		t.Cleanup(stop)
		return &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}, nil
	case log := <-ended:
		ended <- log
		stop()
		return nil, errors.New("named has ended:\n" + log)
	case <-timer.C:
		stop()
		return nil, fmt.Errorf("named is not running after %v", patience)
	}
}

// watch reads what the server logs, until it ends.
func watch(lines *bufio.Scanner, running chan<- struct{}, ended chan<- string) {
	var log strings.Builder
	up, failed := false, false
	for lines.Scan() {
		line := lines.Text()
		failed = failed || strings.Contains(line, "address in use")
		if !up && !failed && strings.HasSuffix(line, " running") {
			up = true
			close(running)
		}
		if log.Len() < 64<<10 {
			log.WriteString(line + "\n")
		}
	}
	ended <- log.String()
}

// freePort returns a port that is free for TCP and UDP.
func freePort() (int, error) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer tcp.Close() //nolint:errcheck // it is for the server
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		return 0, err
	}
	return tcp.Addr().(*net.TCPAddr).Port, udp.Close()
}

// configure writes the configuration and the zones, and returns the name of the
// former's file.
func configure(dir string, port int, keys []Key, zones []Zone) (string, error) {
	var config strings.Builder
	fmt.Fprintf(&config, `options {
	directory %q;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
`, dir, port)
	for _, k := range keys {
		fmt.Fprintf(&config, "key %q { algorithm %s; secret %q; };\n", k.Name, k.Algorithm, k.Secret)
	}
	for i, z := range zones {
		file := filepath.Join(dir, fmt.Sprintf("zone%d", i))
		fmt.Fprintf(&config, "zone %q { type primary; file %q; %s };\n", z.Name, file, z.Policy)
		data := fmt.Sprintf("$ORIGIN %s\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n%s\n", z.Name, z.Records)
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			return "", err
		}
	}
	file := filepath.Join(dir, "named.conf")
	return file, os.WriteFile(file, []byte(config.String()), 0o600)
}
