package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// hanging makes a unit's start hang before the game.
const hanging = "[Service]\nExecStartPre=/bin/sleep infinity\nTimeoutStartSec=infinity\n"

// ending is how a job ended, as far as programs compare it.
type ending struct {
	State        client.JobState
	Code         client.Code
	SupersededBy int64
}

func endingOf(job *client.Job) ending {
	e := ending{State: job.State}
	if job.Error != nil {
		e.Code = job.Error.Code
	}
	if job.SupersededBy != nil {
		e.SupersededBy = *job.SupersededBy
	}
	return e
}

// TestJobs asks for work and looks at how it ends.
func TestJobs(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"StartThatExits", jobStartThatExits},
			{"StopWins", jobStopWins},
			{"DeleteWins", jobDeleteWins},
			{"SameAndBusy", jobSameAndBusy},
			{"Cancel", jobCancel},
			{"Many", jobMany},
			{"Wait", jobWait},
			{"StopOfAHangingGame", jobStopOfAHangingGame},
			{"TwoFromOneInstallation", jobTwoFromOneInstallation},
			{"Taken", jobTaken},
			{"PortTakenByAnother", jobPortTakenByAnother},
			{"OverlayFails", jobOverlayFails},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

func jobStartThatExits(t *testing.T, l *lab) {
	l.create(t, "exits")
	l.dropIn(t, "exits", "[Service]\nRestart=no\n")
	l.atStart(t, "exits", `print "cannot go on \x1b[31mlike this"`+"\nexit 3")
	c := l.api(t)
	job, err := c.Start(t.Context(), "exits")
	job = l.ended(t, job, err)
	same(t, "the start", ending{State: client.JobFailed, Code: client.CodeJobFailed}, endingOf(job))
	contains(t, job.Error.Detail, "exits", "exit-code")
	contains(t, strings.Join(job.Error.Logs, "\n"), `cannot go on \x1b[31mlike this`, "status=3")
	l.awaitMoment(t, "exits", dead) // the link stays: intent stands
	l.agree(t, "exits")

	l.atStart(t, "exits", "exit 0")
	job, err = c.Start(t.Context(), "exits")
	job = l.ended(t, job, err)
	same(t, "a start that ends well at once", ending{State: client.JobFailed, Code: client.CodeJobFailed}, endingOf(job))
	l.awaitMoment(t, "exits", lost)

	r := l.ctl(t, "start", "exits")
	same(t, "l4d2ctl's exit code", 6, r.Code)
	contains(t, r.Stderr, "exits: start failed", "did not stay up")
}

// hang asks for a start that hangs, and returns when the unit hangs in it.
func (l *lab) hang(t *testing.T, name string) *client.Job {
	t.Helper()
	l.create(t, name)
	l.dropIn(t, name, hanging)
	job, err := l.api(t).Start(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, name, "hanging in its start", func(s *client.Server) bool { return s.SubState == "start-pre" })
	return job
}

func jobStopWins(t *testing.T, l *lab) {
	c := l.api(t)
	start := l.hang(t, "wins")
	stop, err := c.Stop(t.Context(), "wins")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the start, at once", ending{State: client.JobCanceled, SupersededBy: stop.ID}, endingOf(l.ended(t, start, nil)))
	l.succeeded(t, stop, nil)
	l.awaitMoment(t, "wins", down)
	l.agree(t, "wins")

	// A stop that follows at once finds the start wherever it is.
	for range 5 {
		start, err = c.Start(t.Context(), "wins")
		if err != nil {
			t.Fatal(err)
		}
		stop, err = c.Stop(t.Context(), "wins")
		l.succeeded(t, stop, err)
		same(t, "the start", ending{State: client.JobCanceled, SupersededBy: stop.ID}, endingOf(l.ended(t, start, nil)))
		l.awaitMoment(t, "wins", down)
		l.agree(t, "wins")
	}
}

func jobDeleteWins(t *testing.T, l *lab) {
	start := l.hang(t, "gone")
	del, err := l.api(t).Delete(t.Context(), "gone")
	l.succeeded(t, del, err)
	same(t, "the start", ending{State: client.JobCanceled, SupersededBy: del.ID}, endingOf(l.ended(t, start, nil)))
	_, err = l.api(t).Server(t.Context(), "gone")
	refused(t, err, refusal{http.StatusNotFound, client.CodeServerNotFound, ""}, "gone")
}

