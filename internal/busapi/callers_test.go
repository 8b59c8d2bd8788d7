package busapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// TestBusDies: left4med is back with its name as soon as the bus is, and tells
// the truth there.
func TestBusDies(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("a", nil)
	f := newFixture(t, b)
	for round := range 3 {
		same(t, "check", server.Check{Name: "bus", OK: true, LookedAt: "the connection to the system bus", Found: "serving org.left4me.left4med1 on the system bus"}, f.check(true))
		f.bus.Kill()
		if c := f.check(false); !strings.HasPrefix(c.Found, "not on the system bus: ") || c.Cure == "" {
			t.Errorf("%+v", c)
		}
		n := server.Name(fmt.Sprintf("new-%d", round))
		b.put(n, nil)
		b.del("a")
		b.put("a", func(s *server.Server) { s.MainPID = uint32(round) + 1 })
		f.bus.Start(t)
		c := f.connect()
		c.awaitName()
		c.listen()
		m, call := c.managed()
		v := viewOf(m)
		same(t, "the state of a", fmt.Sprintf("@u %d", round+1), v[rootPath+"/server/a"]["MainPID"])
		same(t, "servers", round+2, len(v))
		b.put("a", func(s *server.Server) { s.Stale = round%2 == 0 })
		b.del(n)
		b.put(n, nil)
		b.linked(round%2 == 1)
		f.followed(c, v, call.ResponseSequence)
		b.del("zz-last")
	}
	f.end()
	if err := <-f.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// followed checks that the signals after an answer lead to the next one.
func (f *fixture) followed(c *client, v view, after dbus.Sequence) {
	f.t.Helper()
	f.settle(c)
	m, _ := c.managed()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.signals {
		if s.Sequence > after {
			if err := v.apply(s); err != nil {
				f.t.Error(err)
			}
		}
	}
	same(f.t, "all signals added up", viewOf(m), v)
}

// check waits until the check says so; it follows a little behind the bus.
func (f *fixture) check(ok bool) server.Check {
	f.t.Helper()
	for {
		if c := f.served.Check(); c.OK == ok {
			return c
		}
		if f.t.Context().Err() != nil {
			f.t.Fatal("the check stays as it is")
		}
	}
}

// TestEndsAtOnce: calls under way do not hold up the end.
func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newBackend())
	entered := f.blocking(nil)
	c := f.connect()
	call := c.Object(name, rootPath).Go(managerFace+".Resync", 0, make(chan *dbus.Call, 1))
	<-entered
	f.end()
	if err := <-f.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if (<-call.Done).Err == nil {
		t.Error("a call whose daemon has gone succeeded")
	}
}

// blocking makes the gate wait for release or the end of the call. What it
// returns receives once a call waits.
func (f *fixture) blocking(release <-chan struct{}) (entered chan struct{}) {
	entered = make(chan struct{}, 1000)
	f.gate.says(func(ctx context.Context, _ authz.Request) error {
		entered <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return entered
}

// TestCallerLeaves: nobody is asked about a call any more whose caller is gone.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newBackend())
	entered, left := make(chan struct{}), make(chan error)
	f.gate.says(func(ctx context.Context, _ authz.Request) error {
		entered <- struct{}{}
		<-ctx.Done()
		left <- ctx.Err()
		return ctx.Err()
	})
	stays, goes := f.connect(), f.connect()
	waits := stays.Object(name, rootPath).Go(managerFace+".Resync", 0, make(chan *dbus.Call, 1))
	<-entered
	goes.Object(name, rootPath).Go(managerFace+".Resync", 0, make(chan *dbus.Call, 1))
	<-entered
	goes.Close()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case call := <-waits.Done:
		t.Errorf("the call of one who stayed ended: %v", call.Err)
	default:
	}
	f.gate.says(nil)
	if err := stays.call(rootPath, managerFace+".Resync").Err; err != nil {
		t.Error(err)
	}
	stays.Close()
	<-left
}

// TestLimits: one user cannot have more than 32 calls under way, and does not
// keep another from calling.
func TestLimits(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a process of another uid")
	}
	f := newFixture(t, newBackend())
	release := make(chan struct{})
	entered := f.blocking(release)
	const daemon, bin = 1, 2 // the bus wants to know whom it lets in
	kim := f.asUser(daemon, 40)
	same(t, "turned away", standard+"Error.LimitsExceeded 8\n", kim.line(t))
	for range 32 {
		<-entered
	}
	lee := f.asUser(bin, 1)
	select {
	case <-entered:
	case line := <-lee.lines:
		t.Errorf("another user: %q", line)
	}
	close(release)
	same(t, "the others", " 32\n", kim.line(t))
	same(t, "another user", " 1\n", lee.line(t))
	uids := map[uint32]int{}
	for _, q := range f.gate.questions() {
		uids[q.Peer.UID]++
	}
	same(t, "who asked", map[uint32]int{daemon: 32, bin: 1}, uids)
}

// user is a process of another uid.
type user struct{ lines chan string }

func (u *user) line(t *testing.T) string {
	t.Helper()
	line, ok := <-u.lines
	if !ok {
		t.Fatal("the other process has ended")
	}
	return line
}

// asUser asks for so many resyncs at once. A line tells of the eighth that was
// refused, and another at the end how many were not.
func (f *fixture) asUser(uid uint32, calls int) *user {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "/proc/self/exe")
	cmd.Env = []string{fmt.Sprintf("LEFT4MED_TEST_CALLS=%d %s", calls, f.bus.Address)}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	u := &user{make(chan string, 10)}
	go func() {
		defer close(u.lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				_ = cmd.Wait()
				return
			}
			u.lines <- line
		}
	}()
	return u
}

func TestMain(m *testing.M) {
	var calls int
	var address string
	if n, _ := fmt.Sscan(os.Getenv("LEFT4MED_TEST_CALLS"), &calls, &address); n == 2 {
		if err := callAsUser(calls, address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// callAsUser is what the process of another uid does.
func callAsUser(calls int, address string) error {
	conn, err := dbus.Connect(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	const turnedAway = 8 // of 40
	done := make(chan *dbus.Call, calls)
	for range calls {
		conn.Object(name, rootPath).Go(managerFace+".Resync", 0, done)
	}
	refused, good := 0, 0
	for range calls {
		call := <-done
		var e dbus.Error
		switch {
		case call.Err == nil:
			good++
		case !errors.As(call.Err, &e):
			return call.Err
		default:
			if refused++; refused == turnedAway {
				fmt.Println(e.Name, refused)
			}
		}
	}
	fmt.Println("", good)
	return nil
}
