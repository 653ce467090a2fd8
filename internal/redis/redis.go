// Package redis runs a Redis server for tests, on a socket of its own. It is
// Debian's package redis-server.
package redis

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second // in real time, for a server that starts in 20 ms

// Start starts a server that keeps nothing, and returns its socket. It ends with
// its test. Without Redis, the test is skipped.
func Start(t testing.TB) (socket string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed: apt-get install --no-install-recommends redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // not t.TempDir, since a socket's path has 100 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	var log strings.Builder
	server := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir) //nolint:gosec,noctx // the cleanup ends it
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = server.Process.Kill()
		_ = server.Wait() // that it was killed
	}
	t.Cleanup(stop)
	if err := await(socket); err != nil {
		stop()
		t.Fatalf("redis-server does not answer: %v\n%s", err, &log)
	}
	return socket
}

// await waits until the server answers.
func await(socket string) (err error) {
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = ping(socket); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-timeout:
			return err
		}
	}
}

func ping(socket string) error {
	conn, err := net.DialTimeout("unix", socket, patience) //nolint:noctx // of a test's own server
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it was read
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "+PONG\r\n" {
		err = fmt.Errorf("it says %q", line)
	}
	return err
}
