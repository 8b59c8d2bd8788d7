package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// scenario is a request that makes jobs, with what stands before and after it.
type scenario struct {
	name    string
	prepare func(t *testing.T, h *crashHost, c *client.Client)
	ask     func(t *testing.T, h *crashHost, c *client.Client) error
	settle  func(t *testing.T, h *crashHost, c *client.Client) // waits for what comes of it by itself; nil when jobs alone do
	check   func(t *testing.T, h *crashHost, servers map[string]client.Server, cursor string)
}

func scenarios() []scenario {
	pair := []string{"a", "b"}
	actions := func(action client.Action) func(*testing.T, *crashHost, *client.Client) error {
		return func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.Actions(t.Context(), action, pair)
			return err
		}
	}
	acted := func(action client.Action) func(t *testing.T, h *crashHost, c *client.Client) {
		return func(t *testing.T, h *crashHost, c *client.Client) { h.act(t, c, action, pair...) }
	}
	oneRun := func(t *testing.T, h *crashHost, servers map[string]client.Server, cursor string) {
		h.checkOneRun(t, servers, cursor, pair)
	}
	return []scenario{{
		name: "create",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			if _, err := c.Server(t.Context(), "x"); err == nil {
				h.remove(t, c, "x")
			}
		},
		ask: func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.Create(t.Context(), "x", client.ConfigPatch{})
			return err
		},
		check: func(t *testing.T, _ *crashHost, servers map[string]client.Server, _ string) {
			if s, ok := servers["x"]; !ok || s.State != client.StateStopped || s.Desired != client.DesiredStopped {
				t.Errorf("x is there: %v, and is %+v; want it stopped", ok, s)
			}
		},
	}, {
		name: "start", prepare: acted(client.ActionStop), ask: actions(client.ActionStart), check: oneRun,
	}, {
		name: "restart",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			h.act(t, c, client.ActionStop, pair...)
			h.act(t, c, client.ActionStart, pair...)
		},
		ask: actions(client.ActionRestart), check: oneRun,
	}, {
		name: "stop", prepare: acted(client.ActionStart), ask: actions(client.ActionStop),
		check: func(t *testing.T, _ *crashHost, servers map[string]client.Server, _ string) {
			for _, name := range pair {
				if s := servers[name]; s.State != client.StateStopped || s.Desired != client.DesiredStopped {
					t.Errorf("%s is %s and %s, want it stopped and disabled", name, s.State, s.Desired)
				}
			}
		},
	}, {
		name: "reset",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			h.act(t, c, client.ActionStart, "a")
			h.MustRun(t, "touch", written("a"))
		},
		ask: func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.Reset(t.Context(), "a")
			return err
		},
		check: func(t *testing.T, h *crashHost, servers map[string]client.Server, _ string) {
			if s := servers["a"]; s.State != client.StateStopped || s.Desired != client.DesiredStopped {
				t.Errorf("a is %s and %s, want it stopped and disabled", s.State, s.Desired)
			}
			if h.Run(t.Context(), "test", "-e", written("a")) == nil {
				t.Error("what the game wrote is there after the reset")
			}
		},
	}, {
		name: "delete",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			if _, err := c.Server(t.Context(), "x"); err != nil {
				h.create(t, c, "x")
			}
			h.act(t, c, client.ActionStart, "x")
		},
		ask: func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.Delete(t.Context(), "x")
			return err
		},
		check: func(t *testing.T, _ *crashHost, servers map[string]client.Server, _ string) {
			if s, there := servers["x"]; there {
				t.Errorf("x is there still: %+v", s)
			}
		},
	}, adoption(), disabling(), healing()}
}

