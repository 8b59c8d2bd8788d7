package account

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSessionsEndWithTime(t *testing.T) {
	t.Parallel()
	b, c := newBook(t)
	idle, used := signIn(t, b, "bob"), signIn(t, b, "bob")
	for range 4 { // a use each time lengthens it
		c.pass(167 * time.Hour)
		same(t, true, alive(t, b, used))
	}
	same(t, false, alive(t, b, idle))
	s, err := b.Session(t.Context(), used.Token)
	must(t, err)
	same(t, s.CreatedAt.Add(720*time.Hour), s.ExpiresAt)
	c.pass(52*time.Hour - time.Microsecond)
	same(t, true, alive(t, b, used))
	c.pass(time.Microsecond)
	same(t, false, alive(t, b, used))
	// The next sign-in takes what is over off the disk.
	signIn(t, b, "bob")
	var n int
	must(t, b.db.Readers.QueryRowContext(t.Context(), `SELECT count(*) FROM sessions`).Scan(&n))
	same(t, 1, n)
}

// A use is stored once a minute, and known at once.
func TestUseIsStored(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b := openAt(t, path, c)
	add(t, b, "ann", RoleAdmin)
	in := signIn(t, b, "ann")
	used := func(b *Book) time.Time {
		s, err := b.Sessions(t.Context(), 1)
		must(t, err)
		return s[0].UsedAt
	}
	begun := c.now()
	c.pass(59 * time.Second)
	alive(t, b, in)
	same(t, begun, used(b))
	c.pass(time.Second)
	alive(t, b, in)
	same(t, begun.Add(time.Minute), used(b))
	must(t, b.settle(t.Context()))
	same(t, begun.Add(time.Minute), used(openAt(t, path, c)))
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	b, c := newBook(t)
	calls := 0
	b.OnEnd(func() { calls++ })
	first := signIn(t, b, "bob")
	c.pass(time.Second)
	second, other := signIn(t, b, "bob"), signIn(t, b, "ann")
	list, err := b.Sessions(t.Context(), 2)
	must(t, err)
	same(t, []string{second.Session.ID, first.Session.ID}, []string{list[0].ID, list[1].ID})
	same(t, 2, len(list))

	fails(t, b.EndSession(t.Context(), 2, other.Session.ID), CodeSessionNotFound)
	fails(t, b.EndSession(t.Context(), 2, "x"), CodeSessionNotFound)
	same(t, 0, calls)
	must(t, b.EndSession(t.Context(), 2, first.Session.ID))
	fails(t, b.EndSession(t.Context(), 2, first.Session.ID), CodeSessionNotFound)
	must(t, b.SignOut(t.Context(), second.Session.ID))
	same(t, 2, calls)
	same(t, []bool{false, false, true}, []bool{alive(t, b, first), alive(t, b, second), alive(t, b, other)})
	nobody, err := b.Sessions(t.Context(), 0)
	must(t, err)
	same(t, []Session{}, nobody)
}

func TestSessionsOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	b, c := newBook(t)
	first, other := signIn(t, b, "bob"), signIn(t, b, "ann")
	c.pass(time.Second)
	for range perUser {
		signIn(t, b, "bob")
	}
	same(t, []bool{false, true}, []bool{alive(t, b, first), alive(t, b, other)})
}

// refuse has the disk refuse what is written, as a read-only one does, until
// allow.
func refuse(t *testing.T, b *Book) (allow func()) {
	t.Helper()
	set := func(pragma string) {
		_, err := b.db.Writer.ExecContext(t.Context(), pragma)
		must(t, err)
	}
	set(`PRAGMA query_only = 1`)
	return func() { set(`PRAGMA query_only = 0`) }
}

// fill leaves no space for a new page, nor in those that there are, as a full
// disk does.
func fill(t *testing.T, b *Book) (free func()) {
	t.Helper()
	set := func(pages int) {
		var is int
		must(t, b.db.Writer.QueryRowContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&is))
	}
	set(1) // SQLite makes it what there is
	for _, size := range []int{500, 100, 8} {
		var err error
		for err == nil {
			_, err = b.db.Writer.ExecContext(t.Context(), `INSERT INTO sessions SELECT hex(randomblob(?1)), randomblob(?1), 1, '', 1e15, 9e15, '', ''`, size)
		}
		if !strings.Contains(err.Error(), "full") {
			t.Fatal(err)
		}
	}
	return func() { set(1 << 30) }
}

func TestDiskRefuses(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*testing.T, *Book) func(){"read-only": refuse, "full": fill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := filepath.Join(t.TempDir(), "web.db")
			b, err := Open(t.Context(), path, Options{Hash: tiny, Now: c.now})
			must(t, err)
			add(t, b, "ann", RoleAdmin)
			add(t, b, "bob", RoleViewer)
			before, gone := signIn(t, b, "bob"), signIn(t, b, "bob")
			other := openAt(t, path, c) // another process
			mend := breakIt(t, b)

			// What begins and ends, does so at once.
			kept, short := signIn(t, b, "bob"), signIn(t, b, "bob")
			same(t, false, b.pending.empty())
			// What must be on the disk is refused.
			_, err = b.Add(t.Context(), "eve", RoleAdmin, good)
			fails(t, err, CodeStorage)
			must(t, b.SignOut(t.Context(), gone.Session.ID))
			must(t, b.SignOut(t.Context(), short.Session.ID))
			now := func() []bool {
				return []bool{alive(t, b, before), alive(t, b, gone), alive(t, b, kept), alive(t, b, short)}
			}
			same(t, []bool{true, false, true, false}, now())
			list, err := b.Sessions(t.Context(), 2)
			must(t, err)
			same(t, 2, len(list))

			mend()
			must(t, b.SetRole(t.Context(), "bob", RoleOperator)) // stores the rest, too
			same(t, true, b.pending.empty())
			same(t, []bool{true, false, true, false}, now())
			must(t, b.Close())
			b = other
			same(t, []bool{true, false, true, false}, now())
		})
	}
}

// A session in memory ends with its user's password, as any other.
func TestPasswordEndsSessionsInMemory(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b, other := openAt(t, path, c), openAt(t, path, c)
	add(t, b, "ann", RoleAdmin)
	add(t, b, "bob", RoleViewer)
	mend := refuse(t, b)
	ann, bob := signIn(t, b, "ann"), signIn(t, b, "bob")
	must(t, other.SetPassword(t.Context(), "ann", good+"2"))
	must(t, other.Remove(t.Context(), "bob"))
	same(t, []bool{false, false}, []bool{alive(t, b, ann), alive(t, b, bob)})
	mend()
	must(t, b.settle(t.Context()))
	same(t, []bool{false, false}, []bool{alive(t, b, ann), alive(t, b, bob)})
}

// What the disk refused is stored when the book is closed.
func TestCloseStores(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b, err := Open(t.Context(), path, Options{Hash: tiny, Now: c.now})
	must(t, err)
	add(t, b, "ann", RoleAdmin)
	mend := refuse(t, b)
	in := signIn(t, b, "ann")
	mend()
	must(t, b.Close())
	b = openAt(t, path, c)
	same(t, true, alive(t, b, in))
	if _, err := b.Alive(t.Context(), "none"); !errors.Is(err, ErrNoSession) {
		t.Error(err)
	}
}
