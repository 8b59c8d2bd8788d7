package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
)

// From is where somebody signs in.
type From struct {
	Source netip.Addr
	Device string // the browser's cookie of an earlier SignedIn; may be anything
	Agent  string // what the browser calls itself
}

// SignedIn is a session that just began, with what the browser must keep.
type SignedIn struct {
	Token   string // the cookie's value; it is stored nowhere
	Device  string // likewise; the browser's proof that this user was there before
	Session Session
}

// maxAgent bounds what is kept of what a browser calls itself.
const maxAgent = 200

// SetupToken is what SetUp wants, once: a secret of this process. "" when there
// were users at Open already, or are by SetUp.
func (b *Book) SetupToken() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.setup
}

// SetUp makes the first user, an admin, and signs it in.
func (b *Book) SetUp(ctx context.Context, token, name, password string, from From) (*SignedIn, error) {
	give, err := take(b.limits.sources, sourceOf(from.Source))
	if err != nil {
		return nil, err
	}
	want := b.SetupToken()
	if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return nil, errorf(CodeSetupRefused, "this link is not valid, or was used already; the newest one is in the log (journalctl -u left4med-web), or use left4med-web user add")
	}
	give()
	u, err := b.add(ctx, "user", name, RoleAdmin, password, true)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.setup = ""
	b.mu.Unlock()
	return b.start(ctx, u.ID, 1, from, newDevice(u.ID))
}

// credential is what is stored of a user's password.
type credential struct {
	user    int64
	version int64
	hash    string // "" matches nothing
}

// credential reads what a user's password is checked against; that of nobody
// matches nothing.
func (b *Book) credential(ctx context.Context, name string) (c credential, err error) {
	err = b.db.Readers.QueryRowContext(ctx, `SELECT id, password_version, password FROM users WHERE name = ?`, name).
		Scan(&c.user, &c.version, &c.hash)
	if errors.Is(err, sql.ErrNoRows) {
		return credential{}, nil
	}
	return c, b.fail("read the user", err)
}

// SignIn begins a session. A wrong name and a wrong password take the same time
// and are told alike; only what fails counts against the budgets of attempts.
func (b *Book) SignIn(ctx context.Context, name, password string, from From) (*SignedIn, error) {
	c, err := b.credential(ctx, name)
	if err != nil {
		return nil, err
	}
	queue, known := b.hasher.stranger, (*device)(nil)
	d, ok := parseDevice(b.deviceKey, from.Device)
	if ok && c.user != 0 && d.user == c.user {
		queue, known = b.hasher.known, &d
	} else {
		d = newDevice(c.user)
	}
	give, err := b.limits.signIn(name, from, known)
	if err != nil {
		return nil, err
	}
	ok, outdated, err := b.hasher.matches(ctx, queue, c.hash, password)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrongCredentials()
	}
	s, err := b.start(ctx, c.user, c.version, from, d)
	if err != nil {
		return nil, err
	}
	give()
	if outdated {
		b.rehash(ctx, c, password)
	}
	return s, nil
}

func wrongCredentials() *Error {
	return errorf(CodeWrongCredentials, "the name or the password is wrong; check both and try again")
}

// start begins a session of a user whose password had a version. When the disk
// refuses it, it lives in memory.
func (b *Book) start(ctx context.Context, user, version int64, from From, d device) (*SignedIn, error) {
	raw := random(32)
	now := b.now()
	r := record{
		id: base64.RawURLEncoding.EncodeToString(random(12)), token: sha256.Sum256(raw),
		user: user, version: version, csrf: secret(), created: now, used: now, agent: cut(from.Agent),
	}
	if from.Source.IsValid() {
		r.source = from.Source.Unmap().String()
	}
	b.pending.begin(r)
	err := b.settle(ctx)
	if ctx.Err() != nil { // nobody will know the token
		b.pending.end(r.id)
		b.kick()
		return nil, ctx.Err()
	}
	if err != nil {
		b.log.Warn().Err(err).Msg("a session cannot be stored and is kept in memory")
		b.kick()
	}
	// Not if the user or the password has gone in the meantime.
	s, err := b.Alive(ctx, r.id)
	if errors.Is(err, ErrNoSession) {
		return nil, wrongCredentials()
	}
	if err != nil {
		return nil, err
	}
	return &SignedIn{Token: base64.RawURLEncoding.EncodeToString(raw), Device: d.cookie(b.deviceKey), Session: *s}, nil
}

// cut is what is kept of what a browser calls itself.
func cut(agent string) string {
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	return strings.ToValidUTF8(agent, "")
}

// rehash stores the password at the cost that new ones have. It is the same
// password, so sessions go on; when it fails, the next sign-in tries again.
func (b *Book) rehash(ctx context.Context, c credential, password string) {
	hash, err := b.hasher.hash(ctx, password)
	if err == nil {
		err = b.write(ctx, "store the password at the new cost", func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE users SET password = ? WHERE id = ? AND password_version = ? AND password = ?`, hash, c.user, c.version, c.hash)
			return err
		})
	}
	if err != nil {
		b.log.Warn().Err(err).Msg("a password keeps its old cost")
	}
}
