// Package needs skips tests on machines without what they need.
package needs

import (
	"net"
	"testing"
)

// IPv6 skips a test where ::1 cannot be listened on.
func IPv6(t testing.TB) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 on loopback (%v): enable it for lo, as with sysctl net.ipv6.conf.lo.disable_ipv6=0", err)
	}
	_ = l.Close()
}
