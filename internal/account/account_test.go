package account

import (
	"errors"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const good = "correct horse"

var (
	tiny = HashCost{MemoryKiB: 8, Passes: 1, Threads: 1}
	home = From{Source: netip.MustParseAddr("192.0.2.1"), Agent: "browser"}
)

func openAt(t testing.TB, path string, c *clock) *Book {
	t.Helper()
	b, err := Open(t.Context(), path, Options{Hash: tiny, Now: c.now})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// newBook has the admin ann and the viewer bob.
func newBook(t testing.TB) (*Book, *clock) {
	t.Helper()
	c := newClock()
	b := openAt(t, filepath.Join(t.TempDir(), "web.db"), c)
	add(t, b, "ann", RoleAdmin)
	add(t, b, "bob", RoleViewer)
	return b, c
}

func add(t testing.TB, b *Book, name string, role Role) *User {
	t.Helper()
	u, err := b.Add(t.Context(), name, role, good)
	must(t, err)
	return u
}

func signIn(t testing.TB, b *Book, name string) *SignedIn {
	t.Helper()
	in, err := b.SignIn(t.Context(), name, good, home)
	must(t, err)
	return in
}

// alive says whether a session is one, by both its names.
func alive(t testing.TB, b *Book, in *SignedIn) bool {
	t.Helper()
	_, err := b.Session(t.Context(), in.Token)
	_, byID := b.Alive(t.Context(), in.Session.ID)
	if (err == nil) != (byID == nil) {
		t.Fatalf("by its token: %v, by its id: %v", err, byID)
	}
	if err != nil && !errors.Is(err, ErrNoSession) {
		t.Fatal(err)
	}
	return err == nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func fails(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	return e
}
