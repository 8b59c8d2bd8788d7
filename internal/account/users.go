package account

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// User is who may use the frontend.
type User struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name"`
	Role       Role       `json:"role"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSignIn *time.Time `json:"last_sign_in,omitempty"`
	Sessions   int        `json:"sessions"` // how many are not over
}

// Empty says that there is no user at all.
func (b *Book) Empty(ctx context.Context) (empty bool, err error) {
	err = b.db.Readers.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM users)`).Scan(&empty)
	return empty, b.fail("read the users", err)
}

// Users lists the users by name.
func (b *Book) Users(ctx context.Context) ([]User, error) {
	users, err := b.users(ctx)
	if err != nil {
		return nil, b.fail("read the users", err)
	}
	sessions, err := b.sessions(ctx, 0)
	if err != nil {
		return nil, b.fail("read the sessions", err)
	}
	count, last := map[int64]int{}, map[int64]time.Time{}
	for _, s := range sessions {
		count[s.User.ID]++
		if s.CreatedAt.After(last[s.User.ID]) {
			last[s.User.ID] = s.CreatedAt
		}
	}
	for i := range users {
		u := &users[i]
		u.Sessions = count[u.ID]
		// One that the disk does not have yet.
		if at := last[u.ID]; !at.IsZero() && (u.LastSignIn == nil || at.After(*u.LastSignIn)) {
			u.LastSignIn = &at
		}
	}
	return users, nil
}

func (b *Book) users(ctx context.Context) ([]User, error) {
	rows, err := b.db.Readers.QueryContext(ctx, `SELECT id, name, role, created_at, last_sign_in FROM users ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	users := []User{}
	for rows.Next() {
		var u User
		if err := scanUser(rows, &u, &u.ID); err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// Add makes a user.
func (b *Book) Add(ctx context.Context, name string, role Role, password string) (*User, error) {
	return b.add(ctx, "name", name, role, password, false)
}

// add makes a user; as the first one only if there is none.
func (b *Book) add(ctx context.Context, field, name string, role Role, password string, first bool) (*User, error) {
	if err := checkName(field, name); err != nil {
		return nil, err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return nil, err
	}
	if err := checkPassword("password", name, password); err != nil {
		return nil, err
	}
	hash, err := b.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	u := &User{Name: name, Role: role, CreatedAt: b.now()}
	err = b.write(ctx, "add the user", func(tx *sql.Tx) error {
		var some, taken bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users), EXISTS (SELECT 1 FROM users WHERE name = ?)`, name).Scan(&some, &taken); err != nil {
			return err
		}
		switch {
		case first && some:
			return errorf(CodeSetupRefused, "there are users already; sign in as one of them")
		case taken:
			return &Error{Code: CodeNameTaken, Field: field, Detail: "there is a user of this name already; choose another"}
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO users (name, role, password, created_at) VALUES (?, ?, ?, ?)`, name, role, hash, micros(u.CreatedAt))
		if err != nil {
			return err
		}
		u.ID, err = result.LastInsertId()
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// SetRole gives a user another role, which all of the user's sessions have at
// once.
func (b *Book) SetRole(ctx context.Context, name string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	return b.change(ctx, "change the role", name, func(tx *sql.Tx, id int64) error {
		if role != RoleAdmin {
			if err := keepAdmin(ctx, tx, id, name); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE users SET role = ? WHERE id = ?`, role, id)
		return err
	})
}

// SetPassword gives a user another password and ends all of the user's
// sessions.
func (b *Book) SetPassword(ctx context.Context, name, password string) error {
	if err := checkPassword("password", name, password); err != nil {
		return err
	}
	hash, err := b.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return b.change(ctx, "change the password", name, func(tx *sql.Tx, id int64) error {
		return newPassword(ctx, tx, id, hash, "")
	})
}

// Remove removes a user, whose sessions end.
func (b *Book) Remove(ctx context.Context, name string) error {
	return b.change(ctx, "remove the user", name, func(tx *sql.Tx, id int64) error {
		if err := keepAdmin(ctx, tx, id, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = ?`, id) // and sessions, by the schema
		return err
	})
}

// ChangePassword gives the session's user another password, if the current one
// is right, and ends all other sessions of the user.
func (b *Book) ChangePassword(ctx context.Context, s *Session, current, next string) error {
	if err := checkPassword("new", s.User.Name, next); err != nil {
		return err
	}
	give, err := take(b.limits.changes, s.ID)
	if err != nil {
		return err
	}
	c, err := b.credential(ctx, s.User.Name)
	if err != nil {
		return err
	}
	if c.user != s.User.ID {
		return ErrNoSession
	}
	ok, _, err := b.hasher.matches(ctx, b.hasher.known, c.hash, current)
	if err != nil {
		return err
	}
	if !ok {
		return &Error{Code: CodeWrongCredentials, Field: "current", Detail: "the current password is wrong; nothing was changed"}
	}
	give()
	hash, err := b.hasher.hash(ctx, next)
	if err != nil {
		return err
	}
	return b.change(ctx, "change the password", s.User.Name, func(tx *sql.Tx, id int64) error {
		// The password may have been changed by another in the meantime, and the
		// session may have ended.
		var still bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users AS u JOIN sessions AS s ON s.user_id = u.id
			WHERE u.id = ? AND u.password_version = ? AND s.id = ?)`, c.user, c.version, s.ID).Scan(&still); err != nil {
			return err
		}
		if !still {
			return ErrNoSession
		}
		return newPassword(ctx, tx, id, hash, s.ID)
	})
}

// change changes a user in one transaction; streams are told afterwards.
func (b *Book) change(ctx context.Context, doing, name string, do func(tx *sql.Tx, id int64) error) error {
	err := b.write(ctx, doing, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE name = ?`, name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return userNotFound(name)
		}
		if err != nil {
			return err
		}
		return do(tx, id)
	})
	if err == nil {
		b.ended()
	}
	return err
}

// newPassword stores a user's password and ends the sessions of the one before,
// but for one.
func newPassword(ctx context.Context, tx *sql.Tx, user int64, hash, keep string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE users SET password = ?, password_version = password_version + 1 WHERE id = ?`, hash, user); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ? AND id <> ?`, user, keep)
	return err
}

// keepAdmin refuses if there is no admin besides a user, who is one.
func keepAdmin(ctx context.Context, tx *sql.Tx, id int64, name string) error {
	var last bool
	err := tx.QueryRowContext(ctx, `SELECT role = 'admin' AND NOT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND id <> ?1)
		FROM users WHERE id = ?1`, id).Scan(&last)
	if err == nil && last {
		return errorf(CodeLastAdmin, "%s is the only admin; make another user one first", name)
	}
	return err
}
