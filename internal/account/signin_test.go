package account

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	b, c := newBook(t)
	c.pass(time.Hour)
	in, err := b.SignIn(t.Context(), "bob", good, From{Source: netip.MustParseAddr("::ffff:192.0.2.9"), Agent: strings.Repeat("é\xff", 100)})
	must(t, err)
	now := c.now()
	want := Session{
		ID: in.Session.ID, CSRF: in.Session.CSRF, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(168 * time.Hour),
		User:   User{ID: 2, Name: "bob", Role: RoleViewer, CreatedAt: now.Add(-time.Hour), LastSignIn: &now},
		Source: "192.0.2.9", Agent: strings.Repeat("é", 67),
	}
	same(t, want, in.Session)
	got, err := b.Session(t.Context(), in.Token)
	must(t, err)
	same(t, &want, got)
	want.User.Sessions = 1
	users, err := b.Users(t.Context())
	must(t, err)
	same(t, []User{{ID: 1, Name: "ann", Role: RoleAdmin, CreatedAt: now.Add(-time.Hour)}, want.User}, users)

	for _, token := range []string{"", "x", in.Session.ID, in.Token + "A", in.Session.CSRF, in.Device, strings.ToLower(in.Token)} {
		if _, err := b.Session(t.Context(), token); !errors.Is(err, ErrNoSession) {
			t.Errorf("%q is a session: %v", token, err)
		}
	}
}

// The file says nothing that one could sign in with.
func TestFileHoldsNoSecret(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	in := signIn(t, b, "bob")
	var n int
	must(t, b.db.Readers.QueryRowContext(t.Context(), `SELECT count(*) FROM users AS u, sessions AS s
		WHERE instr(u.password, ?1) OR instr(s.token, ?2) OR instr(s.id, ?2) OR instr(s.csrf, ?2)`, good, in.Token).Scan(&n))
	same(t, 0, n)
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	_, err := b.SignIn(t.Context(), "bob", "wrong horse", home)
	one := fails(t, err, CodeWrongCredentials)
	for _, c := range [][2]string{{"nobody", good}, {"", ""}, {"Bob", good}, {"bob", ""}, {"bob\x00", good}, {"' OR 1=1 --", good}, {"bob", strings.Repeat("x", 1<<16)}} {
		_, err := b.SignIn(t.Context(), c[0], c[1], home)
		same(t, one, fails(t, err, CodeWrongCredentials))
	}
}

func TestSetUp(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b := openAt(t, path, c)
	empty, err := b.Empty(t.Context())
	must(t, err)
	token := b.SetupToken()
	if !empty || len(token) < 40 {
		t.Fatalf("empty %v, token %q", empty, token)
	}
	for _, wrong := range []string{"", "x", token + "x"} {
		_, err := b.SetUp(t.Context(), wrong, "ann", good, home)
		fails(t, err, CodeSetupRefused)
	}
	_, err = b.SetUp(t.Context(), token, "Ann", good, home)
	same(t, "user", fails(t, err, CodeInvalidRequest).Field)
	_, err = b.SetUp(t.Context(), token, "ann", "short", home)
	same(t, "password", fails(t, err, CodeInvalidRequest).Field)
	in, err := b.SetUp(t.Context(), token, "ann", good, home)
	must(t, err)
	same(t, RoleAdmin, in.Session.User.Role)
	same(t, true, alive(t, b, in))
	same(t, "", b.SetupToken())
	for _, used := range []string{token, ""} {
		_, err = b.SetUp(t.Context(), used, "eve", good, home)
		fails(t, err, CodeSetupRefused)
	}
	// Another process finds users, and has no token.
	same(t, "", openAt(t, path, c).SetupToken())
}

// A user that was added meanwhile, by another process, ends the setting up.
func TestSetUpComesLate(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b := openAt(t, path, c)
	add(t, openAt(t, path, c), "ann", RoleViewer)
	_, err := b.SetUp(t.Context(), b.SetupToken(), "eve", good, home)
	fails(t, err, CodeSetupRefused)
}

