package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// awaitJobs waits until no job is queued or running, over any number of
// restarts of the daemon.
func (h *crashHost) awaitJobs(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := waitLimit(t, "every job ends")
	for {
		var open []client.Job
		for _, state := range []client.JobState{client.JobQueued, client.JobRunning} {
			jobs, err := patient(ctx, func() ([]client.Job, error) {
				return c.Jobs(ctx, client.JobsFilter{State: state, Limit: 1000})
			})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, jobs...)
		}
		if len(open) == 0 {
			return
		}
		for _, job := range open {
			if _, err := c.WaitJob(ctx, job.ID); err != nil {
				t.Fatalf("%v; the job is %+v", err, job)
			}
		}
	}
}

// patient asks again for as long as the daemon is being restarted.
func patient[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		v, err := ask()
		if !errors.Is(err, client.ErrUnreachable) || ctx.Err() != nil {
			return v, err
		}
	}
}

// ended waits for the jobs and says how each ended: "succeeded", or
// "canceled overtaken".
func (h *crashHost) ended(t *testing.T, c *client.Client, jobs ...client.Job) map[string]string {
	t.Helper()
	ctx := waitLimit(t, "the jobs end")
	ends := map[string]string{}
	for _, job := range jobs {
		job, err := c.WaitJob(ctx, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		ends[string(job.Server)] = jobEnd(*job)
	}
	return ends
}

func jobEnd(job client.Job) string {
	if job.Error == nil {
		return string(job.State)
	}
	return string(job.State) + " " + string(job.Error.Code)
}

// all is the same word for each of the names.
func all(word string, names ...string) map[string]string {
	m := map[string]string{}
	for _, name := range names {
		m[name] = word
	}
	return m
}

// unitTruth is what systemd says of a server and the API must say too.
type unitTruth struct{ Active, Enabled, Invocation string }

// seen leaves out the run of a unit that is over: systemd forgets it.
func seen(active, enabled, invocation string) unitTruth {
	if active == "inactive" {
		invocation = ""
	}
	return unitTruth{active, enabled, invocation}
}

// check compares the API with systemd and the disk: the same servers, the same
// states, nothing half made, no job left. It returns the servers by name.
func (h *crashHost) check(t *testing.T, c *client.Client) map[string]client.Server {
	t.Helper()
	h.awaitJobs(t, c)
	ctx := waitLimit(t, "the daemon answers")
	if _, err := patient(ctx, func() (any, error) { return nil, c.Resync(ctx) }); err != nil {
		t.Fatal(err)
	}
	snap, err := c.Servers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	servers, shown := map[string]client.Server{}, map[string]unitTruth{}
	var odd []string
	for _, s := range snap.Servers {
		servers[string(s.Name)] = s
		shown[string(s.Name)] = seen(s.ActiveState, s.UnitFileState, s.InvocationID)
		if s.Phase != client.PhaseReady || s.Job != nil || s.Stale || s.Drift != client.DriftNone {
			odd = append(odd, fmt.Sprintf("%s: phase %s, job %+v, stale %v, drift %s", s.Name, s.Phase, s.Job, s.Stale, s.Drift))
		}
	}
	if len(odd) > 0 {
		t.Errorf("not settled:\n%s", strings.Join(odd, "\n"))
	}
	if diff := cmp.Diff(h.truth(t, slices.Sorted(maps.Keys(servers))), shown); diff != "" {
		t.Errorf("the API differs from systemd (-systemd +API):\n%s", diff)
	}
	h.checkDisk(t, slices.Sorted(maps.Keys(servers)))
	return servers
}

// truth asks systemd and the links.
func (h *crashHost) truth(t *testing.T, names []string) map[string]unitTruth {
	t.Helper()
	truth := map[string]unitTruth{}
	if len(names) == 0 {
		return truth
	}
	args := []string{"show", "--property=Id,ActiveState,InvocationID"}
	for _, name := range names {
		args = append(args, unitName(name))
	}
	for block := range strings.SplitSeq(h.MustRun(t, "systemctl", args...), "\n\n") {
		p := map[string]string{}
		for line := range strings.Lines(block) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			p[k] = v
		}
		name := strings.TrimSuffix(strings.TrimPrefix(p["Id"], "left4me-server@"), ".service")
		truth[name] = seen(p["ActiveState"], "disabled", p["InvocationID"])
	}
	for _, name := range h.enabled(t) {
		u, known := truth[name]
		if !known {
			t.Errorf("a link of %s is left behind", name)
			continue
		}
		u.Enabled = "enabled"
		truth[name] = u
	}
	return truth
}

