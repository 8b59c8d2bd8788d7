package e2e_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/vm"
)

// virtualPatience is patience for a machine under emulation, where all takes
// twenty times as long.
const virtualPatience = 4 * time.Minute

// healPause is how long a healing waits there: longer than it takes to turn a
// clock.
const healPause = 20 * time.Second

// virtual is a virtual machine with the product on it.
type virtual struct {
	*vm.Machine
	api *client.Client
}

// TestVirtual is what a container cannot show: a kernel that kills for want of
// memory, a clock that jumps, and a power cut that loses what was not synced.
// All of it is one machine's day.
func TestVirtual(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := vm.New(t, release)
		v := &virtual{m, m.Client()}
		t.Cleanup(v.api.Close)
		v.write(t, "/etc/left4me/left4med.toml", fmt.Sprintf(
			"[start]\nsettle = \"1s\"\n[resync]\ninterval = \"15s\"\n[heal]\nfirst = \"%s\"\n", healPause))
		v.run(t, "systemctl", "restart", "left4med.service")
		v.create(t, "steady", client.ConfigPatch{})
		v.create(t, "idle", client.ConfigPatch{})
		v.start(t, "steady")

		for _, c := range []struct {
			name string
			test func(*testing.T, *virtual)
		}{
			{"OOMKill", virtualOOMKill},
			{"Limits", virtualLimits},
			{"ClockForward", func(t *testing.T, v *virtual) { virtualClock(t, v, "forward", time.Hour) }},
			{"ClockBack", func(t *testing.T, v *virtual) { virtualClock(t, v, "back", -time.Hour) }},
			{"PowerCut", virtualPowerCut},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, v) })
		}
	})
}

// virtualOOMKill lets a game take more memory than it may have: once, and again
// when systemd does not start it any more.
func virtualOOMKill(t *testing.T, v *virtual) {
	const name = "eater"
	v.create(t, name, client.ConfigPatch{})
	v.dropIn(t, name, "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"+
		"[Service]\nMemoryHigh=infinity\nMemoryMax=96M\nMemorySwapMax=0\n")
	v.start(t, name)
	first := v.agree(t, name)

	v.eat(t, name)
	v.await(t, name, "waiting for systemd's restart", func(s *client.Server) bool {
		return s.State == client.StateRestarting && s.Result == "oom-kill"
	})
	v.await(t, name, "running again", func(s *client.Server) bool {
		return s.State == client.StateRunning && s.InvocationID != first.InvocationID
	})
	again := v.agree(t, name)
	same(t, "restarts by systemd", uint32(1), *again.Restarts)

	v.eat(t, name)
	v.await(t, name, "given up by systemd", func(s *client.Server) bool { return momentOf(s) == dead })
	same(t, "the result", "oom-kill", v.agree(t, name).Result)
	v.tells(t, name, []string{
		"job initialize queued by http", "job initialize succeeded by http",
		"job start queued by http", "desired enable running by http",
		"state running (pid N)", "job start succeeded by http",
		"state restarting (result oom-kill)",
		"state running (pid N)",
		"state restarting (result oom-kill)",
		"state failed (result oom-kill)", "drift down",
	})
}

// virtualLimits are what the kernel has of limits and uses, where it has the
// controllers for them.
func virtualLimits(t *testing.T, v *virtual) {
	const name = "steady"
	memory, weight, cpus := uint64(300<<20), uint64(50), "0"
	if _, err := v.api.Change(t.Context(), name, client.ConfigPatch{MemoryMax: &memory, CPUWeight: &weight, CPUs: &cpus}); err != nil {
		t.Fatal(err)
	}
	group := "/sys/fs/cgroup" + strings.TrimSpace(v.run(t, "systemctl", "show", "--value", "--property=ControlGroup", "--", unit(name)))
	same(t, "the kernel's limits", "314572800\n235929600\n50\n0\n",
		v.run(t, "sh", "-c", "cd "+group+" && cat memory.max memory.high cpu.weight cpuset.cpus"))
	s := v.server(t, name) // it was sampled long ago
	if s.MemoryBytes == nil || *s.MemoryBytes == 0 || s.Tasks == nil || *s.Tasks == 0 || s.CPUUsageNS == nil {
		t.Errorf("what it uses: memory %v, tasks %v, cpu %v", s.MemoryBytes, s.Tasks, s.CPUUsageNS)
	}
	weight, cpus = 0, ""
	if _, err := v.api.Change(t.Context(), name, client.ConfigPatch{CPUWeight: &weight, CPUs: &cpus}); err != nil {
		t.Fatal(err)
	}
	v.agree(t, name)
}

