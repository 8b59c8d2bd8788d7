package store

import (
	"context"
	"errors"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/sqlite"
)

// write is one caller's change, waiting for the next commit.
type write struct {
	ctx  context.Context
	do   func(ctx context.Context, q querier) error
	err  error
	done chan struct{}
}

// maxBatch bounds how many writes share a commit, so that the first of them
// does not wait long for the others to be carried out.
const maxBatch = 512

// write has do carried out in a transaction and returns once that is on the
// disk. Until it was taken up, ctx can call it off; after that the answer is
// awaited, so the caller always knows whether it was done. do may be called
// twice and must then set its results anew; its own error undoes what it did,
// and nothing else.
func (s *Store) write(ctx context.Context, doing string, do func(ctx context.Context, q querier) error) error {
	w := &write{ctx: context.WithoutCancel(ctx), do: do, done: make(chan struct{})}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return server.Errorf(server.CodeShuttingDown, "cannot %s: left4med is shutting down; try again in a moment", doing)
	}
	<-w.done
	return s.fail(doing, w.err)
}

// writeLoop commits what waits until the store is closed.
func (s *Store) writeLoop() {
	for {
		select {
		case w := <-s.writes:
			s.commit(s.gather(w))
		case <-s.closing:
			return
		}
	}
}

// gather takes everything that waits beside first.
func (s *Store) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit carries out a batch in one transaction. When that fails as a whole
// (a full disk rolls everything back), each write is tried alone: what needs no
// space can still be done.
func (s *Store) commit(batch []*write) {
	retry, err := s.together(batch)
	switch {
	case retry && len(batch) > 1:
		for _, w := range batch {
			if _, err = s.together([]*write{w}); err != nil {
				w.err = err
			}
		}
	case err != nil:
		for _, w := range batch {
			w.err = err
		}
	}
	if err != nil {
		s.log.Error().Err(err).Int("writes", len(batch)).Msg("cannot commit to the database")
	}
	s.broken.Store(err != nil)
	for _, w := range batch {
		close(w.done)
	}
}

// errRolledBack means that SQLite undid the whole transaction after one
// write's error, as it does when the disk is full or fails
// (https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction).
var errRolledBack = errors.New("the transaction was rolled back")

// together carries out writes in one transaction. Its error is that of the
// transaction; a single write's goes to that write. retry says that smaller
// ones may succeed.
func (s *Store) together(batch []*write) (retry bool, err error) {
	ctx := context.Background()
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	for _, w := range batch {
		if err := s.one(ctx, w); err != nil {
			s.rollback(ctx)
			return true, err
		}
	}
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		s.rollback(ctx)
		return true, err
	}
	s.commits.Add(1)
	return false, nil
}

// one carries out a write within a savepoint. Its error is one that ends the
// whole transaction.
func (s *Store) one(ctx context.Context, w *write) error {
	if _, err := s.conn.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	if w.err = w.do(w.ctx, s.conn); w.err == nil {
		_, err := s.conn.ExecContext(ctx, "RELEASE one")
		return err
	}
	if !sqlite.InTransaction(s.conn) {
		return errors.Join(w.err, errRolledBack)
	}
	_, err := s.conn.ExecContext(ctx, "ROLLBACK TO one; RELEASE one")
	return err
}

func (s *Store) rollback(ctx context.Context) {
	if !sqlite.InTransaction(s.conn) {
		return
	}
	if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		s.log.Error().Err(err).Msg("cannot roll back a transaction of the database")
	}
}
