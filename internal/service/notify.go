package service

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// Ready tells systemd that the daemon serves; outside of a Type=notify unit, like
// Stopping, it does nothing.
func Ready(log zerolog.Logger) { notify(log, daemon.SdNotifyReady) }

// Stopping tells systemd that the daemon ends.
func Stopping(log zerolog.Logger) { notify(log, daemon.SdNotifyStopping) }

func notify(log zerolog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn().Err(err).Msg("cannot notify systemd")
	}
}

// Watchdog feeds systemd's watchdog, until ctx ends, for as long as the daemon's
// own check succeeds: when its parts are stuck, systemd restarts it. It returns at
// once where the unit has no watchdog.
func Watchdog(ctx context.Context, log zerolog.Logger, check func(context.Context) error) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("cannot read the watchdog's interval: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		patience, cancel := context.WithTimeout(ctx, interval/3)
		err := check(patience)
		cancel()
		if err != nil {
			log.Error().Err(err).Msg("the self-check failed; systemd restarts the daemon if it goes on")
			continue
		}
		notify(log, daemon.SdNotifyWatchdog)
	}
}
