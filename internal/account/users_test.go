package account

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	for _, c := range []struct {
		name     string
		role     Role
		password string
		code     Code
		field    string
	}{
		{"bob", RoleViewer, good, CodeNameTaken, "name"},
		{"", RoleViewer, good, CodeInvalidRequest, "name"},
		{"Eve", RoleViewer, good, CodeInvalidRequest, "name"},
		{".eve", RoleViewer, good, CodeInvalidRequest, "name"},
		{"eve\n", RoleViewer, good, CodeInvalidRequest, "name"},
		{strings.Repeat("e", 33), RoleViewer, good, CodeInvalidRequest, "name"},
		{"eve", "root", good, CodeInvalidRequest, "role"},
		{"eve", RoleViewer, "1234567", CodeInvalidRequest, "password"},
		{"eve", RoleViewer, "ééé", CodeInvalidRequest, "password"},
		{"eve", RoleViewer, "12345678\xff", CodeInvalidRequest, "password"},
		{"eve", RoleViewer, strings.Repeat("x", 257), CodeInvalidRequest, "password"},
		{"evelynne", RoleViewer, "evelynne", CodeInvalidRequest, "password"},
	} {
		_, err := b.Add(t.Context(), c.name, c.role, c.password)
		same(t, c.field, fails(t, err, c.code).Field)
	}
	users, err := b.Users(t.Context())
	must(t, err)
	same(t, 2, len(users))
	add(t, b, "a.b_c-"+strings.Repeat("9", 26), RoleOperator)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	all := []Role{RoleViewer, RoleOperator, RoleAdmin}
	for i, have := range all {
		for j, need := range all {
			same(t, i >= j, have.Has(need))
		}
		same(t, false, have.Has(""))
		same(t, false, Role("").Has(have))
		same(t, false, Role("root").Has(have))
		parsed, err := ParseRole(string(have))
		must(t, err)
		same(t, have, parsed)
	}
	_, err := ParseRole("Admin")
	fails(t, err, CodeInvalidRequest)
}

// A role is that of now, in sessions that began before, whichever process
// changed it.
func TestRoleAtOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	b, other := openAt(t, path, c), openAt(t, path, c)
	add(t, b, "ann", RoleAdmin)
	add(t, b, "bob", RoleAdmin)
	in := signIn(t, b, "bob")
	calls := 0
	b.OnEnd(func() { calls++ })
	role := func() Role {
		s, err := b.Alive(t.Context(), in.Session.ID)
		must(t, err)
		return s.User.Role
	}
	must(t, b.SetRole(t.Context(), "bob", RoleViewer))
	same(t, 1, calls)
	same(t, RoleViewer, role())
	must(t, other.SetRole(t.Context(), "bob", RoleOperator))
	same(t, RoleOperator, role())
	fails(t, b.SetRole(t.Context(), "bob", "root"), CodeInvalidRequest)
	fails(t, b.SetRole(t.Context(), "nobody", RoleViewer), CodeUserNotFound)
	same(t, RoleOperator, role())
}

func TestLastAdmin(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	in := signIn(t, b, "ann")
	fails(t, b.Remove(t.Context(), "ann"), CodeLastAdmin)
	fails(t, b.SetRole(t.Context(), "ann", RoleOperator), CodeLastAdmin)
	must(t, b.SetRole(t.Context(), "ann", RoleAdmin))
	same(t, true, alive(t, b, in))
	must(t, b.SetRole(t.Context(), "bob", RoleAdmin))
	must(t, b.Remove(t.Context(), "ann"))
	same(t, false, alive(t, b, in))
	fails(t, b.Remove(t.Context(), "ann"), CodeUserNotFound)
	fails(t, b.Remove(t.Context(), "bob"), CodeLastAdmin)
}

// Two admins that remove each other at once, from two processes, leave one.
func TestLastAdminOfTwo(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "web.db")
	books := []*Book{openAt(t, path, c), openAt(t, path, c)}
	names := []string{"ann", "bob"}
	for _, name := range names {
		add(t, books[0], name, RoleAdmin)
	}
	errs := make([]error, 2)
	var group sync.WaitGroup
	for i := range books {
		group.Go(func() { errs[i] = books[i].Remove(t.Context(), names[i]) })
	}
	group.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("%v", errs)
	}
	fails(t, errors.Join(errs...), CodeLastAdmin)
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	bob, ann := signIn(t, b, "bob"), signIn(t, b, "ann")
	same(t, "password", fails(t, b.SetPassword(t.Context(), "bob", "short"), CodeInvalidRequest).Field)
	fails(t, b.SetPassword(t.Context(), "nobody", good), CodeUserNotFound)
	same(t, true, alive(t, b, bob))
	must(t, b.SetPassword(t.Context(), "bob", "another horse"))
	same(t, []bool{false, true}, []bool{alive(t, b, bob), alive(t, b, ann)})
	_, err := b.SignIn(t.Context(), "bob", good, home)
	fails(t, err, CodeWrongCredentials)
	_, err = b.SignIn(t.Context(), "bob", "another horse", home)
	must(t, err)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	mine, other, ann := signIn(t, b, "bob"), signIn(t, b, "bob"), signIn(t, b, "ann")
	change := func(current, next string) error {
		return b.ChangePassword(t.Context(), &mine.Session, current, next)
	}
	same(t, "new", fails(t, change(good, "short"), CodeInvalidRequest).Field)
	for range 10 {
		same(t, "current", fails(t, change("wrong horse", "another horse"), CodeWrongCredentials).Field)
	}
	fails(t, change(good, "another horse"), CodeTooManyAttempts)
	b.limits = newLimits(b.now)
	must(t, change(good, "another horse"))
	same(t, []bool{true, false, true}, []bool{alive(t, b, mine), alive(t, b, other), alive(t, b, ann)})
	must(t, b.SignOut(t.Context(), mine.Session.ID))
	if err := change("another horse", good); !errors.Is(err, ErrNoSession) {
		t.Errorf("a session that ended changes a password: %v", err)
	}
}

// A session that lives in memory changes its password as soon as the disk
// takes it, and goes on.
func TestChangePasswordFromMemory(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	mend := refuse(t, b)
	in := signIn(t, b, "bob")
	fails(t, b.ChangePassword(t.Context(), &in.Session, good, "another horse"), CodeStorage)
	mend()
	must(t, b.ChangePassword(t.Context(), &in.Session, good, "another horse"))
	same(t, true, alive(t, b, in))
}

// A password that changes while it is checked lets nobody in.
func TestPasswordChangesMeanwhile(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	c, err := b.credential(t.Context(), "bob")
	must(t, err)
	must(t, b.SetPassword(t.Context(), "bob", "another horse"))
	_, err = b.start(t.Context(), c.user, c.version, home, newDevice(c.user))
	fails(t, err, CodeWrongCredentials)
}
