package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"slices"
	"time"
)

// Session is one browser's being signed in. Its ID names it and is no secret;
// what the browser shows is SignedIn's Token.
type Session struct {
	ID        string
	User      User // as it is now; its sessions are not counted
	CSRF      string
	CreatedAt time.Time
	UsedAt    time.Time // to the minute
	ExpiresAt time.Time // if it is not used again
	Source    string    // the address it began from
	Agent     string    // the browser's own word, hostile
}

// live selects sessions with their users. There are none of a password that was
// changed since: they were deleted with the change.
const live = `SELECT s.id, s.user_id, s.csrf, s.created_at, s.used_at, s.source, s.agent,
	u.name, u.role, u.created_at, u.last_sign_in FROM sessions AS s JOIN users AS u ON u.id = s.user_id `

// Session finds the session of a token and counts as its use.
func (b *Book) Session(ctx context.Context, token string) (*Session, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 32 {
		return nil, ErrNoSession
	}
	sum := sha256.Sum256(raw)
	is := func(r record) bool { return subtle.ConstantTimeCompare(r.token[:], sum[:]) == 1 }
	return b.use(ctx, is, live+`WHERE s.token = ?`, sum[:])
}

// Alive finds a session by its ID, for a stream that it opened, and counts as
// its use.
func (b *Book) Alive(ctx context.Context, id string) (*Session, error) {
	return b.use(ctx, func(r record) bool { return r.id == id }, live+`WHERE s.id = ?`, id)
}

// use finds a session, in memory or on the disk, and notes that it was used.
func (b *Book) use(ctx context.Context, is func(record) bool, query string, arg any) (s *Session, err error) {
	// In this order: what is pending no more is on the disk.
	if r, ok := b.pending.find(is); ok {
		s, err = b.sessionOf(ctx, r)
	} else {
		s, err = scanSession(b.db.Readers.QueryRowContext(ctx, query, arg))
	}
	if errors.Is(err, sql.ErrNoRows) || err == nil && !b.lives(s) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, b.fail("read the session", err)
	}
	if now := b.now(); now.Sub(s.UsedAt) >= b.touch {
		s.UsedAt, s.ExpiresAt = now, b.expiry(s.CreatedAt, now)
		b.pending.use(s.ID, now)
		b.kick() // nobody waits for the disk
	}
	return s, nil
}

// lives completes a session by what is pending and says whether it is not over.
func (b *Book) lives(s *Session) bool {
	used, gone := b.pending.amend(s.ID, s.UsedAt)
	s.UsedAt, s.ExpiresAt = used, b.expiry(s.CreatedAt, used)
	return !gone && b.now().Before(s.ExpiresAt)
}

// expiry is when a session ends that is not used again.
func (b *Book) expiry(created, used time.Time) time.Time {
	idle, last := used.Add(b.idle), created.Add(b.max)
	if idle.Before(last) {
		return idle
	}
	return last
}

// sessionOf is the session of a record in memory, whose user is asked for as
// ever. sql.ErrNoRows: the user is gone, or has another password by now.
func (b *Book) sessionOf(ctx context.Context, r record) (*Session, error) {
	s := &Session{ID: r.id, CSRF: r.csrf, CreatedAt: r.created, UsedAt: r.used, Source: r.source, Agent: r.agent}
	s.User.ID = r.user
	row := b.db.Readers.QueryRowContext(ctx, `SELECT name, role, created_at, last_sign_in FROM users
		WHERE id = ? AND password_version = ?`, r.user, r.version)
	return s, scanUser(row, &s.User)
}

// scanner is a row of one or of many.
type scanner interface{ Scan(into ...any) error }

// scanSession reads a row of live.
func scanSession(row scanner) (*Session, error) {
	s := &Session{}
	var created, used int64
	err := scanUser(row, &s.User, &s.ID, &s.User.ID, &s.CSRF, &created, &used, &s.Source, &s.Agent)
	s.CreatedAt, s.UsedAt = timeOf(created), timeOf(used)
	return s, err
}

// scanUser reads name, role, created_at and last_sign_in, after other columns.
func scanUser(row scanner, u *User, before ...any) error {
	var created int64
	var last sql.NullInt64
	if err := row.Scan(append(before, &u.Name, &u.Role, &created, &last)...); err != nil {
		return err
	}
	u.CreatedAt = timeOf(created)
	if last.Valid {
		at := timeOf(last.Int64)
		u.LastSignIn = &at
	}
	return nil
}

// sessions lists the sessions that are not over, the most recently used first;
// those of all users for 0.
func (b *Book) sessions(ctx context.Context, userID int64) ([]Session, error) {
	begun := b.pending.ofUser(userID)
	rows, err := b.db.Readers.QueryContext(ctx, live+`WHERE ?1 = 0 OR s.user_id = ?1`, userID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all, stored := []Session{}, map[string]bool{}
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return nil, err
		}
		stored[s.ID] = true
		if b.lives(s) {
			all = append(all, *s)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, r := range begun {
		s, err := b.sessionOf(ctx, r)
		if errors.Is(err, sql.ErrNoRows) || stored[r.id] || err == nil && !b.lives(s) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *s)
	}
	slices.SortFunc(all, func(x, y Session) int {
		return cmp.Or(y.UsedAt.Compare(x.UsedAt), y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	return all, nil
}

// Sessions lists a user's sessions, the most recently used first.
func (b *Book) Sessions(ctx context.Context, userID int64) ([]Session, error) {
	if userID == 0 { // nobody's
		return []Session{}, nil
	}
	all, err := b.sessions(ctx, userID)
	return all, b.fail("read the sessions", err)
}

// SignOut ends a session. It always does: what the disk refuses is done in
// memory first.
func (b *Book) SignOut(ctx context.Context, id string) error {
	b.end(ctx, id)
	return nil
}

// EndSession ends a session of a user, like SignOut.
func (b *Book) EndSession(ctx context.Context, userID int64, id string) error {
	all, err := b.Sessions(ctx, userID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(s Session) bool { return s.ID == id }) {
		return errorf(CodeSessionNotFound, "there is no such session; it has ended already")
	}
	b.end(ctx, id)
	return nil
}

func (b *Book) end(ctx context.Context, id string) {
	b.pending.end(id)
	// What is not stored now is tried again, which the log tells.
	if b.settle(ctx) != nil {
		b.kick()
	}
	b.ended()
}
