package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// barrier is where a start that nobody asked for is held up.
type barrier struct {
	name  string
	point string // of the daemon's; none: the unit itself hangs in its start
	// The server is claimed: whoever stops it through us waits until it is not.
	claimed bool
	job     string // how the start ends that another hand stops; "" when there is none
	// How often systemd has begun to start the unit in the end, when it is stopped
	// through us and when behind our back.
	through, behind int
	late            bool // so often also after it was stopped behind our back
}

func barriers() []barrier {
	const overtaken, either = "canceled overtaken", -1
	return []barrier{
		{name: "TimerFired", point: "heal due", claimed: true, through: either},
		{name: "JobStored", point: "jobs inserted", claimed: true, through: either, job: overtaken},
		{name: "Enabled", point: "step noted", job: overtaken},
		// Nothing lies between the last look at the link and StartUnit. A hand that
		// comes in between is seen after the start, which is then taken back.
		{name: "AboutToStart", point: "about to start", behind: 1, late: true, job: overtaken},
		{name: "StartUnitSent", through: 1, behind: 1, job: overtaken},
		{name: "Started", point: "started", through: 1, behind: 1, job: overtaken},
	}
}

// TestStopBeatsHealing stops a server while left4med is about to start it again,
// wherever that is. It ends stopped and stays so.
func TestStopBeatsHealing(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newHealLab(t, release)
		(&crashHost{l.Host}).useFaultyDaemon(t)
		l.MustCtl(t, "initialize", "s", "--heal", "failed")
		// The game sees /etc.
		l.dropIn(t, "s", "[Service]\nRestart=no\nTimeoutStartSec=infinity\nExecStartPre=/bin/sh -c 'test ! -e /etc/hang || exec sleep infinity'\n")
		for _, b := range barriers() {
			t.Run(b.name+"/ThroughUs", func(t *testing.T) { l.healedAndStopped(t, b, l.stopThroughUs) })
			t.Run(b.name+"/BehindOurBack", func(t *testing.T) { l.healedAndStopped(t, b, l.stopBehindUs) })
		}
	})
}

// newHealLab has servers started again soon.
func newHealLab(t *testing.T, release machine.Release) *lab {
	t.Helper()
	l := newLab(t, release)
	l.configure(t, "[start]\nsettle = \"300ms\"\n[heal]\nfirst = \"1s\"\nmax = \"1h\"\nlimit = 3\n")
	return l
}

// healedAndStopped lets the server fail and stops it while its healing is held
// up.
func (l *lab) healedAndStopped(t *testing.T, b barrier, stop stopper) {
	l.MustCtl(t, "start", "s")
	h := &crashHost{l.Host}
	cursor := h.cursor(t)
	release := l.hold(t, b)
	l.MustRun(t, "kill", "-KILL", strconv.Itoa(int(l.agree(t, "s").MainPID)))
	l.awaitHeld(t, b)
	newest := l.newestJob(t)

	want := stop(t, b, release)
	// Whatever was to come of the healing has come: it holds the server's claim.
	hostname := "s"
	c := l.api(t)
	if _, err := c.Change(t.Context(), "s", client.ConfigPatch{Hostname: &hostname}); err != nil {
		t.Fatal(err)
	}
	h.awaitJobs(t, c)
	same(t, "how the start ended", want.job, l.healEnd(t, newest))

	s := l.agree(t, "s")
	if s.Desired != client.DesiredStopped || s.State != client.StateStopped && s.State != client.StateFailed || s.Drift != client.DriftNone || s.Healing != nil {
		t.Errorf("it is %+v, its healing %+v", momentOf(s), s.Healing)
	}
	starts := l.startsOf(t, "s", cursor)
	if want.starts >= 0 {
		same(t, "how often systemd began to start it", want.starts, len(starts))
	}
	for _, began := range starts {
		if began.After(want.none) {
			t.Errorf("it was stopped at %s, and started at %s", want.none, began)
		}
	}
}

// stopper stops the server and releases its healing, and says what must come of
// that.
type stopper func(t *testing.T, b barrier, release func()) stopped

type stopped struct {
	none   time.Time // from when on there was no start
	starts int       // how many there were at all; negative: that depends
	job    string    // how the start's job ended
}

