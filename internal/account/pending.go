package account

import (
	"context"
	"database/sql"
	"maps"
	"sync"
	"time"
)

// maxPending bounds the sessions that wait for a disk.
const maxPending = 1000

// perUser is how many sessions a user has; one more ends the one that was used
// the longest ago.
const perUser = 100

// record is a session as it is stored.
type record struct {
	id      string
	token   [32]byte
	user    int64
	version int64 // of the user's password, when it began
	csrf    string
	created time.Time
	used    time.Time
	source  string
	agent   string
}

// pending is what the disk does not have yet: sessions that began, that ended,
// and when some were used. It counts above what the disk says.
type pending struct {
	mu    sync.Mutex
	begun map[string]record
	order []string // of begun, the oldest first
	gone  map[string]bool
	used  map[string]time.Time
}

func newPending() *pending {
	return &pending{begun: map[string]record{}, gone: map[string]bool{}, used: map[string]time.Time{}}
}

func (p *pending) begin(r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun[r.id] = r
	p.order = append(p.order, r.id)
	if len(p.order) > maxPending {
		delete(p.begun, p.order[0])
		p.order = p.order[1:]
	}
}

func (p *pending) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.begun, id)
	delete(p.used, id)
	p.gone[id] = true
}

func (p *pending) use(id string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone[id] {
		p.used[id] = at
	}
}

// find looks for a session that began.
func (p *pending) find(is func(record) bool) (record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.begun {
		if is(r) {
			return r, true
		}
	}
	return record{}, false
}

// ofUser lists the sessions of a user that began; those of all for 0.
func (p *pending) ofUser(id int64) (rs []record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.begun {
		if id == 0 || r.user == id {
			rs = append(rs, r)
		}
	}
	return rs
}

// amend says what is known of a stored session beyond the disk.
func (p *pending) amend(id string, used time.Time) (_ time.Time, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.used[id]; ok && at.After(used) {
		used = at
	}
	return used, p.gone[id]
}

func (p *pending) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.begun)+len(p.gone)+len(p.used) == 0
}

// batch is a copy of all that is pending.
func (p *pending) batch() *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &pending{begun: maps.Clone(p.begun), gone: maps.Clone(p.gone), used: maps.Clone(p.used)}
}

// stored forgets what is on the disk by now.
func (p *pending) stored(batch *pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range batch.begun {
		delete(p.begun, id)
	}
	for id := range batch.gone {
		delete(p.gone, id)
	}
	for id, at := range batch.used {
		if p.used[id].Equal(at) {
			delete(p.used, id)
		}
	}
	order := p.order[:0]
	for _, id := range p.order {
		if _, ok := p.begun[id]; ok {
			order = append(order, id)
		}
	}
	p.order = order
}

// store writes a batch and drops the sessions that are over. A session whose
// user is gone, or has another password by now, is not stored: it is over, too.
func (b *Book) store(ctx context.Context, tx *sql.Tx, batch *pending) error {
	for id, at := range batch.used {
		if _, err := tx.ExecContext(ctx, `UPDATE sessions SET used_at = max(used_at, ?) WHERE id = ?`, micros(at), id); err != nil {
			return err
		}
	}
	for id := range batch.gone {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, id); err != nil {
			return err
		}
	}
	for _, r := range batch.begun {
		if at, ok := batch.used[r.id]; ok {
			r.used = at
		}
		if err := insert(ctx, tx, r); err != nil {
			return err
		}
	}
	if len(batch.begun) == 0 {
		return nil
	}
	now := b.now()
	_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE created_at <= ? OR used_at <= ?`, micros(now.Add(-b.max)), micros(now.Add(-b.idle)))
	return err
}

func insert(ctx context.Context, tx *sql.Tx, r record) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, token, user_id, csrf, created_at, used_at, source, agent)
		SELECT ?, ?, id, ?, ?, ?, ?, ? FROM users WHERE id = ? AND password_version = ? ON CONFLICT DO NOTHING`,
		r.id, r.token[:], r.csrf, micros(r.created), micros(r.used), r.source, r.agent, r.user, r.version)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE users SET last_sign_in = max(ifnull(last_sign_in, 0), ?) WHERE id = ?`, micros(r.created), r.user); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ?1 AND id NOT IN
		(SELECT id FROM sessions WHERE user_id = ?1 ORDER BY used_at DESC, created_at DESC, id = ?2 DESC LIMIT ?3)`, r.user, r.id, perUser)
	return err
}
