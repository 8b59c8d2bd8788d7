package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// birdcage makes a tree, /canary, outside of all servers that nothing may change. Its names are
// those that root would meet if it followed a link of a game there.
const birdcage = `
	mkdir -p /canary/left4dead2/cfg /canary/left4dead2/addons /canary/left4dead2/logs /canary/upper /canary/work/work /canary/merged /canary/inner /canary/shut
	for file in file left4dead2/cfg/server.cfg left4dead2/addons/a.vpk upper/file work/work/file shut/file; do echo "the canary's $file" >/canary/$file; done
	chown 1234:4321 /canary/left4dead2/cfg/server.cfg /canary/upper; chmod 640 /canary/file; chmod 4755 /canary/upper/file
	ln -s file /canary/link; ln /canary/file /canary/hard; mkfifo /canary/pipe; chmod 000 /canary/shut`

// birdcageList tells all there is to tell of it, and of the files in /etc, where
// links lead too.
const birdcageList = `find /canary -printf '%p %y %m %U:%G %n %s %T@ %C@ %l\n' | sort; find /canary -type f -exec sha256sum {} + | sort
	find /etc -xdev -type f -not -path '*left4me-*' -printf '%p %m %U:%G %n %s %T@ %C@\n' | sort`

// Each cycle takes every server down once, by a reset or by deleting and creating
// it, and changes its settings once while its game swaps.
const (
	swappers = 8
	cycles   = 13
	rounds   = 2 * swappers * cycles
)

// TestLinkRace lets games swap the directories and files of their trees for links
// that lead out, while their servers are deleted, created, reset and changed.
// Nothing outside changes, and the daemon does all it was asked for.
func TestLinkRace(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.configure(t, "[start]\nsettle = \"0s\"\n")
		// In an overlay, so that each start swaps from its first moment on.
		l.MustRun(t, "mkdir", "/var/lib/left4me/overlays/swap")
		l.write(t, "/var/lib/left4me/overlays/swap/standin.conf", "swap /canary\n")
		l.shell(t, birdcage)
		// systemd opens it to write when it gives a game its uid: that makes it a file
		// of the machine's own, where it was one of what the machine stands on.
		l.shell(t, ": >>/etc/.pwd.lock")
		before, daemon := l.shell(t, birdcageList), l.daemonRun(t)

		began := time.Now()
		w := &swapping{c: l.api(t), names: numbered("swap", swappers)}
		if err := w.work(t.Context()); err != nil {
			t.Error(err)
		}
		t.Logf("%s: %d rounds in %.0f s", release, rounds, time.Since(began).Seconds())
		swapped := l.shell(t, "journalctl --quiet --output=cat --unit='left4me-server@*' | grep -c '^swapping'")
		if number(t, strings.TrimSpace(swapped)) < rounds/2 {
			t.Errorf("games swapped in %s runs alone", swapped)
		}
		same(t, "the canary", before, l.shell(t, birdcageList))
		same(t, "the run of the daemon", daemon, l.daemonRun(t))
		for name := range l.moments(t) {
			l.MustCtl(t, "delete", "--yes", name)
		}
		same(t, "what is left of the servers", "", l.shell(t, "ls -A /var/lib/left4me/instances /var/lib/left4me/runtime | grep -v : | grep . || true"))
	})
}

// daemonRun tells one run of the daemon from another.
func (l *lab) daemonRun(t *testing.T) string {
	t.Helper()
	return l.systemctl(t, "show", "--property=MainPID,NRestarts,ActiveState", "left4med.service")
}

// swapping works on servers whose games swap.
type swapping struct {
	c     *client.Client
	names []string
}

func (w *swapping) work(ctx context.Context) error {
	if err := w.all(func(_ int, name string) error { return w.create(ctx, name) }); err != nil {
		return err
	}
	for cycle := range cycles {
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := w.cycle(ctx, cycle)
		cancel()
		if err != nil {
			return fmt.Errorf("cycle %d: %w", cycle, err)
		}
	}
	return nil
}

// cycle does each thing to all servers side by side, which is one reload.
func (w *swapping) cycle(ctx context.Context, cycle int) error {
	if err := w.act(ctx, client.ActionStart); err != nil {
		return err
	}
	err := w.all(func(_ int, name string) error {
		hostname := fmt.Sprintf("cycle %d", cycle)
		_, err := w.c.Change(ctx, name, client.ConfigPatch{Hostname: &hostname})
		return err
	})
	if err := errors.Join(err, w.c.Resync(ctx)); err != nil {
		return err
	}
	if cycle%3 == 0 { // on the layers as the swaps left them
		if err := w.act(ctx, client.ActionRestart); err != nil {
			return err
		}
	}
	return w.all(func(i int, name string) error {
		if (i+cycle)%2 == 0 {
			return w.do(ctx, name, w.c.Reset)
		}
		if err := w.do(ctx, name, w.c.Delete); err != nil {
			return err
		}
		return w.create(ctx, name)
	})
}

func (w *swapping) all(do func(i int, name string) error) error {
	var g errgroup.Group
	for i, name := range w.names {
		g.Go(func() error { return do(i, name) })
	}
	return g.Wait()
}

func (w *swapping) create(ctx context.Context, name string) error {
	return w.do(ctx, name, func(ctx context.Context, name string) (*client.Job, error) {
		return w.c.Create(ctx, name, client.ConfigPatch{Overlays: &[]string{"swap"}})
	})
}

// do asks for a job and wants it to succeed.
func (w *swapping) do(ctx context.Context, name string, ask func(context.Context, string) (*client.Job, error)) error {
	job, err := ask(ctx, name)
	if err != nil {
		return err
	}
	return w.succeeds(ctx, *job)
}

// act does the same to all servers by one request.
func (w *swapping) act(ctx context.Context, action client.Action) error {
	result, err := w.c.Actions(ctx, action, w.names)
	if err != nil {
		return err
	}
	for _, job := range result.Jobs {
		err = errors.Join(err, w.succeeds(ctx, job))
	}
	return err
}

func (w *swapping) succeeds(ctx context.Context, job client.Job) error {
	ended, err := w.c.WaitJob(ctx, job.ID)
	if err != nil {
		return err
	}
	if ended.State != client.JobSucceeded {
		return fmt.Errorf("the %s of %s is %s: %+v", ended.Kind, ended.Server, ended.State, ended.Error)
	}
	return nil
}
