package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// systemdPatience is how long a job waits for systemd to come back before what
// it was about to do fails. Re-executing itself takes PID 1 about a second at
// 1,000 running units.
const systemdPatience = 30 * time.Second

// unreached says that an answer is missing because there was no connection to
// systemd, or none any more.
func unreached(err error) bool {
	return errors.Is(err, unitctl.ErrConnectionLost) || errors.Is(err, unitctl.ErrNoConnection)
}

// reach does something that asks systemd, and does it again when the connection
// broke, as it does whenever systemd re-executes itself. do must be something
// that may be done twice.
func (r *run) reach(do func() error) error {
	ctx, cancel := context.WithTimeout(r.ctx, systemdPatience)
	defer cancel()
	for {
		err := do()
		if !unreached(err) {
			return err
		}
		waited := r.awaitSystemd(ctx)
		if cause := context.Cause(r.ctx); cause != nil {
			return cause // who interrupted the job is why it ends, not what it waited for
		}
		if waited != nil {
			return err
		}
	}
}

// awaitSystemd waits for a connection. The first look is a moment later: who
// asks has just found that there is none.
func (r *run) awaitSystemd(ctx context.Context) error {
	r.say("waiting for systemd")
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if r.o.Units.Connected() {
				return nil
			}
		}
	}
}

// connection tells one connection to systemd from another, and from none.
func (o *Orchestrator) connection() (c struct {
	connected  bool
	reconnects uint64
}) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	c.connected, c.reconnects = o.link.connected, o.link.reconnects
	return c
}

// storeRetry bounds the pause between attempts to write to a disk that refuses.
const storeRetry = 5 * time.Second

// insist writes what a job may not go on without, and keeps trying while the
// disk refuses, until end ends. Even then it is tried once: what is stored need
// not be done again at the daemon's next start.
func (o *Orchestrator) insist(end context.Context, doing string, write func(ctx context.Context) error) error {
	for wait := time.Second / 4; ; wait = min(2*wait, storeRetry) {
		err := write(context.WithoutCancel(end))
		if !errors.Is(err, &server.Error{Code: server.CodeStorage}) {
			return err
		}
		if wait == time.Second/4 {
			o.Log.Error().Err(err).Msg("cannot store " + doing + "; trying on")
		}
		select {
		case <-end.Done():
			return errors.Join(context.Cause(end), err)
		case <-time.After(wait):
		}
	}
}