// eat tells a game to take more memory than it may have.
func (v *virtual) eat(t *testing.T, name string) {
	t.Helper()
	v.run(t, "bash", "-c", `printf 'STANDIN memory 512' >/dev/udp/127.0.0.1/"$1"`, "eat", fmt.Sprint(v.server(t, name).Config.Port))
}

// virtualClock turns the clock while a server waits to be healed and another
// one is being started.
func virtualClock(t *testing.T, v *virtual, way string, jump time.Duration) {
	mend, hand := "mend-"+way, "hand-"+way
	failed := client.HealFailed
	v.create(t, mend, client.ConfigPatch{Heal: &failed})
	v.create(t, hand, client.ConfigPatch{})
	v.dropIn(t, mend, "[Service]\nRestart=no\n")
	v.start(t, mend)
	names := []string{"steady", "idle", "eater", mend, hand}

	v.run(t, "kill", "-KILL", fmt.Sprint(v.server(t, mend).MainPID))
	v.await(t, mend, "about to be healed", func(s *client.Server) bool { return s.Healing != nil && !s.Healing.NextAt.IsZero() })
	start, err := v.api.Start(t.Context(), hand)
	if err != nil {
		t.Fatal(err)
	}
	before := v.clock(t)
	v.run(t, "date", "--set", before.Add(jump).Format(time.RFC3339))
	v.succeeds(t, start, nil)
	v.await(t, mend, "healed", func(s *client.Server) bool { return s.Job == nil && momentOf(s) == up })
	v.awaitResync(t, before.Add(jump), names)
	for _, name := range names {
		v.agree(t, name)
	}
	if waited := v.waited(t, mend); waited < healPause*9/10 || waited > virtualPatience {
		t.Errorf("the healing waited %s, its pause is %s", waited, healPause)
	}
	job, err := v.api.Stop(t.Context(), hand)
	v.succeeds(t, job, err)
	v.await(t, hand, "stopped", func(s *client.Server) bool { return momentOf(s) == down })
	v.agree(t, hand)

	v.tells(t, hand, []string{
		"job initialize queued by http", "job initialize succeeded by http",
		"job start queued by http", "desired enable running by http",
		"state running (pid N)", "job start succeeded by http",
		"job stop queued by http", "desired disable stopped by http",
		"state stopped", "job stop succeeded by http",
	})
	v.tells(t, mend, []string{
		"job initialize queued by http", "job initialize succeeded by http",
		"job start queued by http", "desired enable running by http",
		"state running (pid N)", "job start succeeded by http",
		"state failed (result signal)", "drift down",
		"healing heal scheduled (attempt 1 of 5, in N s)",
		"job start queued by heal", "state running (pid N)", "job start succeeded by heal",
		"drift none",
	})
}

// awaitResync waits for a resync after a jump of the clock to that time, by
// which every server was looked at. No event tells of it: it is asked for, and
// mostly there by now.
func (v *virtual) awaitResync(t *testing.T, jumped time.Time, names []string) {
	t.Helper()
	// Only near the new time: the old one is an hour away on either side.
	fresh := func(at time.Time) bool { return at.Sub(jumped).Abs() < 30*time.Minute }
	ctx := v.within(t, "a resync after the jump")
	for looked := false; !looked; {
		list, err := v.api.Servers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		health, err := v.api.Health(ctx)
		if err != nil {
			t.Fatal(err)
		}
		looked = fresh(health.Resync.LastAt)
		for _, s := range list.Servers {
			if !slices.Contains(names, string(s.Name)) {
				continue
			}
			if s.Stale {
				t.Fatalf("%s is stale, last seen at %s", s.Name, s.ObservedAt)
			}
			looked = looked && fresh(s.ObservedAt)
		}
		leisurely(ctx)
	}
}

