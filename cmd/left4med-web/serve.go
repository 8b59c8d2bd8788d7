package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/live"
	"github.com/left4med/left4med/internal/service"
	"github.com/left4med/left4med/internal/web"
	page "github.com/left4med/left4med/web"
)

const (
	// shutdownGrace is how long requests may go on after the end was asked for.
	shutdownGrace = 5 * time.Second
	// followedLogs is how many servers' logs are followed at the daemon at once; it
	// and the requests that are relayed stay below what the daemon lets one uid have.
	followedLogs = 16
)

// serve serves browsers until ctx ends.
func (a *app) serve(ctx context.Context) (err error) {
	cfg, err := readConfig(a.config)
	if err != nil {
		return err
	}
	if err := becomeOwner(a.state); err != nil {
		return err
	}
	log, flush := service.NewLog("left4med-web", cfg.Log.Level)
	defer flush()
	book, err := account.Open(ctx, a.state, account.Options{
		Idle: cfg.Session.Idle.Duration, Max: cfg.Session.Max.Duration, Log: log, Hash: a.hash,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	listener, err := net.Listen("tcp", cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s, the [http] listen of the settings: %w", cfg.HTTP.Listen, err)
	}
	daemon := client.New(client.Options{Socket: cfg.Left4med.Socket, UserAgent: "left4med-web/" + version})
	consoles := live.NewConsoles(daemon, followedLogs)
	defer consoles.Close()
	hub := live.New(live.Options{Client: daemon, Log: log, OnDeleted: consoles.Deleted})
	srv := web.New(web.Options{
		Book: book, Hub: hub, Consoles: consoles, Client: daemon, Files: page.Files(),
		MetricsToken: cfg.Metrics.Token, TrustedProxies: cfg.proxies, Version: version, Log: log,
	})

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return hub.Run(ctx) })
	g.Go(func() error { return srv.Serve(listener) })
	g.Go(func() error {
		<-ctx.Done()
		service.Stopping(log)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		return srv.Shutdown(grace)
	})
	g.Go(func() error { return service.Watchdog(ctx, log, selfCheck(book, hub)) })
	service.Ready(log)
	log.Info().Str("version", version).Msg("ready on http://" + listener.Addr().String())
	if link := setupLink(listener.Addr(), book.SetupToken()); link != "" {
		log.Warn().Msg("nobody can sign in yet: open " + link + " once, or `left4med-web user add NAME --role admin`")
	}
	if a.listening != nil {
		a.listening(listener.Addr().String())
	}
	return g.Wait()
}

// setupLink is where the first admin is made; "" when there is no token for it.
func setupLink(addr net.Addr, token string) string {
	if token == "" {
		return ""
	}
	at := addr.String()
	if ap, err := netip.ParseAddrPort(at); err == nil && ap.Addr().IsUnspecified() {
		at = fmt.Sprintf("127.0.0.1:%d", ap.Port())
	}
	return "http://" + at + "/setup#" + token
}

// selfCheck says whether the parts that all requests pass still turn. A database
// that answers with an error is no reason to start anew: that ends the streams and
// mends nothing.
func selfCheck(book *account.Book, hub *live.Hub) func(context.Context) error {
	return func(ctx context.Context) error {
		hub.Link()
		_, _ = book.Empty(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("the users cannot be read in time: %w", ctx.Err())
		}
		return nil
	}
}