// adoption makes a server of files that are left of one.
func adoption() scenario {
	return scenario{
		name: "adopt",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			if _, err := c.Server(t.Context(), "x"); err != nil {
				h.create(t, c, "x")
			}
			const at = "/var/lib/left4me"
			h.MustRun(t, "cp", "-a", "--parents", at+"/instances/x", at+"/runtime/x", "/root")
			h.remove(t, c, "x")
			h.MustRun(t, "cp", "-a", "/root"+at, "/var/lib")
			h.MustRun(t, "rm", "-r", "/root/var")
			h.orphan(t, c, "x")
		},
		ask: func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.Adopt(t.Context(), unitName("x"))
			return err
		},
		check: func(t *testing.T, _ *crashHost, servers map[string]client.Server, _ string) {
			if s, there := servers["x"]; !there || s.State != client.StateStopped || s.Desired != client.DesiredStopped {
				t.Errorf("x is there: %v, and is %+v; want it adopted", there, s)
			}
		},
	}
}

// disabling takes the link of no server away.
func disabling() scenario {
	return scenario{
		name: "disable-orphan",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			if _, err := c.Server(t.Context(), "x"); err == nil {
				h.remove(t, c, "x")
			}
			h.MustRun(t, "systemctl", "enable", "--quiet", unitName("x"))
			h.orphan(t, c, "x")
		},
		ask: func(t *testing.T, _ *crashHost, c *client.Client) error {
			_, err := c.DisableOrphan(t.Context(), unitName("x"))
			return err
		},
		check: func(t *testing.T, _ *crashHost, servers map[string]client.Server, _ string) {
			if s, there := servers["x"]; there {
				t.Errorf("a server was made of it: %+v", s)
			}
		},
	}
}

// remove deletes a server and waits.
func (h *crashHost) remove(t *testing.T, c *client.Client, name string) {
	t.Helper()
	job, err := c.Delete(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	h.ended(t, c, *job)
}

// orphan wants this orphan to be known and no other.
func (h *crashHost) orphan(t *testing.T, c *client.Client, name string) {
	t.Helper()
	if err := c.Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	orphans, err := c.Orphans(t.Context())
	if err != nil || len(orphans) != 1 || orphans[0].Name != name {
		t.Fatalf("the orphans are %+v (%v), want %s", orphans, err, name)
	}
}

// healing is a start that nobody asks for: of a server that another hand stops.
func healing() scenario {
	var before *client.Server
	return scenario{
		name: "heal",
		prepare: func(t *testing.T, h *crashHost, c *client.Client) {
			if _, err := c.Server(t.Context(), "h"); err != nil {
				job, err := c.Create(t.Context(), "h", client.ConfigPatch{Heal: new(client.HealAlways)})
				if err != nil {
					t.Fatal(err)
				}
				h.ended(t, c, *job)
			}
			h.act(t, c, client.ActionStart, "h")
		},
		ask: func(t *testing.T, h *crashHost, c *client.Client) (err error) {
			before, err = c.Server(t.Context(), "h")
			h.MustRun(t, "systemctl", "stop", unitName("h"))
			return err
		},
		settle: func(t *testing.T, h *crashHost, c *client.Client) { h.awaitOtherRun(t, c, "h", before.InvocationID) },
		check: func(t *testing.T, h *crashHost, servers map[string]client.Server, cursor string) {
			h.checkOneRun(t, servers, cursor, []string{"h"})
		},
	}
}

// written is a file in the upper layer of a server.
func written(name string) string { return "/var/lib/left4me/runtime/" + name + "/upper/written" }

// Wherever the daemon is killed right after it made something lasting, the next
// one ends the job as if nothing had happened. The points are found by watching
// each scenario once; that none is left out is checked against the source.
func TestKilledAfterEachRecordedStep(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		began := time.Now()
		h := newCrashHost(t, release)
		h.write(t, "/etc/left4me/left4med.toml", "[start]\nsettle = \"100ms\"\n[heal]\nfirst = \"1s\"\n")
		h.useFaultyDaemon(t)
		c := h.api(t)
		h.create(t, c, "a", "b")
		seen, kills := map[string]bool{"deletion taken back": true}, 0 // TestResumedJobsGiveWay has that one
		for _, s := range scenarios() {
			for _, point := range h.watch(t, c, s) {
				seen[point.name] = true
				t.Run(fmt.Sprintf("%s/%s/%d", s.name, strings.ReplaceAll(point.name, " ", "-"), point.nth), func(t *testing.T) {
					h.runKilled(t, c, s, point)
				})
				kills++
			}
		}
		if diff := cmp.Diff(pointsInSource(t), slices.Sorted(maps.Keys(seen))); diff != "" {
			t.Errorf("points in the source and points where the daemon was killed (-source +killed):\n%s", diff)
		}
		restarts := strings.TrimSpace(h.MustRun(t, "systemctl", "show", "--value", "--property=NRestarts", "left4med.service"))
		t.Logf("%s: killed at %d places in %.0f s; systemd restarted it %s times", release, kills, time.Since(began).Seconds(), restarts)
	})
}

