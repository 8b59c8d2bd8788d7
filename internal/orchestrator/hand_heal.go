package orchestrator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/probe"
)

const (
	// handHang is for how long left4med-probe may answer nothing that it is asked. A
	// request's time is its own, so one that has too much to do says that (busy).
	handHang = 30 * time.Second
	// handRest is how long it is left alone after that: killing it did not help.
	handRest = 5 * time.Minute
	// handKill is how long systemd has for it.
	handKill = 5 * time.Second
)

// handHealer ends a left4med-probe that hangs, so that systemd starts another.
// Nobody else would: it has no watchdog, since it may open no unix socket to feed
// one with, and for systemd it runs. It keeps nothing that could be lost.
type handHealer struct {
	o    *Orchestrator
	kill func(context.Context) error // nil without a systemd

	mu    sync.Mutex
	since time.Time // the first of the requests whose time has passed; zero after any other
	last  time.Time // when it was ended last
}

func newHandHealer(o *Orchestrator) *handHealer {
	h := &handHealer{o: o}
	if o.Units != nil {
		h.kill = o.Units.KillProbe
	}
	return h
}

// note takes in what came of a request to left4med-probe, and ends it if it hangs.
// Whom nobody can reach does not: that is an operator's doing, or systemd's work.
func (h *handHealer) note(err error) {
	if errors.Is(err, context.Canceled) {
		return // who asked went away
	}
	rest, _ := h.o.faults.pace(handHang, 0)
	now := time.Now()
	h.mu.Lock()
	switch {
	case !hung(err):
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = now
	}
	due := h.kill != nil && !h.since.IsZero() && now.Sub(h.since) >= rest && (h.last.IsZero() || now.Sub(h.last) >= handRest)
	if due {
		h.since, h.last = time.Time{}, now
	}
	h.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(h.o.jobsCtx, handKill)
	defer cancel()
	if err := h.kill(ctx); err != nil {
		h.o.Log.Error().Err(err).Msg("left4med-probe hangs, and cannot be ended; systemctl kill --signal=SIGKILL left4med-probe.service may do it")
		return
	}
	h.o.Log.Warn().Msg("left4med-probe hung and was killed; systemd starts it again")
}

// hung says whether an error is that left4med-probe let a request's time pass.
func hung(err error) bool {
	var f *probe.Fault
	if errors.As(err, &f) {
		return f.Hung
	}
	return errors.Is(err, context.DeadlineExceeded)
}
