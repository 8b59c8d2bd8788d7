package store

import (
	"context"
	"math"
	"strconv"
	"time"

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

// Check is what came of the last time that Steam was asked for its newest build.
type Check struct {
	Latest string    // the build, digits; empty: not known
	At     time.Time // zero: never
}

// LastCheck returns what SetLastCheck stored.
func (s *Store) LastCheck(ctx context.Context) (c Check, err error) {
	var build, at int64
	err = s.readers.QueryRowContext(ctx, `SELECT coalesce(max(iif(key = 'latest_build', value, NULL)), 0), coalesce(max(iif(key = 'checked_at', value, NULL)), 0)
		FROM meta`).Scan(&build, &at)
	if err != nil {
		return c, s.fail("read the last check for updates", err)
	}
	if build > 0 {
		c.Latest = strconv.FormatInt(build, 10)
	}
	if at > 0 {
		c.At = time.UnixMicro(at).UTC()
	}
	return c, nil
}

// SetLastCheck stores the newest build, which server.IsBuild allows, and when
// Steam told of it.
func (s *Store) SetLastCheck(ctx context.Context, c Check) error {
	build, err := strconv.ParseInt(c.Latest, 10, 64)
	if err != nil {
		return server.Errorf(server.CodeInternal, "cannot store %s as a build: it is no number", server.Quote(c.Latest, 40))
	}
	return s.write(ctx, "store the last check for updates", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `INSERT OR REPLACE INTO meta (key, value) VALUES ('latest_build', ?), ('checked_at', ?)`, build, c.At.UnixMicro())
		return err
	})
}