// point is the nth time that a scenario passes a fault point.
type point struct {
	name string
	nth  int
}

// watch runs the scenario unharmed and returns the points that it passes.
func (h *crashHost) watch(t *testing.T, c *client.Client, s scenario) []point {
	t.Helper()
	h.before(t, c, s)
	cursor := h.cursor(t)
	if err := s.ask(t, h, c); err != nil {
		t.Fatal(err)
	}
	if s.settle != nil {
		s.settle(t, h, c)
	}
	s.check(t, h, h.check(t, c), cursor)
	var points []point
	times := map[string]int{}
	for _, name := range h.reloaded(t) {
		times[name]++
		points = append(points, point{name, times[name]})
	}
	return points
}

// runKilled runs the scenario with the daemon killed at the point.
func (h *crashHost) runKilled(t *testing.T, c *client.Client, s scenario, p point) {
	h.before(t, c, s)
	victim, err := h.daemonProcess(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Release()
	h.arm(t, p.name, p.nth)
	cursor := h.cursor(t)
	if err := ignoreLost(s.ask(t, h, c)); err != nil {
		t.Fatal(err)
	}
	ctx := waitLimit(t, fmt.Sprintf("the daemon passes %q for the %d. time", p.name, p.nth))
	if err := awaitDeath(ctx, victim); err != nil {
		h.disarm(t)
		t.Fatal(err)
	}
	if s.settle != nil {
		s.settle(t, h, c)
	}
	s.check(t, h, h.check(t, c), cursor)
}

// before makes the scenario's ground ready, with the linker at rest.
func (h *crashHost) before(t *testing.T, c *client.Client, s scenario) {
	t.Helper()
	h.trace(t)
	s.prepare(t, h, c)
	h.reloaded(t)
	h.trace(t)
}

// trace begins a new record of the points that the daemon passes.
func (h *crashHost) trace(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(h.state("fault.trace"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reloaded returns the points passed since trace, once the linker has reloaded
// systemd after its last change: jobs end before that.
func (h *crashHost) reloaded(t *testing.T) []string {
	t.Helper()
	ctx := waitLimit(t, "the daemon reloads systemd after it changed links")
	for {
		text, err := os.ReadFile(h.state("fault.trace"))
		if err != nil {
			t.Fatal(err)
		}
		points := strings.Split(strings.TrimSpace(string(text)), "\n")
		if last := lastIndex(points, "links changed"); last < 0 || slices.Contains(points[last:], "reloaded") {
			return slices.DeleteFunc(points, func(p string) bool { return p == "" })
		}
		select { // a file tells nobody that it grew
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func lastIndex(points []string, name string) int {
	for i, p := range slices.Backward(points) {
		if p == name {
			return i
		}
	}
	return -1
}

// pointsInSource are the names in the orchestrator's calls of faults.pass.
func pointsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../internal/orchestrator/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of the orchestrator: %v", err)
	}
	call := regexp.MustCompile(`faults\.pass\("([^"]+)"\)`)
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