func jobSameAndBusy(t *testing.T, l *lab) {
	c := l.api(t)
	start := l.hang(t, "busy")
	again, err := c.Start(t.Context(), "busy")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the same start twice is one job", start.ID, again.ID)
	_, err = c.Restart(t.Context(), "busy")
	e := refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "busy", "start", fmt.Sprint(start.ID))
	same(t, "the job in the way", start.ID, e.Job)
	stop, err := c.Stop(t.Context(), "busy")
	l.succeeded(t, stop, err)

	// A stop that takes its time is not overtaken by a start.
	l.running(t, "slow")
	l.dropIn(t, "slow", "[Service]\nTimeoutStopSec=infinity\n")
	l.now(t, "slow", "hang")
	stop, err = c.Stop(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	s := l.await(t, "slow", "stopping", func(s *client.Server) bool { return s.State == client.StateStopping })
	same(t, "no drift is judged while a job is in flight", client.DriftNone, s.Drift)
	_, err = c.Start(t.Context(), "slow")
	e = refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "slow", "stop")
	same(t, "the job in the way", stop.ID, e.Job)
	l.MustRun(t, "kill", "-KILL", fmt.Sprint(s.MainPID))
	l.succeeded(t, stop, nil)
	l.awaitMoment(t, "slow", down)
}

func jobCancel(t *testing.T, l *lab) {
	c := l.api(t)
	start := l.hang(t, "cancel")
	job, err := c.Cancel(t.Context(), start.ID)
	job = l.ended(t, job, err)
	same(t, "the start", client.JobCanceled, job.State)
	_, err = c.Cancel(t.Context(), start.ID)
	refused(t, err, refusal{http.StatusConflict, client.CodeJobFinished, ""}, fmt.Sprint(start.ID))
	_, err = c.Cancel(t.Context(), 1<<40)
	refused(t, err, refusal{http.StatusNotFound, client.CodeJobNotFound, ""})
	stop, err := c.Stop(t.Context(), "cancel")
	l.succeeded(t, stop, err)
	l.awaitMoment(t, "cancel", down)
	l.agree(t, "cancel")
}

// jobMany is one request over good and bad names.
func jobMany(t *testing.T, l *lab) {
	l.create(t, "many-1", "many-2")
	c := l.api(t)
	got, err := c.Actions(t.Context(), client.ActionStart, []string{"many-2", "not there", "absent", "many-1", "many-2"})
	if err != nil {
		t.Fatal(err)
	}
	var jobs, refusals []string
	for i := range got.Jobs {
		jobs = append(jobs, fmt.Sprintf("%s %s", got.Jobs[i].Kind, got.Jobs[i].Server))
		l.succeeded(t, &got.Jobs[i], nil)
	}
	for _, r := range got.Refused {
		refusals = append(refusals, fmt.Sprintf("%s: %s", r.Server, r.Code))
	}
	same(t, "the jobs", []string{"start many-2", "start many-1"}, jobs)
	same(t, "the refusals", []string{"not there: invalid-name", "absent: server-not-found"}, refusals)
	l.awaitMoment(t, "many-1", up)
	l.awaitMoment(t, "many-2", up)
}

// jobWait holds the answer until the job ends, or the time is over.
func jobWait(t *testing.T, l *lab) {
	l.create(t, "wait")
	a := l.http(t, http.MethodPost, "/v1/servers/wait/start?wait=60s", "")
	same(t, "a start that was waited for", answer{Status: http.StatusOK}, a.brief())
	same(t, "its state", "succeeded", a.field("state"))
	same(t, "where it is", fmt.Sprintf("/v1/jobs/%v", a.field("id")), a.header.Get("Location"))
	l.dropIn(t, "wait", "[Service]\nTimeoutStopSec=infinity\n")
	l.now(t, "wait", "hang")
	a = l.http(t, http.MethodPost, "/v1/servers/wait/stop?wait=100ms", "")
	same(t, "a stop that takes longer", answer{Status: http.StatusAccepted}, a.brief())
	same(t, "its state", "running", a.field("state"))
	l.MustRun(t, "kill", "-KILL", fmt.Sprint(l.shown(t, "wait").MainPID))
	a = l.http(t, http.MethodGet, fmt.Sprintf("/v1/jobs/%v?wait=60s", a.field("id")), "")
	same(t, "its end", "succeeded", a.field("state"))
}

// jobStopOfAHangingGame ends with the game killed, and stopped: it was wanted.
func jobStopOfAHangingGame(t *testing.T, l *lab) {
	l.running(t, "stuck")
	l.dropIn(t, "stuck", "[Service]\nTimeoutStopSec=1s\n")
	l.now(t, "stuck", "hang")
	job, err := l.api(t).Stop(t.Context(), "stuck")
	l.succeeded(t, job, err)
	l.awaitMoment(t, "stuck", down)
	same(t, "the unit", "inactive", l.shown(t, "stuck").Active)
}

