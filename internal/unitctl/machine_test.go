package unitctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/test/machine"
)

// dialFor makes this program, started anew, the helper that connects to a
// machine's private socket: PID 1 refuses a peer whose pid it cannot see ("No
// data available"), and the tests' own pid is outside the machine.
const dialFor = "UNITCTL_TEST_DIAL"

func TestMain(m *testing.M) {
	if socket := os.Getenv(dialFor); socket != "" {
		if err := connectAndPass(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// connectAndPass connects to a socket and passes the connection on over file
// descriptor 3.
func connectAndPass(socket string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return err
	}
	return unix.Sendmsg(3, []byte{0}, unix.UnixRights(fd), nil, 0)
}

// dialInside connects to a socket as a process of the pid namespace of leader.
func dialInside(ctx context.Context, leader, socket string) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--target", leader, "--pid", "--", exe)
	cmd.Env = append(os.Environ(), dialFor+"="+socket)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("no connection was passed: %v", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "systemd")
	defer f.Close()
	return net.FileConn(f)
}

// The unit under test: it starts as fast as systemd can, and a file per instance
// makes it behave worse.
const testTemplate = `[Unit]
Description=test %i
StartLimitIntervalSec=60
StartLimitBurst=5
[Service]
ExecStartPre=/bin/sh -c 'if test -e /run/hang-%i; then exec sleep 1000; fi'
ExecStart=/bin/sh -c 'if test -e /run/crash-%i; then exit 3; fi; exec sleep infinity'
Restart=on-failure
RestartSec=50ms
TimeoutStopSec=2s
[Install]
WantedBy=multi-user.target
`

const templateFile = "/usr/lib/systemd/system/left4me-server@.service"

// host is a machine with the template, and a Manager that speaks with it.
type host struct {
	*machine.Machine
	*recorder
	m *Manager
}

func newHost(t *testing.T, release machine.Release) *host {
	t.Helper()
	h := &host{Machine: machine.New(t, release)}
	if err := h.WriteFile(t.Context(), templateFile, []byte(testTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	h.MustRun(t, "systemctl", "daemon-reload")
	h.m = New(Options{Root: h.Path("/"), Log: zerolog.New(zerolog.NewTestWriter(t))})
	leader := strings.Split(h.Path("/"), "/")[2]
	h.m.dial = func(ctx context.Context) (net.Conn, error) { return dialInside(ctx, leader, h.m.socket) }
	h.recorder = run(t, h.m)
	h.until(t, "connected", func(e Event) bool { return e.Kind == Connected })
	return h
}

// run runs a Manager for the rest of the test and records its events.
func run(t *testing.T, m *Manager) *recorder {
	t.Helper()
	r := &recorder{more: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, r.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// recorder keeps every event in order.
type recorder struct {
	mu     sync.Mutex
	events []Event
	more   chan struct{}

	handling atomic.Int32
	races    atomic.Int32 // events that were handed over beside another
}

func (r *recorder) add(e Event) {
	if r.handling.Add(1) != 1 {
		r.races.Add(1)
	}
	defer r.handling.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.more)
	r.more = make(chan struct{})
}

// mark is a place in the record.
func (r *recorder) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// since is what was recorded after a mark.
func (r *recorder) since(mark int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[mark:len(r.events):len(r.events)]
}

// until waits for an event, from the record's beginning.
func (r *recorder) until(t *testing.T, what string, is func(Event) bool) Event {
	t.Helper()
	return r.after(t, 0, what, is)
}

const patience = 30 * time.Second

// after waits for the first event after a mark that is as wanted.
func (r *recorder) after(t *testing.T, mark int, what string, is func(Event) bool) Event {
	t.Helper()
	deadline := time.After(patience)
	for i := mark; ; {
		r.mu.Lock()
		events, more := r.events, r.more
		r.mu.Unlock()
		for ; i < len(events); i++ {
			if is(events[i]) {
				return events[i]
			}
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no event: %s; since then:\n%s", what, spell(r.since(mark)))
		}
	}
}

// spell writes events down, one a line, without what differs at every run.
func spell(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%v %s%s\n", e.Kind, e.Unit, spellChange(e.Change))
	}
	return b.String()
}

func spellChange(c Change) string {
	var b strings.Builder
	add := func(name string, v any, there bool) {
		if there {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	str := func(name string, s *string) {
		if s != nil {
			add(name, *s, true)
		}
	}
	str("load", c.Load)
	str("active", c.Active)
	str("sub", c.Sub)
	str("result", c.Result)
	if c.InvocationID != nil {
		add("invocation", len(*c.InvocationID) == 32, true)
	}
	if c.MainPID != nil {
		add("process", *c.MainPID != 0, true)
	}
	if c.Restarts != nil {
		add("restarts", *c.Restarts, true)
	}
	if c.Job != nil {
		add("job", *c.Job != 0, true)
	}
	if c.Since != nil {
		add("since", "", true)
	}
	return b.String()
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the test's patience is over"))
	t.Cleanup(cancel)
	return ctx
}

func unit(instance string) string { return unitOf(instance) }
