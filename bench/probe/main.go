// Command probe makes one of the measurements of package measure on the machine
// it runs on, and prints the result as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/left4med/left4med/bench/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

// run reads the servers' names from in, one a line.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: probe react|start|overlays|daemon [flags] <names")
	}
	flags := flag.NewFlagSet("probe "+args[0], flag.ContinueOnError)
	runs := flags.Int("runs", 100, "how often each is measured")
	idle := flags.Duration("idle", time.Minute, "how long the daemon is left alone")
	listing := flags.Duration("listing", 3*time.Second, "how long the list is read")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var names []string
	for lines := bufio.NewScanner(in); lines.Scan(); {
		names = append(names, lines.Text())
	}
	var result any
	var err error
	switch args[0] {
	case "react":
		result, err = measure.React(ctx, names, *runs)
	case "start":
		result, err = measure.StartMany(ctx, names, *runs)
	case "overlays":
		result, err = measure.MeasureOverlays(ctx, names, *runs)
	case "daemon":
		result, err = measure.MeasureDaemon(ctx, *idle, *listing, *runs)
	default:
		err = fmt.Errorf("unknown measurement %q", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}
