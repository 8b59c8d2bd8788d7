// Command left4med-probe is the network hand: the one part of the product that
// speaks IP. It asks games and posts to webhooks for left4med, on a socket that
// systemd passes (left4med-probe.socket) and root alone may use. It has no
// knowledge of its own and keeps nothing.
//
// It ends by itself when nobody has needed it for five minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/left4med/left4med/internal/hand"
	"github.com/left4med/left4med/internal/srcds"
)

// version is set by the build.
var version = "0.0.0-dev"

// idle is after how long without a connection the probe ends: systemd starts it
// again when it is wanted.
const idle = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // the end of journald at the other end of standard error is no reason to die
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "left4med-probe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("left4med-probe", flag.ContinueOnError)
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *showVersion {
		fmt.Println("left4med-probe", version)
		return nil
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	listener, err := passed()
	if err != nil {
		return err
	}
	games, err := srcds.NewQuerier(hand.Games)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, games.Close()) }()
	return hand.New(hand.Options{Games: games, Version: version, Logf: logf}).Serve(ctx, listener, idle)
}

// passed takes the socket that systemd passed.
func passed() (net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take over the socket of left4med-probe.socket: %w", err)
	}
	switch len(listeners) {
	case 0:
		return nil, errors.New("no socket was passed; `systemctl start left4med-probe.socket` has systemd start left4med-probe when it is needed")
	case 1:
	default:
		return nil, fmt.Errorf("left4med-probe.socket passed %d sockets; left4med-probe listens on one", len(listeners))
	}
	if l, ok := listeners[0].(*net.UnixListener); ok {
		return l, nil
	}
	return nil, errors.New("left4med-probe.socket passed something that is no unix stream socket; left4med-probe listens on no other")
}

// logf writes a warning for journald, which takes the priority from its beginning
// (sd-daemon(3)).
func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "<4>"+format+"\n", args...)
}