// hold sets the barrier up; release takes it away.
func (l *lab) hold(t *testing.T, b barrier) (release func()) {
	t.Helper()
	if b.point == "" {
		l.write(t, "/etc/hang", "")
		return func() { l.MustRun(t, "rm", "/etc/hang") }
	}
	if err := os.WriteFile(l.DiskPath(state+"/fault.hold"), []byte(b.point), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(l.DiskPath(state + "/fault.held")); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *lab) awaitHeld(t *testing.T, b barrier) {
	t.Helper()
	if b.point == "" {
		l.await(t, "s", "hanging in its start", func(s *client.Server) bool { return s.SubState == "start-pre" })
		return
	}
	ctx := within(t, "the healing comes to "+b.point)
	for {
		_, err := os.Stat(l.DiskPath(state + "/fault.held"))
		switch {
		case err == nil:
			return
		case !errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		case !pause(ctx):
			t.Fatalf("%v; it is\n%s", context.Cause(ctx), l.ctl(t, "show", "s").Stdout)
		}
	}
}

func (l *lab) newestJob(t *testing.T) *client.Job {
	t.Helper()
	jobs, err := l.api(t).Jobs(t.Context(), client.JobsFilter{Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("the newest job: %v, %v", jobs, err)
	}
	return &jobs[0]
}

// stopThroughUs asks for a stop while the healing is held up, and returns when it
// was granted.
func (l *lab) stopThroughUs(t *testing.T, b barrier, release func()) stopped {
	c, sent, granted := l.api(t), make(chan struct{}), make(chan error, 1)
	ctx := httptrace.WithClientTrace(within(t, "the stop"), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
	})
	var stop *client.Job
	go func() {
		var err error
		stop, err = c.Stop(ctx, "s")
		granted <- err
	}()
	<-sent
	if b.claimed {
		release() // only then it can be granted
	}
	if err := <-granted; err != nil {
		t.Fatal(err)
	}
	want := stopped{none: time.Now(), starts: b.through, job: "canceled by the stop"}
	if !b.claimed {
		release()
	}
	l.succeeded(t, stop, nil)
	if b.claimed {
		want.none = time.Now() // what the start did before it was superseded
	}
	return want
}

// stopBehindUs disables and stops the server in a shell.
func (l *lab) stopBehindUs(t *testing.T, b barrier, release func()) stopped {
	l.systemctl(t, "disable", "--now", unit("s"))
	want := stopped{none: time.Now(), starts: b.behind, job: b.job}
	release()
	if b.late {
		(&crashHost{l.Host}).awaitJobs(t, l.api(t))
		want.none = time.Now()
	}
	return want
}

// healEnd says how the start by left4med ended that came after a job, or was it.
func (l *lab) healEnd(t *testing.T, newest *client.Job) string {
	t.Helper()
	jobs, err := l.api(t).Jobs(t.Context(), client.JobsFilter{Server: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var ends []string
	for _, job := range jobs {
		if job.ID < newest.ID || job.RequestedBy.Via != "heal" {
			continue
		}
		end := jobEnd(job)
		if job.SupersededBy != nil {
			end += " by the stop"
		}
		ends = append(ends, end)
	}
	return strings.Join(ends, ", ")
}

// startsOf are the moments since the cursor when systemd began to start the
// server, from the journal.
func (l *lab) startsOf(t *testing.T, name, cursor string) []time.Time {
	t.Helper()
	// systemd's message "Starting …" (sd-messages.h, SD_MESSAGE_UNIT_STARTING).
	const starting = "7d4958e842da4a758f6c1cdc7b36dcc5"
	l.MustRun(t, "journalctl", "--sync", "--quiet")
	out := l.MustRun(t, "journalctl", "--quiet", "--output=json", "--after-cursor="+cursor, "MESSAGE_ID="+starting, "_PID=1")
	var all []time.Time
	for line := range strings.Lines(out) {
		var e struct {
			Unit   string `json:"UNIT"`
			Micros string `json:"_SOURCE_REALTIME_TIMESTAMP"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		us, err := strconv.ParseInt(e.Micros, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if e.Unit == unit(name) {
			all = append(all, time.UnixMicro(us))
		}
	}
	return all
}
