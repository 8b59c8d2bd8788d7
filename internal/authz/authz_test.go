package authz_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

const passwd = "root:x:0:0::/root:/bin/sh\nkim:x:1000:1000::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbad line\nbroken:x:minus:0::/:\n"

func write(t *testing.T, path, content string) string {
	t.Helper()
	// As usermod does it: a new file in the place of the old one.
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func accounts(t *testing.T) (*authz.Accounts, string) {
	path := write(t, filepath.Join(t.TempDir(), "passwd"), passwd)
	return authz.NewAccounts(path), path
}

// authority is what polkit would say.
type authority func(context.Context, authz.Request) (authz.Answer, error)

func (a authority) Ask(ctx context.Context, r authz.Request) (authz.Answer, error) { return a(ctx, r) }

var kim = authz.Peer{UID: 1000, GID: 1000, PID: 17}

// TestCheck goes through the order of the gate: whom it asks about, and whom it
// does not.
func TestCheck(t *testing.T) {
	t.Parallel()
	refused := &server.Error{Code: server.CodeNotAuthorized}
	for name, c := range map[string]struct {
		peer   authz.Peer
		action authz.Action
		asked  bool
		want   error
	}{
		"root":                     {authz.Peer{}, authz.Configure, false, nil},
		"kim, whom polkit lets":    {kim, authz.Control, true, nil},
		"kim for more":             {kim, authz.Configure, true, refused},
		"kim for nothing":          {kim, authz.None, false, nil},
		"lowest game":              {authz.Peer{UID: 61184}, authz.Control, false, refused},
		"highest game":             {authz.Peer{UID: 65519}, authz.None, false, refused},
		"game on the bus":          {authz.Peer{UID: 62000, BusName: ":1.7"}, authz.Inspect, false, refused},
		"below the games":          {authz.Peer{UID: 61183}, authz.Control, true, nil},
		"nobody":                   {authz.Peer{UID: 65534}, authz.Inspect, true, refused},
		"root's group is not root": {authz.Peer{UID: 1000, GID: 0}, authz.Configure, true, refused},
	} {
		acc, _ := accounts(t)
		want := authz.Request{Peer: c.peer, Action: c.action, Verb: "start", Server: "alpha", Interactive: true}
		var asked []authz.Request
		var told []string
		gate := authz.NewGate(acc, authority(func(_ context.Context, r authz.Request) (authz.Answer, error) {
			asked = append(asked, r)
			return authz.Answer{Authorized: r.Action == authz.Control}, nil
		}), func(r server.Refusal) {
			told = append(told, fmt.Sprint(r.By.UID, r.By.Via, r.What, r.Server, r.Err.Code))
		})
		if err := gate.Check(t.Context(), want); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		var wantAsked []authz.Request
		var wantTold []string
		if c.asked {
			wantAsked = []authz.Request{want}
		}
		if c.want != nil {
			via := server.ViaHTTP
			if c.peer.BusName != "" {
				via = server.ViaDBus
			}
			wantTold = []string{fmt.Sprint(c.peer.UID, via, "start", "alpha", server.CodeNotAuthorized)}
		}
		if diff := cmp.Diff(wantAsked, asked); diff != "" {
			t.Errorf("%s: polkit was asked (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(wantTold, told); diff != "" {
			t.Errorf("%s: refusals told of (-want +got):\n%s", name, diff)
		}
	}
}

// A game that asks for what needs no permission is on record all the same.
func TestAGameAtAnOpenDoor(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t)
	var told []string
	gate := authz.NewGate(acc, nil, func(r server.Refusal) { told = append(told, r.What) })
	if err := gate.Check(t.Context(), authz.Request{Peer: authz.Peer{UID: 62000, BusName: ":1.7"}}); err == nil {
		t.Error("a game was let in")
	}
	if diff := cmp.Diff([]string{"connect"}, told); diff != "" {
		t.Errorf("refusals told of (-want +got):\n%s", diff)
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t)
	for name, c := range map[string]struct {
		answer      authz.Answer
		err         error
		interactive bool
		want        string
		challenge   bool
	}{
		"no": {want: "user kim (uid 1000) may not start, stop or restart servers (server \"alpha\"); root, the members of the group left4med-operators and whom polkit's rules allow org.left4me.left4med1.control may: `usermod -aG left4med-operators kim` as root, or a narrower rule as in left4med(8)"},
		"with a password": {answer: authz.Answer{Challenge: true}, challenge: true,
			want: "user kim (uid 1000) may start, stop or restart servers (server \"alpha\") with an administrator's password alone; ask again on a terminal (l4d2ctl), or with X-Allow-Interaction: true"},
		"without the right one": {answer: authz.Answer{Challenge: true}, interactive: true,
			want: "user kim (uid 1000) may start, stop or restart servers (server \"alpha\") with an administrator's password, which was not given: there was nobody to ask, or it was wrong or the question dismissed"},
		"nobody to say": {err: errors.New("polkit is\x1b[2J gone"),
			want: `user kim (uid 1000) may not start, stop or restart servers (server "alpha"), since nobody could say whether it is allowed: polkit is\x1b[2J gone; ` + "`systemctl status polkit` tells more, and root needs no permission"},
	} {
		gate := authz.NewGate(acc, authority(func(context.Context, authz.Request) (authz.Answer, error) { return c.answer, c.err }), nil)
		err := gate.Check(t.Context(), authz.Request{Peer: kim, Action: authz.Control, Server: "alpha", Interactive: c.interactive})
		want := &server.Error{Code: server.CodeNotAuthorized, Detail: c.want, Challenge: c.challenge, Err: c.err}
		var got *server.Error
		if errors.As(err, &got); got == nil || *got != *want {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestCheckEndsWithItsClient(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t)
	ctx, leave := context.WithCancel(t.Context())
	gate := authz.NewGate(acc, authority(func(ctx context.Context, _ authz.Request) (authz.Answer, error) {
		leave()
		<-ctx.Done()
		return authz.Answer{}, ctx.Err()
	}), func(server.Refusal) { t.Error("a client that left counts as refused") })
	for range 2 { // while it waits, and before it could ask
		if err := gate.Check(ctx, authz.Request{Peer: kim, Action: authz.Control}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// TestMay: what anyone may read must not wait for polkit over and over.
func TestMay(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t)
	asked, hang := 0, true
	gate := authz.NewGate(acc, authority(func(ctx context.Context, r authz.Request) (authz.Answer, error) {
		asked++
		if r.Interactive {
			t.Error("a glance would ask for a password")
		}
		if hang {
			<-ctx.Done()
			return authz.Answer{}, fmt.Errorf("%w: %w", authz.ErrSilent, ctx.Err())
		}
		return authz.Answer{Authorized: true}, nil
	}), func(server.Refusal) { t.Error("a glance counts as refused") })
	type may struct{ May, Decided bool }
	is := func(p authz.Peer) may {
		m, d := gate.May(t.Context(), authz.Request{Peer: p, Action: authz.Inspect, Interactive: true})
		return may{m, d}
	}
	yes, no, unknown := may{true, true}, may{false, true}, may{false, false}
	if is(authz.Peer{}) != yes || is(authz.Peer{UID: 62000}) != no || asked != 0 {
		t.Fatalf("root or a game was asked about (%d)", asked)
	}
	for range 2 {
		if is(kim) != unknown || asked != 1 { // waits, once
			t.Fatalf("kim may while polkit hangs (asked %d times)", asked)
		}
	}
	hang = false
	if err := gate.Check(t.Context(), authz.Request{Peer: kim, Action: authz.Control}); err != nil {
		t.Error(err)
	}
	if is(kim) != yes {
		t.Error("kim may not although polkit is back")
	}
}

func TestAccountsFollowTheirFile(t *testing.T) {
	t.Parallel()
	acc, path := accounts(t)
	if got := []string{acc.User(0), acc.User(1000), acc.User(5)}; !slices.Equal(got, []string{"root", "kim", ""}) {
		t.Errorf("users are %q", got)
	}
	uid := func(user string, want uint32, found bool) {
		t.Helper()
		if got, ok := acc.UID(user); got != want || ok != found {
			t.Errorf("%s is %d, %t; want %d, %t", user, got, ok, want, found)
		}
	}
	uid("toor", 0, true)
	uid("broken", 0, false)
	uid("kim", 1000, true)
	write(t, path, strings.Replace(passwd, "1000", "1001", 1))
	uid("kim", 1001, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	uid("kim", 0, false)
}

func TestPeerOf(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := authz.PeerOf(c)
	if err != nil {
		t.Fatal(err)
	}
	want := authz.Peer{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: int32(os.Getpid())}
	if want.UID != 0 {
		if want.StartTime, err = authz.StartTime("/proc", want.PID); err != nil || want.StartTime == 0 {
			t.Fatal(want.StartTime, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := authz.PeerOf(struct{ net.Conn }{c}); err == nil {
		t.Error("a connection without a descriptor has a peer")
	}
}

func TestStartTime(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(proc, "7"), 0o755); err != nil {
		t.Fatal(err)
	}
	stat := write(t, filepath.Join(proc, "7", "stat"), "7 (a) b (c 9) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2 3\n")
	if got, err := authz.StartTime(proc, 7); got != 4711 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	for _, bad := range []string{"", "7 (a) S 1\n", "7 (a) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x 1\n"} {
		write(t, stat, bad)
		if got, err := authz.StartTime(proc, 7); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
}
