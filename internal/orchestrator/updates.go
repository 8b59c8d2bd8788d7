package orchestrator

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// Updates says which build is installed and which is the newest, from memory.
func (o *Orchestrator) Updates() server.Updates {
	o.mu.RLock()
	defer o.mu.RUnlock()
	g := &o.game
	u := server.Updates{InstalledBuild: g.build, InstalledAt: g.builtAt, LatestBuild: g.checked.Latest, CheckedAt: g.checked.At}
	if u.InstalledBuild != "" && u.LatestBuild != "" {
		differs := u.InstalledBuild != u.LatestBuild
		u.UpdateAvailable = &differs
	}
	return u
}

// readBuild reads which build is installed.
func (o *Orchestrator) readBuild() {
	build, at := o.Files.Build()
	o.mu.Lock()
	o.game.build, o.game.builtAt = build, at
	o.mu.Unlock()
}

// learn takes in what a unit said at its end. What was just installed is the
// newest, unless the unit said otherwise.
func (o *Orchestrator) learn(said server.InstallLine, installed bool) {
	o.readBuild()
	latest := said.Latest
	if installed && latest == "" {
		latest = o.Updates().InstalledBuild
	}
	if latest == "" {
		return
	}
	c := store.Check{Latest: latest, At: time.Now().UTC().Truncate(time.Microsecond)} // as the store keeps it
	if err := o.Store.SetLastCheck(o.jobsCtx, c); err != nil {
		o.Log.Error().Err(err).Msg("cannot store which build is the newest; the next check tells it again")
	}
	o.mu.Lock()
	o.game.checked = c
	o.mu.Unlock()
}

// Looks for a newer build begin some minutes after the daemon, and take no longer
// than this.
const (
	checkSoonest = 2 * time.Minute
	checkLimit   = 10 * time.Minute
)

// checking looks for a newer build now and then, for as long as ctx lasts.
func (o *Orchestrator) checking(ctx context.Context) {
	every := o.Settings.UpdateCheck
	if err := o.writeRequest(false); err != nil { // for whoever starts the unit by hand
		o.Log.Warn().Err(err).Msg("cannot write the request for the install unit")
	}
	if every <= 0 {
		return
	}
	wait := max(time.Until(o.Updates().CheckedAt.Add(every)), checkSoonest)
	for {
		// So that not all hosts of the world ask at the same minute.
		timer := time.NewTimer(wait + rand.N(every/10+time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = every
		if o.Updates().InstalledBuild != "" {
			o.checkNow(ctx)
		}
	}
}

// checkNow asks for the newest build, of which no job tells: what went wrong is
// for the log.
func (o *Orchestrator) checkNow(ctx context.Context) {
	select {
	case o.game.unit <- struct{}{}:
		defer func() { <-o.game.unit }()
	default:
		return // an install is under way, which finds out as well
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	w := &oneshot{
		o: o, unit: server.InstallCheckUnit, line: func(timedLine) {},
		note:  func() error { return nil },
		reach: func(do func() error) error { return do() },
	}
	said, err := w.run(ctx)
	if err == nil {
		o.learn(said, false)
		return
	}
	if o.jobsCtx.Err() != nil {
		return
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		_, _ = o.Units.Stop(o.jobsCtx, server.InstallCheckUnit)
	}
	o.forgetRun(server.InstallCheckUnit)
	level := zerolog.WarnLevel
	if errors.Is(err, &server.Error{Code: server.CodeSteamCMDMissing}) {
		level = zerolog.DebugLevel // who has put the game there without it may have no use for it
	}
	o.Log.WithLevel(level).Err(err).Msg("cannot find out whether there is a newer build of the game; trying again later")
}
