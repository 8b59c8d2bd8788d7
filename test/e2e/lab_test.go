package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// patience bounds each wait of a test. It only decides when a broken product
// counts as broken; no test is right or wrong by it.
const patience = 60 * time.Second

// lab is a machine with the product and the stand-in on it.
type lab struct{ *host.Host }

// newLab boots a machine and installs the product, with a start that counts as
// succeeded sooner than the default, since the tests start many.
func newLab(t *testing.T, release machine.Release) *lab {
	t.Helper()
	l := &lab{host.New(t, release)}
	l.configure(t, "[start]\nsettle = \"1s\"\n")
	return l
}

// configure gives the daemon other settings and restarts it.
func (l *lab) configure(t *testing.T, settings string) {
	t.Helper()
	l.write(t, "/etc/left4me/left4med.toml", settings)
	l.MustRun(t, "systemctl", "restart", "left4med.service")
}

// within is the test's context, bounded.
func within(t *testing.T, what string) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("not within %s: %s", patience, what))
	t.Cleanup(cancel)
	return ctx
}

// api is a client as root, for this boot.
func (l *lab) api(t *testing.T) *client.Client {
	c := l.Client()
	t.Cleanup(c.Close)
	return c
}

// create creates servers.
func (l *lab) create(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		l.MustCtl(t, "initialize", name)
	}
}

// running creates and starts servers.
func (l *lab) running(t *testing.T, names ...string) {
	t.Helper()
	l.create(t, names...)
	l.MustCtl(t, append([]string{"start"}, names...)...)
}

// systemctl runs systemctl behind the product's back.
func (l *lab) systemctl(t *testing.T, args ...string) string {
	t.Helper()
	return l.MustRun(t, "systemctl", args...)
}

// shell runs a shell script as root.
func (l *lab) shell(t *testing.T, script string) string {
	t.Helper()
	return l.MustRun(t, "sh", "-euc", script)
}

