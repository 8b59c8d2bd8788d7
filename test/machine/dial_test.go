package machine_test

import (
	"io"
	"net"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// TestForward speaks to a machine that has no network, directly and through a port
// of this host.
func TestForward(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		m.MustRun(t, "systemd-run", "--quiet", "--service-type=forking",
			"sh", "-c", "socat TCP-LISTEN:7000,bind=127.0.0.1,fork EXEC:cat & until ss -Hltn | grep -q :7000; do :; done")
		f, err := m.Forward(t.Context(), 0, "127.0.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		direct, err := m.Dial(t.Context(), "tcp", "127.0.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		through, err := net.Dial("tcp", f.Addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range []net.Conn{direct, through} {
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
				t.Errorf("the echo: %q, %v", got, err)
			}
			conn.Close()
		}
		if _, err := m.Dial(t.Context(), "tcp", "127.0.0.1:7001"); err == nil {
			t.Error("connected to a port where nobody listens")
		}
		held, err := net.Dial("tcp", f.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		f.Close()
		if _, err := io.ReadAll(held); err != nil {
			t.Logf("the connection ended with %v", err)
		}
		if conn, err := net.Dial("tcp", f.Addr); err == nil {
			conn.Close()
			t.Error("the port is still open")
		}
	})
}
