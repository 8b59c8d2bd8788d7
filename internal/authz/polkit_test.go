package authz_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/test/bus"
)

// question is what polkit was asked.
type question struct {
	Kind    string
	PID     uint32
	Start   uint64
	UID     int32 // -1 when it is not an int32: polkit would ignore it
	Name    string
	Action  string
	Details map[string]string
	Flags   uint32
}

// fakePolkit stands for a polkit that errs and hangs when it is told to.
type fakePolkit struct {
	asked    chan question
	answer   chan any // bool, *dbus.Error
	canceled chan string
	from     chan dbus.Sender
}

func newFakePolkit(t *testing.T, address string) *fakePolkit {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &fakePolkit{make(chan question, 100), make(chan any, 100), make(chan string, 100), make(chan dbus.Sender, 100)}
	if err := conn.Export(f, "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName("org.freedesktop.PolicyKit1", 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return f
}

// newPolkit is what asks, and a polkit that answers, on a bus of their own.
func newPolkit(t *testing.T) (*bus.Bus, *authz.Polkit, *fakePolkit) {
	t.Helper()
	b := bus.New(t)
	polkit := authz.NewPolkit(b.Socket)
	t.Cleanup(polkit.Close)
	return b, polkit, newFakePolkit(t, b.Address)
}

type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

type result struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// CheckAuthorization is polkit's method.
func (f *fakePolkit) CheckAuthorization(from dbus.Sender, s subject, action string, details map[string]string, flags uint32, id string) (result, *dbus.Error) {
	q := question{Kind: s.Kind, Action: action, Details: details, Flags: flags, UID: -1}
	q.PID, _ = s.Details["pid"].Value().(uint32)
	q.Start, _ = s.Details["start-time"].Value().(uint64)
	q.Name, _ = s.Details["name"].Value().(string)
	if uid, ok := s.Details["uid"].Value().(int32); ok {
		q.UID = uid
	}
	f.asked <- q
	f.from <- from
	switch a := (<-f.answer).(type) {
	case bool:
		return result{Authorized: a, Challenge: !a}, nil
	case *dbus.Error:
		return result{}, a
	}
	return result{}, nil
}

// CancelCheckAuthorization is polkit's method.
func (f *fakePolkit) CancelCheckAuthorization(id string) *dbus.Error {
	f.canceled <- id
	return nil
}

func TestPolkitIsAsked(t *testing.T) {
	t.Parallel()
	_, polkit, fake := newPolkit(t)
	for name, c := range map[string]struct {
		request authz.Request
		want    question
	}{
		"a process": {
			authz.Request{Peer: authz.Peer{UID: 1000, PID: 17, StartTime: 4711}, Action: authz.Control, Verb: "start", Server: "a"},
			question{Kind: "unix-process", PID: 17, Start: 4711, UID: 1000, Action: string(authz.Control), Details: map[string]string{"verb": "start", "server": "a"}},
		},
		"a caller on the bus who may be asked": {
			authz.Request{Peer: authz.Peer{UID: 1000, PID: 17, BusName: ":1.99"}, Action: authz.Configure, Verb: "initialize", Interactive: true},
			question{Kind: "system-bus-name", Name: ":1.99", UID: -1, Action: string(authz.Configure), Details: map[string]string{"verb": "initialize"}},
		},
	} {
		for _, answers := range [][]bool{{true}, {false, true}, {false, false}} {
			want, asked := authz.Answer{}, []question{c.want}
			if !answers[0] && c.request.Interactive { // then a person is asked
				asked = append(asked, c.want)
				asked[1].Flags = 1
			} else {
				answers = answers[:1]
			}
			for _, a := range answers {
				fake.answer <- a
				want = authz.Answer{Authorized: a, Challenge: !a}
			}
			got, err := polkit.Ask(t.Context(), c.request)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
			for _, q := range asked {
				if diff := cmp.Diff(q, <-fake.asked); diff != "" {
					t.Errorf("%s was asked as (-want +got):\n%s", name, diff)
				}
			}
		}
	}
	if _, err := polkit.Ask(t.Context(), authz.Request{Peer: authz.Peer{UID: 1000}, Action: authz.Control}); err == nil {
		t.Error("a process that cannot be seen was asked about")
	}
}

// TestPolkitFails: no answer is an error, whatever the reason, and the next
// question finds a polkit that is back.
func TestPolkitFails(t *testing.T) {
	t.Parallel()
	request := authz.Request{Peer: kim, Action: authz.Control, Verb: "start"}
	none := authz.NewPolkit(filepath.Join(t.TempDir(), "none"))
	if _, err := none.Ask(t.Context(), request); err == nil || !strings.Contains(err.Error(), "the system bus cannot be reached") {
		t.Errorf("without a bus: %v", err)
	}
	b := bus.New(t)
	polkit := authz.NewPolkit(b.Socket)
	t.Cleanup(polkit.Close)
	if _, err := polkit.Ask(t.Context(), request); err == nil || err.Error() != "polkit is not installed" {
		t.Errorf("without polkit: %v", err)
	}
	if c := polkit.Check(t.Context()); c.OK || !strings.Contains(c.Found, "polkit is not installed") || c.Cure != "apt-get install polkitd" {
		t.Errorf("the check without polkit: %+v", c)
	}
	fake := newFakePolkit(t, b.Address)
	fake.answer <- dbus.NewError("org.freedesktop.PolicyKit1.Error.Failed", []any{"Action x is not registered"})
	if _, err := polkit.Ask(t.Context(), request); err == nil || !strings.Contains(err.Error(), "Action x is not registered") {
		t.Errorf("an error of polkit's: %v", err)
	}
	fake.answer <- true
	if a, err := polkit.Ask(t.Context(), request); !a.Authorized || err != nil {
		t.Errorf("afterwards: %+v, %v", a, err)
	}
	if c := polkit.Check(t.Context()); !c.OK {
		t.Errorf("the check: %+v", c)
	}
}

// TestPolkitIsLetGo: who leaves takes the question back.
func TestPolkitIsLetGo(t *testing.T) {
	t.Parallel()
	_, polkit, fake := newPolkit(t)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-fake.asked
		leave()
	}()
	_, err := polkit.Ask(ctx, authz.Request{Peer: kim, Action: authz.Control, Interactive: true})
	if diff := cmp.Diff(context.Canceled, err, cmpopts.EquateErrors()); diff != "" {
		t.Error(diff)
	}
	if got := <-fake.canceled; got != "left4med-1" {
		t.Errorf("taken back was %q", got)
	}
	fake.answer <- true
}