func (l *lab) write(t *testing.T, path, text string) {
	t.Helper()
	if err := l.WriteFile(t.Context(), path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dropIn adds settings to one server's unit.
func (l *lab) dropIn(t *testing.T, name, text string) {
	t.Helper()
	l.write(t, "/etc/systemd/system/"+unit(name)+".d/test.conf", text)
	l.systemctl(t, "daemon-reload")
}

// atStart tells the stand-in what to do at its next start.
func (l *lab) atStart(t *testing.T, name, directive string) {
	t.Helper()
	l.write(t, "/var/lib/left4me/runtime/"+name+"/upper/standin.conf", directive+"\n")
}

// now tells the stand-in that runs what to do.
func (l *lab) now(t *testing.T, name, directive string) {
	t.Helper()
	s, err := l.api(t).Server(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Standin(t.Context(), s.Config.Port, directive); err != nil {
		t.Fatal(err)
	}
}

// logged waits until a unit's journal says all of this: what a program said on
// its way out, journald reads when it comes to it.
func (l *lab) logged(t *testing.T, unit string, says ...string) {
	t.Helper()
	ctx := within(t, "the journal of "+unit+" says it")
	for {
		text := l.MustRun(t, "journalctl", "--no-pager", "-u", unit)
		if !slices.ContainsFunc(says, func(s string) bool { return !strings.Contains(text, s) }) {
			return
		}
		select {
		case <-ctx.Done():
			contains(t, text, says...)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func unit(name string) string { return "left4me-server@" + name + ".service" }

// server is a server as the API shows it.
func (l *lab) server(t *testing.T, name string) *client.Server {
	t.Helper()
	s, err := l.api(t).Server(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// await waits until the API shows a server so.
func (l *lab) await(t *testing.T, name, what string, cond func(*client.Server) bool) *client.Server {
	t.Helper()
	s, err := l.Await(within(t, what), name, func(s *client.Server) bool { return s != nil && cond(s) })
	if err != nil {
		t.Fatalf("waiting for %s to be %s: %v; it is\n%s", name, what, err, l.ctl(t, "show", name).Stdout)
	}
	return s
}

// awaitMoment waits until a server is in this state, without a job.
func (l *lab) awaitMoment(t *testing.T, name string, want moment) *client.Server {
	t.Helper()
	return l.await(t, name, fmt.Sprint(want), func(s *client.Server) bool { return s.Job == nil && momentOf(s) == want })
}

// moment is what an operator sees of a server at a glance.
type moment struct {
	Desired client.Desired
	State   client.State
	Drift   client.Drift
}

func momentOf(s *client.Server) moment { return moment{s.Desired, s.State, s.Drift} }

// moments shows all servers at a glance.
func (l *lab) moments(t *testing.T) map[string]moment {
	t.Helper()
	list, err := l.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]moment{}
	for i := range list.Servers {
		all[string(list.Servers[i].Name)] = momentOf(&list.Servers[i])
	}
	return all
}

var (
	up   = moment{client.DesiredRunning, client.StateRunning, client.DriftNone}
	down = moment{client.DesiredStopped, client.StateStopped, client.DriftNone}
	lost = moment{client.DesiredRunning, client.StateStopped, client.DriftDown}
	dead = moment{client.DesiredRunning, client.StateFailed, client.DriftDown}
)

// place is where the product runs: a machine of whichever kind.
type place interface {
	Output(ctx context.Context, name string, args ...string) (string, error)
	Client() *client.Client
}

// truth is what systemd says of a server's unit.
type truth struct {
	Load, Active, Sub, Result, Enabled string
	MainPID, Restarts                  uint32
	InvocationID                       string
}

// shown asks systemctl.
func (l *lab) shown(t *testing.T, name string) truth {
	t.Helper()
	return shownAt(t, l, name)
}

func shownAt(t *testing.T, p place, name string) truth {
	t.Helper()
	out, err := p.Output(t.Context(), "systemctl", "show", "--property=LoadState,ActiveState,SubState,Result,MainPID,NRestarts,InvocationID", "--", unit(name))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[key] = value
	}
	// It reads the links, not what systemd remembers of them; its status says no
	// more than its word.
	enabled, _ := p.Output(t.Context(), "systemctl", "is-enabled", "--", unit(name))
	return truth{
		Load: said["LoadState"], Active: said["ActiveState"], Sub: said["SubState"], Result: said["Result"],
		Enabled: strings.TrimSpace(enabled), MainPID: number(t, said["MainPID"]), Restarts: number(t, said["NRestarts"]),
		InvocationID: said["InvocationID"],
	}
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// told is the same from the API.
func told(s *client.Server) truth {
	tr := truth{
		Load: s.LoadState, Active: s.ActiveState, Sub: s.SubState, Result: s.Result,
		Enabled: s.UnitFileState, MainPID: s.MainPID, InvocationID: s.InvocationID,
	}
	if s.Restarts != nil {
		tr.Restarts = *s.Restarts
	}
	return tr
}

// agree fails the test unless the API says of the server what systemctl says.
// What the API learns by a signal may come a moment after systemctl's answer.
func (l *lab) agree(t *testing.T, name string) *client.Server {
	t.Helper()
	return agreeAt(t, l, name, 10*time.Second)
}

func agreeAt(t *testing.T, p place, name string, soon time.Duration) *client.Server {
	t.Helper()
	api := p.Client()
	defer api.Close()
	now := func() *client.Server {
		s, err := api.Server(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := shownAt(t, p, name)
	if want.Active == "inactive" && want.InvocationID == "" {
		// systemd forgets a unit that is inactive; what it says of its last run is
		// the default. left4med remembers, or says that it does not know.
		last := told(now())
		want.Result, want.Restarts, want.InvocationID = last.Result, last.Restarts, last.InvocationID
	} else if want.Active == "inactive" && now().InvocationID == "" {
		// Or systemd has it still, by chance, and a daemon that started since did not
		// ask: to read a unit that is not listed would load it.
		want.InvocationID = ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	s, err := host.Await(ctx, api, name, func(s *client.Server) bool { return s != nil && told(s) == want })
	if err != nil {
		t.Fatalf("systemctl and the API disagree on %s (-systemctl +API):\n%s", name, cmp.Diff(want, told(now())))
	}
	return s
}

// ctl runs l4d2ctl as root and says how it ended.
func (l *lab) ctl(t *testing.T, args ...string) host.Result {
	t.Helper()
	return result(t, l.Command(t.Context(), "l4d2ctl", args...))
}

// result runs a command and says how it ended.
func result(t *testing.T, cmd *exec.Cmd) host.Result {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := machine.Output(cmd)
	var failed *machine.CommandError
	if err != nil && (!errors.As(err, &failed) || failed.ExitCode < 0) {
		t.Fatal(err)
	}
	return host.Result{Code: cmd.ProcessState.ExitCode(), Stdout: out, Stderr: stderr.String()}
}

// ended waits for the end of a job.
func (l *lab) ended(t *testing.T, job *client.Job, err error) *client.Job {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	job, err = l.api(t).WaitJob(within(t, "the end of the job"), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// succeeded waits for the end of a job, which must be a good one.
func (l *lab) succeeded(t *testing.T, job *client.Job, err error) *client.Job {
	t.Helper()
	job = l.ended(t, job, err)
	if job.State != client.JobSucceeded {
		t.Fatalf("the %s of %s is %s: %+v", job.Kind, job.Server, job.State, job.Error)
	}
	return job
}

// refusal is what an error of the API says to programs.
type refusal struct {
	Status int
	Code   client.Code
	Field  string
}

// refused says how the API refused, and that its text names what a person needs.
func refused(t *testing.T, err error, want refusal, says ...string) *client.Error {
	t.Helper()
	var e *client.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want it refused as %+v", err, want)
	}
	if diff := cmp.Diff(want, refusal{e.Status, e.Code, e.Field}); diff != "" {
		t.Errorf("refused otherwise (-want +got):\n%s%s", diff, e.Detail)
	}
	contains(t, e.Error(), says...)
	return e
}

// contains wants all parts in a text.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("nothing says %q in:\n%s", part, text)
		}
	}
}

// same compares whole values.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
