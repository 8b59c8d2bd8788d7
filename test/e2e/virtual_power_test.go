package e2e_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/client"
)

// virtualPowerCut cuts the power right after a start, a stop and a creation were
// accepted, and a moment after a start and a stop had succeeded.
func virtualPowerCut(t *testing.T, v *virtual) {
	before := v.moments(t)
	for _, name := range []string{"begin", "end", "early", "late"} {
		v.create(t, name, client.ConfigPatch{})
	}
	v.start(t, "end")
	v.start(t, "late")
	// From here on the kernel writes only what it is told to, not all that is some
	// seconds old: whoever did not sync has lost.
	v.run(t, "sh", "-euc", "echo 0 >/proc/sys/vm/dirty_writeback_centisecs")
	job, err := v.api.Stop(t.Context(), "late")
	v.succeeds(t, job, err)
	// Its overlay goes a moment later, and to unmount one syncs the whole disk:
	// what is asked for below shall have no such help.
	v.run(t, "systemctl", "stop", "left4me-overlay@late.service")
	v.start(t, "early")

	accepted := v.acceptAtOnce(t, map[string]func(context.Context, string) (*client.Job, error){
		"begin": v.api.Start,
		"end":   v.api.Stop,
		"fresh": func(ctx context.Context, name string) (*client.Job, error) {
			return v.api.Create(ctx, name, client.ConfigPatch{})
		},
	})
	if err := v.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := map[string]*client.Job{}
	for name, job := range accepted {
		ends[name] = v.ended(t, job.ID)
		same(t, "who asked for the "+string(job.Kind), job.RequestedBy, ends[name].RequestedBy)
	}
	same(t, "the creation", "succeeded", jobEnd(*ends["fresh"]))
	want := before
	want["eater"] = up // it was enabled, and the machine has forgotten the limit
	want["early"], want["late"], want["fresh"] = up, down, down
	want["begin"] = v.afterCut(t, ends["begin"], up)
	want["end"] = v.afterCut(t, ends["end"], down)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		v.await(t, name, "as before the cut", func(s *client.Server) bool { return s.Job == nil && momentOf(s) == want[name] })
		v.agree(t, name)
	}
	same(t, "all servers", want, v.moments(t))

	for name, job := range ends {
		same(t, "the jobs of "+name, []string{
			"job " + string(job.Kind) + " queued by http",
			"job " + string(job.Kind) + " " + jobEnd(*job) + " by http",
		}, v.jobLines(t, name, job))
	}
	for name := range want {
		v.story(t, name) // unbroken over the cut
	}
	health, err := v.api.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the daemon's health", "ok", health.Status)
	same(t, "the database", "ok\n", v.run(t, "sqlite3", "-readonly", "/var/lib/left4med/state.db", "PRAGMA integrity_check"))
}

// acceptAtOnce sends requests side by side and returns when all are accepted.
func (v *virtual) acceptAtOnce(t *testing.T, requests map[string]func(context.Context, string) (*client.Job, error)) map[string]*client.Job {
	t.Helper()
	type answer struct {
		name string
		job  *client.Job
	}
	answers := make(chan answer, len(requests))
	group, ctx := errgroup.WithContext(v.within(t, "the requests are accepted"))
	for name, request := range requests {
		group.Go(func() error {
			job, err := request(ctx, name)
			answers <- answer{name, job}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(answers)
	jobs := map[string]*client.Job{}
	for a := range answers {
		jobs[a.name] = a.job
	}
	return jobs
}

// afterCut is what becomes of a server whose start or stop was under way: it is
// done, or called off with the link as it then was.
func (v *virtual) afterCut(t *testing.T, job *client.Job, done moment) moment {
	t.Helper()
	switch end := jobEnd(*job); end {
	case "succeeded":
		return done
	case "canceled " + string(client.CodeOvertaken):
		contains(t, job.Error.Detail, "rebooted")
		out, _ := v.Output(t.Context(), "systemctl", "is-enabled", "--", unit(string(job.Server)))
		if strings.TrimSpace(out) == "enabled" {
			return up
		}
		return down
	default:
		t.Errorf("after the power cut the %s of %s is %s", job.Kind, job.Server, end)
		return done
	}
}

// jobLines is what of a server's history is about a job.
func (v *virtual) jobLines(t *testing.T, name string, job *client.Job) []string {
	t.Helper()
	entries, err := v.api.History(t.Context(), client.HistoryFilter{Server: name, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	var lines []string
	for _, e := range entries {
		if e.Kind == "job" && e.Job == job.ID {
			lines = append(lines, entryLine(e))
		}
	}
	return lines
}

// moments shows all servers at a glance.
func (v *virtual) moments(t *testing.T) map[string]moment {
	t.Helper()
	list, err := v.api.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]moment{}
	for i := range list.Servers {
		all[string(list.Servers[i].Name)] = momentOf(&list.Servers[i])
	}
	return all
}
