// Command base builds the base trees of the machines that tests, benches and
// the demo boot, and those of virtual machines, or checks that they are there:
// base [RELEASE...], by default all of them. It prints each tree's path.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/test/machine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "base:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	releases := machine.Releases()
	if len(names) > 0 {
		releases = nil
		for _, name := range names {
			release, err := machine.ParseRelease(name)
			if err != nil {
				return err
			}
			releases = append(releases, release)
		}
	}
	if err := machine.CheckHost(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx) // each waits for the network now and then
	for _, release := range releases {
		for _, ensure := range []func(context.Context, machine.Release, io.Writer) (string, error){
			machine.EnsureBase, machine.EnsureVirtual,
		} {
			g.Go(func() error {
				dir, err := ensure(ctx, release, os.Stderr)
				if err == nil {
					fmt.Println(dir)
				}
				return err
			})
		}
	}
	return g.Wait()
}
