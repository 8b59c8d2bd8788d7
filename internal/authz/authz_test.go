package authz_test

import (
	"context"
	"errors"
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

const (
	passwd = "root:x:0:0::/root:/bin/sh\nkim:x:1000:1000::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbad line\nbroken:x:minus:0::/:\n"
	group  = "root:x:0:\nleft4med-operators:x:990:kim\n"
)

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

func accounts(t *testing.T, group string) (*authz.Accounts, string) {
	dir := t.TempDir()
	groups := write(t, filepath.Join(dir, "group"), group)
	return authz.NewAccounts(write(t, filepath.Join(dir, "passwd"), passwd), groups), groups
}

func TestCheck(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t, group)
	gate := authz.NewGate(acc, authz.OperatorsGroup)
	refused := &server.Error{Code: server.CodeNotAuthorized}
	for name, c := range map[string]struct {
		peer   authz.Peer
		action authz.Action
		want   error
	}{
		"root":                        {authz.Peer{}, authz.Configure, nil},
		"operator by primary group":   {authz.Peer{UID: 1000, GID: 990}, authz.Configure, nil},
		"operator by another group":   {authz.Peer{UID: 1000, GID: 1000, Groups: []uint32{4, 990}}, authz.Install, nil},
		"anyone for nothing":          {authz.Peer{UID: 1000, GID: 1000}, authz.None, nil},
		"anyone for something":        {authz.Peer{UID: 1000, GID: 1000}, authz.Inspect, refused},
		"nobody":                      {authz.Peer{UID: 65534, GID: 65534}, authz.Control, refused},
		"lowest game as operator":     {authz.Peer{UID: 61184, GID: 990}, authz.Control, refused},
		"highest game for nothing":    {authz.Peer{UID: 65519, GID: 65519}, authz.None, refused},
		"below the games as operator": {authz.Peer{UID: 61183, GID: 990}, authz.Control, nil},
		"root's group is no root":     {authz.Peer{UID: 1000, GID: 0, Groups: []uint32{0}}, authz.Control, refused},
	} {
		err := gate.Check(t.Context(), authz.Request{Peer: c.peer, Action: c.action, Server: "alpha"})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if c.action == authz.Inspect && gate.CanInspect(t.Context(), c.peer) != (c.want == nil) {
			t.Errorf("%s: CanInspect disagrees with Check", name)
		}
	}
}

func TestRefusalNamesTheCure(t *testing.T) {
	t.Parallel()
	acc, groups := accounts(t, group)
	gate := authz.NewGate(acc, authz.OperatorsGroup)
	kim := authz.Request{Peer: authz.Peer{UID: 1000, GID: 1000}, Action: authz.Control}
	check := func(want string) {
		t.Helper()
		if diff := cmp.Diff(want, gate.Check(t.Context(), kim).Error()); diff != "" {
			t.Error(diff)
		}
	}
	const may = "user kim (uid 1000) may not start, stop or restart servers; root and the members of the group left4med-operators may: "
	check(may + `run "usermod -aG left4med-operators kim" as root and log in again`)
	write(t, groups, "root:x:0:\n")
	check(may + `that group does not exist on this host, so first run "groupadd --system left4med-operators" as root, then usermod -aG left4med-operators kim`)
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	acc, _ := accounts(t, group)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := authz.NewGate(acc, authz.OperatorsGroup).Check(ctx, authz.Request{Action: authz.Control})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAccountsFollowTheirFiles(t *testing.T) {
	t.Parallel()
	acc, groups := accounts(t, group)
	if got := []string{acc.User(0), acc.User(1000), acc.User(5)}; !slices.Equal(got, []string{"root", "kim", ""}) {
		t.Errorf("users are %q", got)
	}
	if uid, ok := acc.UID("toor"); uid != 0 || !ok {
		t.Errorf("toor is %d, %t", uid, ok)
	}
	if _, ok := acc.UID("broken"); ok {
		t.Error("a uid that is no number counts")
	}
	gid := func(want uint32, found bool) {
		t.Helper()
		if got, ok := acc.GID(authz.OperatorsGroup); got != want || ok != found {
			t.Errorf("the group is %d, %t; want %d, %t", got, ok, want, found)
		}
	}
	gid(990, true)
	write(t, groups, strings.Replace(group, "990", "991", 1))
	gid(991, true)
	if err := os.Remove(groups); err != nil {
		t.Fatal(err)
	}
	gid(0, false)
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
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	want := authz.Peer{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: int32(os.Getpid()), Groups: []uint32{}}
	for _, g := range groups {
		want.Groups = append(want.Groups, uint32(g))
	}
	slices.Sort(got.Groups)
	slices.Sort(want.Groups)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := authz.PeerOf(struct{ net.Conn }{c}); err == nil {
		t.Error("a connection without a descriptor has a peer")
	}
}
