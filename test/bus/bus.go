// Package bus runs a dbus-daemon of a test's own.
package bus

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Bus is a message bus on which every user may do anything.
type Bus struct {
	Socket  string
	Address string // as D-Bus writes it

	config string
	daemon *exec.Cmd
}

// New runs a bus until the test ends.
func New(t testing.TB) *Bus {
	t.Helper()
	dir, err := os.MkdirTemp("", "left4med-bus-") // short: a socket's path ends at 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // for tests with users
		t.Fatal(err)
	}
	b := &Bus{Socket: filepath.Join(dir, "bus"), config: filepath.Join(dir, "bus.conf")}
	b.Address = "unix:path=" + b.Socket
	err = os.WriteFile(b.config, []byte(`<busconfig><listen>`+b.Address+`</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow user="*"/>
		<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	b.Start(t)
	t.Cleanup(b.Kill)
	return b
}

// Start starts it again after Kill, and returns when it listens.
func (b *Bus) Start(t testing.TB) {
	t.Helper()
	b.daemon = exec.Command("dbus-daemon", "--config-file="+b.config, "--nofork", "--print-address")
	out, err := b.daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.daemon.Start(); err != nil {
		t.Fatalf("cannot run dbus-daemon (apt-get install dbus-daemon): %v", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// Kill kills it. It may be called again.
func (b *Bus) Kill() {
	_ = b.daemon.Process.Kill()
	_ = b.daemon.Wait()
}
