package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/busapi"
	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/metrics"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/service"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// paths are where the daemon finds things.
type paths struct{ socket, state, data string }

// shutdownGrace is how long requests may go on after the daemon was told to
// end.
const shutdownGrace = 5 * time.Second

// busPatience is how long the daemon waits for the bus before it reports ready
// all the same: nothing else needs it. Joining it takes milliseconds.
const busPatience = 2 * time.Second

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, p paths, cfg config, log zerolog.Logger) (err error) {
	listeners, err := listen(p.socket)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, p.state, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	logs := journal.New("journalctl")
	meter := metrics.NewMeter()
	orch, err := newOrchestrator(ctx, p, cfg, db, logs, meter, log)
	if err != nil {
		return err
	}
	accounts, polkit := authz.SystemAccounts(), authz.NewPolkit("")
	defer polkit.Close()
	gate := authz.NewGate(accounts, polkit, orch.RecordRefusal)
	bus := busapi.New(busapi.Options{Backend: orch, Gate: gate, Accounts: accounts, Log: log, Version: version})
	orch.Checks = []func(context.Context) server.Check{
		func(context.Context) server.Check { return bus.Check() },
		polkit.Check,
	}
	if holdsAddress(cfg.settings().Alerts) {
		check := checkSettings(cfg.path)
		orch.Checks = append(orch.Checks, check)
		if c := check(ctx); !c.OK {
			log.Warn().Msg(cfg.path + ": " + c.Found + "; " + c.Cure)
		}
	}
	srv := api.NewServer(api.New(api.Options{
		Backend: orch, Gate: gate, Accounts: accounts, Journal: api.Journal{Reader: logs}, Log: log,
		Metrics: metrics.New(metrics.Options{Source: orch, Meter: meter, Version: version}),
	}), api.ServerOptions{Log: log})

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return orch.Run(ctx, func() {
			for _, l := range listeners {
				g.Go(func() error { return srv.Serve(l) })
			}
			g.Go(func() error { return bus.Run(ctx) })
			select { // so that who waited for left4med finds it on the bus, too
			case <-bus.Tried():
			case <-time.After(busPatience):
			case <-ctx.Done():
			}
			service.Ready(log)
			log.Info().Str("version", version).Msg("ready")
		})
	})
	g.Go(func() error {
		<-ctx.Done()
		service.Stopping(log)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		return srv.Shutdown(grace)
	})
	g.Go(func() error { return service.Watchdog(ctx, log, orch.SelfCheck) })
	err = g.Wait()
	orch.FlushRefusals(context.WithoutCancel(ctx))
	return err
}

func newOrchestrator(ctx context.Context, p paths, cfg config, db *store.Store, logs *journal.Reader, meter *metrics.Meter, log zerolog.Logger) (*orchestrator.Orchestrator, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("cannot read the host's name: %w", err)
	}
	boot, err := bootID("/proc")
	if err != nil {
		return nil, err
	}
	orch := orchestrator.New(orchestrator.Options{
		Settings: cfg.settings(),
		Units:    unitctl.New(unitctl.Options{Log: log}),
		Store:    db,
		Files:    instance.New(p.data),
		Logs:     logs,
		Probe:    probe.New(probe.Socket),
		Log:      log,
		Meter:    meter,
		Version:  version,
		Host:     host,
		BootID:   boot,
		Capacity: func() server.Capacity { return capacity("/") },

		RequestFile: filepath.Join(filepath.Dir(p.state), "install.json"),
	})
	return orch, orch.Load(ctx)
}

// listen takes the sockets that systemd passed, or makes the one named on the
// command line.
func listen(path string) ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take over the sockets of left4med.socket: %w", err)
	}
	var listeners []net.Listener
	for _, l := range passed {
		if l == nil {
			return nil, errors.New("left4med.socket passed something that is no stream socket; left4med listens on unix stream sockets alone")
		}
		if _, ok := l.(*net.UnixListener); !ok {
			return nil, fmt.Errorf("left4med.socket passed %s, which is no unix socket; left4med opens no network socket", l.Addr())
		}
		listeners = append(listeners, l)
	}
	switch {
	case len(listeners) > 0 && path != "":
		return nil, errors.New("-socket is for running without left4med.socket; systemd passed a socket already")
	case len(listeners) > 0:
		return listeners, nil
	case path == "":
		return nil, errors.New("no socket was passed; `systemctl start left4med.socket left4med` starts the daemon, -socket PATH is for running it by hand")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // every request passes the gate
		return nil, errors.Join(fmt.Errorf("cannot open the socket to all users: %w", err), l.Close())
	}
	return []net.Listener{l}, nil
}