// leisurely waits before one asks again: there, to answer is work.
func leisurely(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

// waited is how long a server was dead before its last start, by the clock that
// does not jump.
func (v *virtual) waited(t *testing.T, name string) time.Duration {
	t.Helper()
	monotonic := func(property string) time.Duration {
		out := strings.TrimSpace(v.run(t, "systemctl", "show", "--value", "--property="+property, "--", unit(name)))
		n, err := strconv.ParseInt(out, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Microsecond
	}
	return monotonic("InactiveExitTimestampMonotonic") - monotonic("InactiveEnterTimestampMonotonic")
}

// clock is the machine's.
func (v *virtual) clock(t *testing.T) time.Time {
	t.Helper()
	now, err := time.Parse(time.RFC3339, strings.TrimSpace(v.run(t, "date", "--utc", "+%Y-%m-%dT%H:%M:%SZ")))
	if err != nil {
		t.Fatal(err)
	}
	return now
}

var numbers = regexp.MustCompile(`\b[0-9]+( s|$)`)

// tells wants the history of a server to be this. What was seen is written a
// moment after it is shown.
func (v *virtual) tells(t *testing.T, name string, want []string) {
	t.Helper()
	ctx := v.within(t, "the history of "+name)
	for len(v.story(t, name)) < len(want) && ctx.Err() == nil {
		leisurely(ctx)
	}
	same(t, "the history of "+name, want, v.story(t, name))
}

// story is the history of a server, a line for each entry, the oldest first:
// what became of it, without the states that pass by, which systemd tells of
// only when it gets to, and without who saw it first: here, where all is slow,
// signal, resync and job race for that. Each entry must begin where the one before of its kind
// ended.
func (v *virtual) story(t *testing.T, name string) []string {
	t.Helper()
	entries, err := v.api.History(t.Context(), client.HistoryFilter{Server: name, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	last := map[client.HistoryKind]string{}
	var lines []string
	for _, e := range entries {
		switch e.Kind {
		case "state", "drift", "desired":
			if was, known := last[e.Kind]; known && was != e.From {
				t.Errorf("the history of %s goes on from %s %s, it was %s before", name, e.Kind, e.From, was)
			}
			last[e.Kind] = e.To
		}
		if e.Kind != "state" || e.To != string(client.StateStarting) && e.To != string(client.StateStopping) {
			lines = append(lines, entryLine(e))
		}
	}
	return lines
}

func entryLine(e client.HistoryEntry) string {
	line := string(e.Kind)
	if e.What != "" && e.What != line {
		line += " " + e.What
	}
	line += " " + e.To
	if e.Code != "" {
		line += " " + string(e.Code)
	} else if e.Detail != "" {
		line += " (" + numbers.ReplaceAllString(e.Detail, "N$1") + ")"
	}
	if e.By != nil {
		line += " by " + string(e.By.Via)
	}
	return line
}

// What follows is lab for a virtual machine.

func (v *virtual) within(t *testing.T, what string) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), virtualPatience, fmt.Errorf("not within %s: %s", virtualPatience, what))
	t.Cleanup(cancel)
	return ctx
}

func (v *virtual) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := v.Output(v.within(t, name), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (v *virtual) write(t *testing.T, path, text string) {
	t.Helper()
	if err := v.WriteFile(t.Context(), path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (v *virtual) dropIn(t *testing.T, name, text string) {
	t.Helper()
	v.write(t, "/etc/systemd/system/"+unit(name)+".d/test.conf", text)
	v.run(t, "systemctl", "daemon-reload")
}

func (v *virtual) create(t *testing.T, name string, config client.ConfigPatch) {
	t.Helper()
	job, err := v.api.Create(t.Context(), name, config)
	v.succeeds(t, job, err)
}

func (v *virtual) start(t *testing.T, name string) {
	t.Helper()
	job, err := v.api.Start(t.Context(), name)
	v.succeeds(t, job, err)
}

func (v *virtual) ended(t *testing.T, id int64) *client.Job {
	t.Helper()
	job, err := v.api.WaitJob(v.within(t, "the end of the job"), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func (v *virtual) succeeds(t *testing.T, job *client.Job, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if job = v.ended(t, job.ID); job.State != client.JobSucceeded {
		t.Fatalf("the %s of %s is %s: %+v", job.Kind, job.Server, job.State, job.Error)
	}
}

func (v *virtual) server(t *testing.T, name string) *client.Server {
	t.Helper()
	s, err := v.api.Server(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (v *virtual) await(t *testing.T, name, what string, cond func(*client.Server) bool) *client.Server {
	t.Helper()
	s, err := host.Await(v.within(t, name+" is "+what), v.api, name, func(s *client.Server) bool { return s != nil && cond(s) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (v *virtual) agree(t *testing.T, name string) *client.Server {
	t.Helper()
	return agreeAt(t, v, name, virtualPatience)
}