func TestSetUpIsLimited(t *testing.T) {
	t.Parallel()
	b := openAt(t, filepath.Join(t.TempDir(), "web.db"), newClock())
	for range 20 {
		_, err := b.SetUp(t.Context(), "guess", "ann", good, home)
		fails(t, err, CodeSetupRefused)
	}
	_, err := b.SetUp(t.Context(), b.SetupToken(), "ann", good, home)
	same(t, 15*time.Second, fails(t, err, CodeTooManyAttempts).RetryAfter)
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	b, c := newBook(t)
	known := signIn(t, b, "bob")
	wrong := func(name string, from From) error {
		_, err := b.SignIn(t.Context(), name, "wrong horse", from)
		return err
	}
	// Who succeeds may do so as often as they like.
	for range 30 {
		signIn(t, b, "bob")
	}
	// Ten failures in a user's name from an address, then one a minute.
	for range 10 {
		fails(t, wrong("bob", home), CodeWrongCredentials)
	}
	_, err := b.SignIn(t.Context(), "bob", good, home)
	same(t, time.Minute, fails(t, err, CodeTooManyAttempts).RetryAfter)
	// Neither other users there nor the user elsewhere are locked out.
	signIn(t, b, "ann")
	_, err = b.SignIn(t.Context(), "bob", good, From{Source: netip.MustParseAddr("192.0.2.2")})
	must(t, err)
	// The browser that was here before has a budget of its own.
	office := From{Source: home.Source, Device: known.Device}
	in, err := b.SignIn(t.Context(), "bob", good, office)
	must(t, err)
	same(t, known.Device, in.Device)
	for range 10 {
		fails(t, wrong("bob", office), CodeWrongCredentials)
	}
	same(t, 30*time.Second, fails(t, wrong("bob", office), CodeTooManyAttempts).RetryAfter)
	// It is worth nothing for another user: ten more are left to this address.
	for range 10 {
		fails(t, wrong("ann", office), CodeWrongCredentials)
	}
	same(t, 15*time.Second, fails(t, wrong("eve", office), CodeTooManyAttempts).RetryAfter)
	c.pass(15 * time.Second)
	fails(t, wrong("eve", home), CodeWrongCredentials)
	fails(t, wrong("eve", home), CodeTooManyAttempts)
	c.pass(time.Minute)
	signIn(t, b, "bob")
}

// A user of the same name who comes after one that was removed is another.
func TestRemovedUsersDevice(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	known := signIn(t, b, "bob")
	must(t, b.Remove(t.Context(), "bob"))
	add(t, b, "bob", RoleViewer)
	in, err := b.SignIn(t.Context(), "bob", good, From{Source: home.Source, Device: known.Device})
	must(t, err)
	if in.Device == known.Device {
		t.Error("the device of the removed user counts")
	}
}

// A full queue of strangers keeps neither the known out, nor more strangers
// waiting.
func TestFlood(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	known := signIn(t, b, "bob")
	must(t, b.hasher.stranger.enter(t.Context())) // a hash that lasts
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for i := range maxWaiting {
		go func() {
			_, err := b.SignIn(ctx, "bob", good, From{Source: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
			ended <- err
		}()
	}
	for b.hasher.stranger.waiting.Load() < maxWaiting {
		time.Sleep(time.Millisecond)
	}
	_, err := b.SignIn(t.Context(), "bob", good, home)
	same(t, 5*time.Second, fails(t, err, CodeTooManyAttempts).RetryAfter)
	_, err = b.SignIn(t.Context(), "bob", good, From{Device: known.Device})
	must(t, err)
	cancel()
	for range maxWaiting {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a wait that was called off ended with %v", err)
		}
	}
	b.hasher.stranger.leave()
	signIn(t, b, "bob")
}

// Hashes of an older cost still count, and get the new one.
func TestCostIsRaised(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	in := func() *SignedIn {
		b := openAt(t, path, c)
		add(t, b, "ann", RoleAdmin)
		return signIn(t, b, "ann")
	}()
	b, err := Open(t.Context(), path, Options{Now: c.now, Hash: HashCost{MemoryKiB: 16, Passes: 2, Threads: 1}})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	signIn(t, b, "ann")
	cred, err := b.credential(t.Context(), "ann")
	must(t, err)
	if !strings.HasPrefix(cred.hash, "$argon2id$v=19$m=16,t=2,p=1$") {
		t.Errorf("it is hashed as %s", cred.hash)
	}
	signIn(t, b, "ann")
	same(t, true, alive(t, b, in))
}

func TestDefaultCost(t *testing.T) {
	t.Parallel()
	h := newHasher(HashCost{})
	hash, err := h.hash(t.Context(), good)
	must(t, err)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("it is hashed as %s", hash)
	}
	for password, want := range map[string]bool{good: true, good + " ": false} {
		ok, outdated, err := h.matches(t.Context(), h.known, hash, password)
		must(t, err)
		same(t, [2]bool{want, false}, [2]bool{ok, outdated})
	}
}
