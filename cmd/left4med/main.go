// Command left4med is the daemon: the one privileged part of the product. It
// wires the rooms together and has no knowledge of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/left4med/left4med/internal/service"
)

// version is set by the build.
var version = "0.0.0-dev"

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
		fmt.Fprintln(os.Stderr, "left4med:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("left4med", flag.ContinueOnError)
	configPath := flags.String("config", "/etc/left4me/left4med.toml", "the settings; a missing file means the defaults")
	socket := flags.String("socket", "", "listen on this unix socket, when not started by left4med.socket")
	state := flags.String("state", "/var/lib/left4med/state.db", "the database")
	data := flags.String("data", "/var/lib/left4me", "the game data")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *showVersion {
		fmt.Println("left4med", version)
		return nil
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	cfg, err := readConfig(*configPath)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("must run as root, since only root may speak to systemd's private socket; it is meant to be started by left4med.service")
	}
	log, flush := service.NewLog("left4med", cfg.Log.Level)
	defer flush()
	return serve(ctx, paths{socket: *socket, state: *state, data: *data}, cfg, log)
}