// TestPolkitTakesTurns: one uid that waits for its answers leaves room for others.
func TestPolkitTakesTurns(t *testing.T) {
	t.Parallel()
	_, polkit, fake := newPolkit(t)
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	const many = 40
	for range many {
		go func() {
			_, err := polkit.Ask(ctx, authz.Request{Peer: kim, Action: authz.Control})
			ended <- err
		}()
	}
	const perUID = 4
	for range perUID {
		<-fake.asked
	}
	fake.answer <- true // whichever it is for
	other := make(chan error, 1)
	go func() {
		_, err := polkit.Ask(t.Context(), authz.Request{Peer: authz.Peer{UID: 1001, PID: 18}, Action: authz.Control})
		other <- err
	}()
	for q := (<-fake.asked); q.UID != 1001; q = <-fake.asked {
		if q.UID != 1000 {
			t.Fatalf("asked about %+v", q)
		}
	}
	leave()
	canceled := 0
	for range many {
		if err := <-ended; errors.Is(err, context.Canceled) {
			canceled++
		} else if err != nil {
			t.Error(err)
		}
	}
	if canceled < many-1 {
		t.Errorf("%d of %d were taken back", canceled, many)
	}
	for range perUID + 1 {
		fake.answer <- true
	}
	if err := <-other; err != nil {
		t.Error(err)
	}
}

// TestPolkitIsNotDisturbed: on a bus anybody may send signals to anybody, and
// the library ends a connection on which one comes that it cannot express.
func TestPolkitIsNotDisturbed(t *testing.T) {
	t.Parallel()
	b, polkit, fake := newPolkit(t)
	fake.answer <- true
	if _, err := polkit.Ask(t.Context(), authz.Request{Peer: kim, Action: authz.Control}); err != nil {
		t.Fatal(err)
	}
	hostile, err := bus.Dial(b.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer hostile.Close()
	name := <-fake.from
	boolKey := []byte{8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0} // a{bb}{true: true}
	for _, m := range []bus.Message{
		{Type: bus.Signal, Sign: "a{bb}", Body: boolKey},
		{Type: bus.Signal, Sign: "s", Body: bus.Text(strings.Repeat("x", 8<<20))},
		{Type: bus.Call, Flags: bus.NoReply, Sign: "a{bb}", Body: boolKey},
	} {
		m.Destination, m.Path, m.Interface, m.Member = string(name), "/", "x.y", "Z"
		if _, err := hostile.Send(&m); err != nil {
			t.Fatal(err)
		}
	}
	fake.answer <- true
	if _, err := polkit.Ask(t.Context(), authz.Request{Peer: kim, Action: authz.Control}); err != nil {
		t.Error(err)
	}
	if now := <-fake.from; now != name {
		t.Errorf("asked as %s, and before as %s: the connection was lost", now, name)
	}
}
