package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/bench/measure"
	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// size is how much is measured.
type size struct {
	servers, reactions    int // that run, and how often each act is measured on them
	batch, rounds         int // started together, and how often in each way
	stops                 int // how often the same number is stopped together in each way
	resyncs               int
	idle, listing         time.Duration
	reactLimit, eachLimit float64 // 0: not asserted
	oneLimit              float64
}

// ground is a machine with servers to measure on.
type ground struct {
	*host.Host
	names []string
}

const probeInside = "/usr/local/bin/left4med-bench-probe"

// newGround boots a machine with the product, the probe and so many servers,
// stopped.
func newGround(t testing.TB, release machine.Release, servers int) *ground {
	t.Helper()
	g := &ground{Host: host.New(t, release)}
	if err := g.UnmaskGenerators(t.Context()); err != nil {
		t.Fatal(err)
	}
	probe := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-trimpath", "-o", probe, "./probe")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the probe: %v\n%s", err, out)
	}
	if err := g.CopyIn(t.Context(), probe, probeInside); err != nil {
		t.Fatal(err)
	}
	c := g.Client()
	defer c.Close()
	var making errgroup.Group
	making.SetLimit(4)
	for i := range servers {
		name := fmt.Sprintf("bench-%03d", i+1)
		g.names = append(g.names, name)
		making.Go(func() error {
			job, err := c.Create(t.Context(), name, client.ConfigPatch{})
			if err == nil {
				job, err = c.WaitJob(t.Context(), job.ID)
			}
			if err == nil && job.State != client.JobSucceeded {
				err = fmt.Errorf("the job to create %s ended %s: %+v", name, job.State, job.Error)
			}
			return err
		})
	}
	if err := making.Wait(); err != nil {
		t.Fatal(err)
	}
	return g
}

// ctl runs l4d2ctl on servers.
func (g *ground) ctl(t testing.TB, verb string, names []string) {
	t.Helper()
	g.MustCtl(t, append([]string{verb}, names...)...)
}

// probeWithin bounds one measurement: the longest, 300 servers started one by
// one, takes about five minutes.
const probeWithin = 20 * time.Minute

// probe makes one measurement inside.
func probe[T any](t testing.TB, g *ground, names []string, args ...string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), probeWithin)
	defer cancel()
	cmd := g.Command(ctx, probeInside, args...)
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n"))
	out, err := machine.Output(cmd)
	if err != nil {
		t.Fatal(err)
	}
	var result T
	if err := json.NewDecoder(bytes.NewBufferString(out)).Decode(&result); err != nil {
		t.Fatalf("cannot read the probe's result: %v", err)
	}
	return result
}

// measureRelease measures all on one machine: first with all servers running,
// then with all stopped the start of some of them. It prints what was measured
// and fails the test where a limit is exceeded.
func measureRelease(t testing.TB, release machine.Release, s size) {
	t.Helper()
	g := newGround(t, release, max(s.servers, s.batch))
	r := &report{Release: release, Systemd: release.Systemd()}
	defer r.tell(t) // also what there is when the rest fails
	running := g.names[:s.servers]
	g.ctl(t, "start", running)
	if s.idle > 0 {
		r.Rows = append(r.Rows, daemonRows(probe[measure.Daemon](t, g, nil, "daemon",
			"-idle", s.idle.String(), "-listing", s.listing.String(), "-runs", fmt.Sprint(s.resyncs)))...)
	}
	reactions := probe[measure.Reactions](t, g, running, "react", "-runs", fmt.Sprint(s.reactions))
	r.Rows = append(r.Rows, reactionRows(reactions, s)...)
	g.ctl(t, "stop", running)
	batches := probe[[]measure.Batch](t, g, g.names[:s.batch], "start", "-runs", fmt.Sprint(s.rounds))
	r.Rows = append(r.Rows, batchRows(batches, s)...)
	for _, b := range batches {
		if b.Way == measure.ByLeft4med && b.Reloads != 1 {
			t.Errorf("%s: one l4d2ctl start of %d servers made systemd reload %d times instead of once", release, s.batch, b.Reloads)
		}
	}
	if s.stops > 0 {
		r.Rows = append(r.Rows, instanceRows(t, g, s)...)
	}
}

// measureInstances measures on a machine of its own what many instances of one
// installation cost.
func measureInstances(t testing.TB, release machine.Release, s size) {
	t.Helper()
	g := newGround(t, release, s.batch)
	r := &report{Release: release, Systemd: release.Systemd()}
	defer r.tell(t)
	r.Rows = instanceRows(t, g, s)
}

func instanceRows(t testing.TB, g *ground, s size) []row {
	t.Helper()
	return overlayRows(probe[measure.Overlays](t, g, g.names[:s.batch], "overlays", "-runs", fmt.Sprint(s.stops)), s)
}

// tell prints the report and fails the test where a limit is exceeded.
func (r *report) tell(t testing.TB) {
	t.Helper()
	if err := r.print(os.Stdout); err != nil {
		t.Error(err)
	}
	for _, over := range r.exceeded() {
		t.Error(over)
	}
}