func jobTwoFromOneInstallation(t *testing.T, l *lab) {
	l.running(t, "one", "two")
	l.keep(t, "one", "of one")
	l.keep(t, "two", "of two")
	same(t, "what the games wrote", map[string]string{"one": "of one", "two": "of two"}, l.kept(t, "one", "two"))
	if out, err := l.Output(t.Context(), "find", "/var/lib/left4me/installation", "-name", "kept.txt"); err != nil || out != "" {
		t.Errorf("the installation was written: %s %v", out, err)
	}
	uids := strings.Fields(l.shell(t, "stat -c %u /var/lib/left4me/runtime/one/upper/left4dead2/cfg/kept.txt /var/lib/left4me/runtime/two/upper/left4dead2/cfg/kept.txt"))
	if len(uids) != 2 || uids[0] == uids[1] || uids[0] == "0" {
		t.Errorf("the games' files belong to %v, want a uid of its own each", uids)
	}
	l.MustCtl(t, "stop", "one", "two")
	l.MustCtl(t, "start", "one", "two")
	same(t, "and after a start", "of one\nof two\n",
		l.shell(t, "for n in one two; do cat "+merged("$n")+"/left4dead2/cfg/kept.txt; echo; done"))
}

func jobTaken(t *testing.T, l *lab) {
	c := l.api(t)
	l.create(t, "first")
	port := l.server(t, "first").Config.Port
	_, err := c.Create(t.Context(), "first", client.ConfigPatch{})
	refused(t, err, refusal{http.StatusConflict, client.CodeNameTaken, ""}, "first", "another name")
	_, err = c.Create(t.Context(), "second", client.ConfigPatch{Port: &port})
	refused(t, err, refusal{http.StatusConflict, client.CodePortTaken, "config.port"}, "first", fmt.Sprint(port))
	l.create(t, "second")
	_, err = c.Change(t.Context(), "second", client.ConfigPatch{Port: &port})
	refused(t, err, refusal{http.StatusConflict, client.CodePortTaken, "config.port"}, "first", fmt.Sprint(port))
}

// jobPortTakenByAnother is a port that a process which is no server holds.
func jobPortTakenByAnother(t *testing.T, l *lab) {
	l.create(t, "held")
	l.dropIn(t, "held", "[Service]\nRestart=no\n")
	port := l.server(t, "held").Config.Port
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// The shell says that it listens, and holds the port until its input ends.
	holder := l.Command(ctx, "perl", "-MIO::Socket::INET", "-e",
		`my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => $ARGV[0]) or die $!; $| = 1; print "held\n"; <STDIN>`, fmt.Sprint(port))
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	job, err := l.api(t).Start(t.Context(), "held")
	job = l.ended(t, job, err)
	same(t, "the start", ending{State: client.JobFailed, Code: client.CodeJobFailed}, endingOf(job))
	contains(t, strings.Join(job.Error.Logs, "\n"), "Couldn't allocate any server IP port")
	in.Close()
	if err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	job, err = l.api(t).Start(t.Context(), "held")
	l.succeeded(t, job, err)
}

// jobOverlayFails is a tree that cannot be mounted: the reason is the overlay's,
// and its log is shown.
func jobOverlayFails(t *testing.T, l *lab) {
	l.create(t, "mount")
	l.write(t, "/etc/systemd/system/left4me-overlay@mount.service.d/test.conf", "[Service]\nExecStartPre=/bin/sh -c 'echo no layers today; exit 1'\n")
	l.systemctl(t, "daemon-reload")
	job, err := l.api(t).Start(t.Context(), "mount")
	job = l.ended(t, job, err)
	same(t, "the start", ending{State: client.JobFailed, Code: client.CodeJobFailed}, endingOf(job))
	contains(t, job.Error.Detail, "mount", "left4me-overlay@mount.service")
	contains(t, strings.Join(job.Error.Logs, "\n"), "no layers today")
	l.awaitMoment(t, "mount", lost)
	l.MustRun(t, "rm", "-r", "/etc/systemd/system/left4me-overlay@mount.service.d")
	l.systemctl(t, "daemon-reload")
	job, err = l.api(t).Start(t.Context(), "mount")
	l.succeeded(t, job, err)

	// One that hangs there gives way to a stop as well.
	l.MustCtl(t, "stop", "mount")
	l.write(t, "/etc/systemd/system/left4me-overlay@mount.service.d/test.conf", hanging)
	l.systemctl(t, "daemon-reload")
	start, err := l.api(t).Start(t.Context(), "mount")
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, "mount", "enabled", func(s *client.Server) bool { return s.Desired == client.DesiredRunning })
	began := time.Now()
	stop, err := l.api(t).Stop(t.Context(), "mount")
	l.succeeded(t, stop, err)
	same(t, "the start", ending{State: client.JobCanceled, SupersededBy: stop.ID}, endingOf(l.ended(t, start, nil)))
	t.Logf("a stop over a hanging mount took %s", time.Since(began))
	l.awaitMoment(t, "mount", down)
	same(t, "what is left of it", "", strings.TrimSpace(l.systemctl(t, "list-jobs", "--no-legend", "--plain")))
}
