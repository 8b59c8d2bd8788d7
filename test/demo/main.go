// Command demo shows left4med's main job on a throw-away Debian with a real
// systemd: servers that run, a game killed and seen to fall within milliseconds,
// one stopped behind left4med's back, and a reboot after which exactly the
// servers that should run are back. `make demo` builds the package and runs it.
//
// Each step verifies what it shows. The exit status is 0 when every step showed
// what it should, 1 when one did not, 130 after Ctrl-C in the middle. On a
// terminal the machine stays up at the end, to look around in, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell reports a program that SIGINT ended
)

// errNotShown says that a step did not show what it should; the screen has told
// which.
var errNotShown = errors.New("not every step showed what it should")

func main() {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	name := flags.String("release", string(machine.Trixie), "the Debian `release` to boot: "+releases())
	if err := flags.Parse(os.Args[1:]); err != nil {
		os.Exit(exitUsage)
	}
	release, err := machine.ParseRelease(*name)
	if err != nil || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "demo:", errors.Join(err, unexpected(flags.Args())))
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = run(ctx, release, newScreen(os.Stdout))
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\nInterrupted. The machine is gone, and nothing of it is left.")
		os.Exit(exitInterrupted)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(exitFailed)
	}
}

func releases() string {
	var names []string
	for _, r := range machine.Releases() {
		names = append(names, string(r))
	}
	return strings.Join(names, " or ")
}

func unexpected(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q", args[0])
}

// run plays the steps on a machine of its own and clears it away, however it
// ends.
func run(ctx context.Context, release machine.Release, s *screen) (err error) {
	d := &demo{screen: s, release: release}
	defer func() {
		if d.host == nil {
			return
		}
		if d.page != nil {
			d.page.Close()
		}
		if closeErr := d.host.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	begun := time.Now()
	s.say("left4med on a Debian %s of its own: %d steps, each verified.", release, len(steps()))
	for i, step := range steps() {
		s.heading(i+1, step.title)
		if err := step.run(ctx, d); err != nil {
			if ctx.Err() == nil {
				s.verdict(false, "this step could not be carried out")
				d.failed++
			}
			return err
		}
	}
	d.sum(len(steps()), time.Since(begun))
	if isTerminal(os.Stdin) && isTerminal(s.out) {
		err = d.visit(ctx, os.Stdin)
	} else {
		s.say("")
		d.lookAround()
		s.say("The machine stays up for that on a terminal only; there is none here, so it is cleared away now.")
	}
	if d.failed > 0 {
		err = errors.Join(errNotShown, err)
	}
	return err
}
