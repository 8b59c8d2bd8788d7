package store

import (
	"context"
	"math"

	"github.com/left4med/left4med/internal/server"
)

// ReserveEventIDs sets n event ids aside, n at least 1, and returns the first
// of them. They are never handed out again, also not after a crash: the
// reservation is on the disk before it is returned. Ids grow; there are gaps
// where a daemon ended before it used all of its own.
func (s *Store) ReserveEventIDs(ctx context.Context, n uint64) (first uint64, err error) {
	if n == 0 || n > math.MaxInt32 {
		return 0, server.Errorf(server.CodeInternal, "cannot reserve %d event ids at once", n)
	}
	err = s.write(ctx, "reserve event ids", func(ctx context.Context, q querier) error {
		var next int64
		err := q.QueryRowContext(ctx, `UPDATE meta SET value = value + ? WHERE key = 'next_event' RETURNING value`, int64(n)).Scan(&next)
		first = uint64(next) - n
		return err
	})
	return first, err
}
