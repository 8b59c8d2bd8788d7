package orchestrator

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// Systemd resets connections of processes that its pid namespace does not know.
// So a relay, this same program started in the machine's pid namespace, carries
// the bytes between a socket out here and systemd's.

// relayFor tells the relay where to listen and, behind a colon, where systemd
// does.
const relayFor = "LEFT4MED_TEST_RELAY"

func TestMain(m *testing.M) {
	if ends := os.Getenv(relayFor); ends != "" {
		here, there, _ := strings.Cut(ends, ":")
		relay(here, there)
	}
	os.Exit(m.Run())
}

// newRelay returns the socket that leads to the machine's systemd.
func newRelay(t *testing.T, m *machine.Machine) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "relay-") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "private")
	leader := strings.Split(m.Path("/"), "/")[2]
	cmd := exec.Command("nsenter", "--target", leader, "--pid", "--", exe)
	cmd.Env = append(os.Environ(), relayFor+"="+socket+":"+m.Path("/run/systemd/private"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		t.Fatalf("the relay to systemd does not listen: %v", err)
	}
	return socket
}

// relay serves for ever.
func relay(here, there string) {
	l, err := net.Listen("unix", here)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(".")
	for {
		ours, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go carry(ours, there)
	}
}

func carry(ours net.Conn, there string) {
	defer ours.Close()
	theirs, err := net.Dial("unix", there)
	if err != nil {
		return
	}
	defer theirs.Close()
	over := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{ours, theirs}, {theirs, ours}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			over <- struct{}{}
		}()
	}
	<-over
}