func unitName(name string) string { return "left4me-server@" + name + ".service" }

// enabled reads the links.
func (h *crashHost) enabled(t *testing.T) []string {
	t.Helper()
	out := h.MustRun(t, "find", "/etc/systemd/system", "-name", "left4me-server@?*.service", "-printf", "%f\n")
	var names []string
	for unit := range strings.FieldsSeq(out) {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(unit, "left4me-server@"), ".service"))
	}
	return names
}

// checkDisk wants the directories of exactly these servers, and nothing that an
// unfinished creation or deletion leaves.
func (h *crashHost) checkDisk(t *testing.T, names []string) {
	t.Helper()
	for _, parent := range []string{"instances", "runtime"} {
		entries, err := os.ReadDir(h.DiskPath("/var/lib/left4me/" + parent))
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, e := range entries {
			got = append(got, e.Name())
		}
		slices.Sort(got)
		if diff := cmp.Diff(append([]string{}, names...), got); diff != "" {
			t.Errorf("%s differs from the servers (-servers +found):\n%s", parent, diff)
		}
	}
}

// cursor is the end of the journal now.
func (h *crashHost) cursor(t *testing.T) string {
	t.Helper()
	out := h.MustRun(t, "journalctl", "--sync", "--quiet") + h.MustRun(t, "journalctl", "--lines=1", "--show-cursor", "--quiet")
	_, cursor, found := strings.Cut(out, "-- cursor: ")
	if !found {
		t.Fatalf("no cursor in %q", out)
	}
	return strings.TrimSpace(cursor)
}

// unitStarted is systemd's message "Started …" (sd-messages.h,
// SD_MESSAGE_UNIT_STARTED).
const unitStarted = "39f53479d3a045ac8e11786248231fbf"

// runsSince reads from the journal the invocations of each server that were
// started after the cursor.
func (h *crashHost) runsSince(t *testing.T, cursor string) map[string][]string {
	t.Helper()
	h.MustRun(t, "journalctl", "--sync", "--quiet")
	out := h.MustRun(t, "journalctl", "--quiet", "--output=json", "--after-cursor="+cursor, "MESSAGE_ID="+unitStarted, "_PID=1")
	runs := map[string][]string{}
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Unit       string `json:"UNIT"`
			Invocation string `json:"INVOCATION_ID"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(e.Unit, "left4me-server@")
		name = strings.TrimSuffix(name, ".service")
		if ours && !slices.Contains(runs[name], e.Invocation) {
			runs[name] = append(runs[name], e.Invocation)
		}
	}
	return runs
}

// checkOneRun wants all names running and enabled, by one run each since the
// cursor.
func (h *crashHost) checkOneRun(t *testing.T, servers map[string]client.Server, cursor string, names []string) {
	t.Helper()
	want, got := map[string][]string{}, h.runsSince(t, cursor)
	for _, name := range names {
		s := servers[name]
		want[name] = []string{s.InvocationID}
		if s.State != client.StateRunning || s.Desired != client.DesiredRunning {
			t.Errorf("%s is %s and %s, want it running and enabled", name, s.State, s.Desired)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the journal tells of other runs than one of each server (-want +got):\n%s", diff)
	}
}

// create makes servers at once, side by side.
func (h *crashHost) create(t *testing.T, c *client.Client, names ...string) {
	t.Helper()
	var jobs []client.Job
	for _, name := range names {
		job, err := c.Create(t.Context(), name, client.ConfigPatch{})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, *job)
	}
	if diff := cmp.Diff(all("succeeded", names...), h.ended(t, c, jobs...)); diff != "" {
		t.Fatalf("creating servers (-want +got):\n%s", diff)
	}
}

// act asks for an action and waits until it has succeeded for all.
func (h *crashHost) act(t *testing.T, c *client.Client, action client.Action, names ...string) {
	t.Helper()
	r, err := c.Actions(t.Context(), action, names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all("succeeded", names...), h.ended(t, c, r.Jobs...)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", action, diff)
	}
}

// numbered are n names.
func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return names
}

// ignoreLost is an error of a request, unless the daemon died under it.
func ignoreLost(err error) error {
	if errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
