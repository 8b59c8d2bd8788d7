package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestAudit looks for who did what where an operator would: in the history and
// in the journal.
func TestAudit(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.shell(t, "useradd --create-home someone; useradd --create-home --groups left4med-operators op")
		l.create(t, "a")
		t.Run("JobsCarryWhoAsked", func(t *testing.T) { auditJobs(t, l) })
		t.Run("RefusalsCarryWhoAsked", func(t *testing.T) { auditRefusals(t, l) })
		t.Run("CrashLosesNothing", func(t *testing.T) { auditCrash(t, l) })
		t.Run("JournaldComesAndGoes", func(t *testing.T) { auditWithoutJournald(t, l) })
	})
}

// logged is an entry of the daemon's in the journal.
type logged struct {
	Message    string `json:"MESSAGE"`
	Priority   string `json:"PRIORITY"`
	Identifier string `json:"SYSLOG_IDENTIFIER"`
	Server     string `json:"SERVER"`
	Job        string `json:"JOB"`
	UID        string `json:"UID"`
	User       string `json:"USER"`
	Via        string `json:"VIA"`
	Verb       string `json:"VERB"`
	State      string `json:"STATE"`
	Code       string `json:"CODE"`
}

// journal reads the daemon's entries that match.
func (l *lab) journal(t *testing.T, matches ...string) []logged {
	t.Helper()
	l.MustRun(t, "journalctl", "--sync", "--quiet")
	out := l.MustRun(t, "journalctl", slices.Concat([]string{"--quiet", "--all", "--output=json", "_SYSTEMD_UNIT=left4med.service"}, matches)...)
	entries := []logged{}
	for line := range strings.Lines(out) {
		var e logged
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

func (l *lab) user(t *testing.T, name string) machine.User {
	t.Helper()
	u, err := l.LookupUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// deeds are the kinds of entries that tell who asked for something. What became
// of it is told by others.
var deeds = []client.HistoryKind{client.HistoryJob, client.HistoryChange, client.HistoryRefusal}

// history is the newest n deeds, oldest first, without what differs from run
// to run.
func (l *lab) history(t *testing.T, name string, n int) []client.HistoryEntry {
	t.Helper()
	entries, err := l.api(t).History(t.Context(), client.HistoryFilter{Server: name, Kinds: deeds, Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	for i := range entries {
		entries[i].ID, entries[i].At = 0, time.Time{}
		if entries[i].From != "" {
			entries[i].From = "…" // queued, or running
		}
	}
	return entries
}

func auditJobs(t *testing.T, l *lab) {
	op := l.user(t, "op")
	uid := strconv.Itoa(op.UID)
	if out, err := l.as(t.Context(), op, "l4d2ctl", "start", "a"); err != nil {
		t.Fatal(err, out)
	}
	l.MustCtl(t, "stop", "a")
	l.MustCtl(t, "initialize", "a", "--map", "c2m1_highway")

	by := &client.Requester{UID: uint32(op.UID), User: "op", Via: "http"}
	root := &client.Requester{User: "root", Via: "http"}
	id := l.server(t, "a").ID
	start := client.HistoryEntry{Server: "a", ServerID: id, Kind: client.HistoryJob, What: "start", To: "queued", Job: 2, By: by}
	started := start
	started.From, started.To = "…", "succeeded"
	stop, stopped := start, started
	stop.What, stop.Job, stop.By = "stop", 3, root
	stopped.What, stopped.Job, stopped.By = "stop", 3, root
	change := client.HistoryEntry{Server: "a", ServerID: id, Kind: client.HistoryChange, What: "change", By: root, Detail: "map c1m1_hotel -> c2m1_highway"}
	same(t, "the history", []client.HistoryEntry{start, started, stop, stopped, change}, l.history(t, "a", 5))

	entry := logged{
		Message: "a: start asked for, job 2 (op, uid " + uid + ")", Priority: "6", Identifier: "left4med",
		Server: "a", Job: "2", UID: uid, User: "op", Via: "http", Verb: "start", State: "queued",
	}
	end := entry
	end.Message, end.State = "a: start succeeded, job 2 (op, uid "+uid+")", "succeeded"
	same(t, "the journal, by uid", []logged{entry, end}, l.journal(t, "UID="+uid, "VERB=start"))
	same(t, "the journal, by job", []logged{entry, end}, l.journal(t, "SERVER=a", "JOB=2", "VERB=start"))
	contains(t, l.MustRun(t, "journalctl", "-u", "left4med", "-o", "cat"), entry.Message+"\n", "a: change (root, uid 0): map c1m1_hotel -> c2m1_highway\n")

	out, err := l.as(t.Context(), op, "l4d2ctl", "history", "a", "-n", "5", "--kind", "job,change,refusal")
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for line := range strings.Lines(out) {
		read = append(read, strings.Join(strings.Split(strings.TrimSpace(line), "\t")[2:], "|"))
	}
	same(t, "l4d2ctl history", []string{
		"SERVER|KIND|BY|SEEN|WHAT", "a|job|op|-|start asked for, job 2", "a|job|op|-|start succeeded, job 2",
		"a|job|root|-|stop asked for, job 3", "a|job|root|-|stop succeeded, job 3", "a|change|root|-|change: map c1m1_hotel -> c2m1_highway",
	}, read)
	if out, err := l.as(t.Context(), l.user(t, "someone"), "l4d2ctl", "history"); err == nil {
		t.Errorf("a user without rights reads the history:\n%s", out)
	}
}

// auditRefusals asks for what cannot be, once and then in a flood.
func auditRefusals(t *testing.T, l *lab) {
	op := l.user(t, "op")
	uid := strconv.Itoa(op.UID)
	ask := func(path string) {
		t.Helper()
		out, err := l.as(t.Context(), op, "curl", "--silent", "--show-error", "--output", "/dev/null", "--request", "POST",
			"--unix-socket", host.Socket, "http://x"+path)
		if err != nil {
			t.Fatal(err, out)
		}
	}
	ask("/v1/servers/absent/stop")
	ask("/v1/servers/n[1-300]/stop")
	l.systemctl(t, "restart", "left4med.service") // what waits is stored at its end

	want := []client.HistoryEntry{{
		Server: "absent", Kind: client.HistoryRefusal, What: "stop", By: &client.Requester{UID: uint32(op.UID), User: "op", Via: "http"},
		Code: client.CodeServerNotFound, Detail: "there is no server \"absent\"; `l4d2ctl list` shows which there are",
	}}
	same(t, "the refusal in the history", want, l.history(t, "absent", 10))
	same(t, "the refusal in the journal", []logged{{
		Message: "absent: stop refused (op, uid " + uid + "): " + want[0].Detail, Priority: "4", Identifier: "left4med",
		Server: "absent", UID: uid, User: "op", Via: "http", Verb: "stop", Code: "server-not-found",
	}}, l.journal(t, "SERVER=absent"))

	all := l.history(t, "", 100)
	refusals := slices.DeleteFunc(all, func(e client.HistoryEntry) bool {
		return e.Kind != client.HistoryRefusal || e.By.UID != uint32(op.UID)
	})
	if len(refusals) != 21 {
		t.Fatalf("of 301 refusals %d are on record, want 20 and their sum", len(refusals))
	}
	contains(t, refusals[20].Detail, "and 281 more refusals of uid "+uid)
	same(t, "their sum in the journal", 21, len(l.journal(t, "UID="+uid, "PRIORITY=4")))
}

// auditCrash kills the daemon as soon as it has said that a job is stored.
func auditCrash(t *testing.T, l *lab) {
	c, crash := l.api(t), &crashHost{l.Host}
	var jobs []*client.Job
	for i := range 6 {
		ask := c.Start
		if i%2 == 1 {
			ask = c.Stop
		}
		job, err := ask(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := crash.kill(within(t, "the daemon's death")); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, l.ended(t, job, nil))
	}
	got := map[int64][]string{}
	for _, e := range l.history(t, "a", 100) {
		got[e.Job] = append(got[e.Job], fmt.Sprintf("%s %s %s", e.By.User, e.What, e.To))
	}
	for _, job := range jobs {
		want := []string{fmt.Sprintf("root %s queued", job.Kind), fmt.Sprintf("root %s %s", job.Kind, job.State)}
		same(t, fmt.Sprintf("the history of job %d", job.ID), want, got[job.ID])
	}
}

// auditWithoutJournald takes journald away. The daemon goes on, and speaks to
// the one that comes.
func auditWithoutJournald(t *testing.T, l *lab) {
	l.systemctl(t, "reset-failed")
	pid := l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service")
	l.systemctl(t, "restart", "systemd-journald.service")
	l.MustCtl(t, "initialize", "a", "--map", "c3m1_plankcountry")
	const all = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service"
	l.shell(t, "systemctl stop "+all)
	l.MustCtl(t, "initialize", "a", "--map", "c4m1_milltown_a")
	l.shell(t, "systemctl start "+all)
	l.MustCtl(t, "initialize", "a", "--map", "c5m1_waterfront")
	same(t, "the daemon's process", pid, l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service"))
	var maps []string
	for _, e := range l.journal(t, "VERB=change") {
		_, to, _ := strings.Cut(e.Message, " -> ")
		maps = append(maps, to)
	}
	slices.Sort(maps)
	maps = slices.DeleteFunc(slices.Compact(maps), func(m string) bool { return m == "c2m1_highway" || m == "c4m1_milltown_a" })
	same(t, "what the journal has", []string{"c3m1_plankcountry", "c5m1_waterfront"}, maps)
	same(t, "what the history has", "map c4m1_milltown_a -> c5m1_waterfront", l.history(t, "a", 1)[0].Detail)
}
