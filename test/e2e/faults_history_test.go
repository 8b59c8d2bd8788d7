package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// row is an entry of the history, without what no test can know before.
type row struct {
	Server string
	Kind   client.HistoryKind
	What   string
	From   string // not of jobs
	To     string
	Detail string // a regular expression for all of it
	SeenBy string // who may have seen it: one of those between "|"
	By     string
	Code   client.Code
	Job    int // counted from the first since the last comparison
}

// Who may see something first: what systemd signals, what it signals and a resync
// follows (after a reload), and what comes of a job of ours.
const (
	bySignal = "signal"
	byReload = "signal|resync"
	byJob    = "signal|resync|job"
)

// deafened is who may have seen it without signals.
func deafened(by string) string {
	switch by {
	case "":
		return ""
	case byJob:
		return "resync|job"
	}
	return "resync"
}

const aPID = `(?:a new run that was not seen to begin: )?pid \d+(?:, restarted \d+ times)?`

// Rows of what becomes of a server.
func stateRow(server string, from, to client.State, detail, by string) row {
	return row{Server: server, Kind: client.HistoryState, What: "state", From: string(from), To: string(to), Detail: detail, SeenBy: by}
}

func driftRow(server string, from, to client.Drift, by string) row {
	return row{Server: server, Kind: client.HistoryDrift, What: "drift", From: string(from), To: string(to), SeenBy: by}
}

func desiredRow(server string, to client.Desired, by string) row {
	r := row{Server: server, Kind: client.HistoryDesired, What: "enable", From: string(client.DesiredStopped), To: string(to), SeenBy: by}
	if to == client.DesiredStopped {
		r.What, r.From = "disable", string(client.DesiredRunning)
	}
	return r
}

// jobRows are the beginning and the end of a job that root asks for.
func jobRows(job int, server string, kind client.JobKind, end client.JobState) []row {
	queued := row{Server: server, Kind: client.HistoryJob, What: string(kind), To: string(client.JobQueued), By: "root http", Job: job}
	ended := queued
	ended.To = string(end)
	return []row{queued, ended}
}

// during says that job was under way.
func (r row) during(job int) row {
	r.Job = job
	if r.Kind == client.HistoryDesired {
		r.By = "root http"
	}
	return r
}

// newEntries are the entries since the last comparison, oldest first.
func (l *faultLab) newEntries(t *testing.T) []client.HistoryEntry {
	t.Helper()
	entries, err := l.api(t).History(t.Context(), client.HistoryFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	return slices.DeleteFunc(entries, func(e client.HistoryEntry) bool { return e.ID <= l.read })
}

// compareHistory wants exactly the fault's rows since the last comparison. The
// history is written a moment after the API shows what it tells.
func (l *faultLab) compareHistory(t *testing.T, x fault) {
	t.Helper()
	want := slices.Clone(x.rows)
	passing := append([]string{string(client.StateStarting), string(client.StateStopping)}, x.passing...)
	if l.deaf {
		passing = append(passing, string(client.StateRestarting))
		for i := range want {
			want[i].SeenBy = deafened(want[i].SeenBy)
		}
	}
	want = ordered(fold(want, passing))
	ctx := within(t, "the history is written")
	for {
		entries := l.newEntries(t)
		diff := gocmp.Diff(want, fit(ordered(fold(rowsOf(entries), passing)), want))
		if diff == "" {
			whole(t, entries)
			for _, e := range entries {
				l.read = e.ID
			}
			return
		}
		if !pause(ctx) {
			t.Fatalf("the history (-want +got):\n%s\nwhich is, as it stands:\n%s", diff, listed(entries))
		}
	}
}

func listed(entries []client.HistoryEntry) string {
	var s strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&s, "%s %s %s (%s) %s\n", e.At.Format("15:04:05.000"), e.Server, e.Words(), e.SeenBy, e.Detail)
	}
	return s.String()
}

func rowsOf(entries []client.HistoryEntry) []row {
	var rows []row
	jobs := map[int64]int{0: 0}
	for _, e := range entries {
		if _, known := jobs[e.Job]; !known {
			jobs[e.Job] = len(jobs)
		}
		r := row{
			Server: e.Server, Kind: e.Kind, What: e.What, From: e.From, To: e.To,
			Detail: e.Detail, SeenBy: e.SeenBy, Code: e.Code, Job: jobs[e.Job],
		}
		if e.By != nil {
			r.By = e.By.User + " " + string(e.By.Via)
		}
		if e.Kind == client.HistoryJob {
			r.From = "" // its end may come before its begin was noted
		}
		rows = append(rows, r)
	}
	return rows
}

// fold leaves out of each server's states and drifts those that it only passed
// through: what lasts for a moment systemd does not always tell of.
func fold(rows []row, passing []string) []row {
	type chain struct {
		server string
		kind   client.HistoryKind
	}
	var folded []row
	began := map[chain]string{}
	for i, r := range rows {
		of := chain{r.Server, r.Kind}
		if r.Kind != client.HistoryState && r.Kind != client.HistoryDrift {
			folded = append(folded, r)
			continue
		}
		from, under := began[of]
		if under {
			r.From = from
		}
		last := !slices.ContainsFunc(rows[i+1:], func(n row) bool { return n.Server == r.Server && n.Kind == r.Kind })
		if slices.Contains(passing, r.To) && !last {
			began[of] = r.From
			continue
		}
		delete(began, of)
		if r.From != r.To || r.To == string(client.StateRunning) {
			folded = append(folded, r)
		}
	}
	return folded
}

// ordered sorts by server and kind, each in its own order: which of two kinds is
// seen first is not the same each time. That a job's entries lie around what came
// of it, whole looks at.
func ordered(rows []row) []row {
	slices.SortStableFunc(rows, func(x, y row) int {
		return cmp.Or(strings.Compare(x.Server, y.Server), strings.Compare(string(x.Kind), string(y.Kind)))
	})
	return rows
}

// fit gives got the patterns of want where it fits them.
func fit(got, want []row) []row {
	for i := range min(len(got), len(want)) {
		if regexp.MustCompile("^(?:" + want[i].Detail + ")$").MatchString(got[i].Detail) {
			got[i].Detail = want[i].Detail
		}
		if got[i].SeenBy != "" && slices.Contains(strings.Split(want[i].SeenBy, "|"), got[i].SeenBy) {
			got[i].SeenBy = want[i].SeenBy
		}
	}
	return got
}

// whole wants each entry to go on from where the one before it left off, and what
// came of a job to stand between its beginning and its end.
func whole(t *testing.T, entries []client.HistoryEntry) {
	t.Helper()
	type chain struct {
		server string
		kind   client.HistoryKind
	}
	at, jobs := map[chain]string{}, map[int64]string{}
	for _, e := range entries {
		switch e.Kind {
		case client.HistoryState, client.HistoryDrift, client.HistoryDesired:
			of := chain{e.Server, e.Kind}
			if was, known := at[of]; known && was != e.From {
				t.Errorf("the %s of %s goes from %s to %s, and was %s", e.Kind, e.Server, e.From, e.To, was)
			}
			at[of] = e.To
			if e.Job != 0 && jobs[e.Job] != string(client.JobQueued) {
				t.Errorf("a %s of %s came of job %d, which is %q", e.Kind, e.Server, e.Job, jobs[e.Job])
			}
		case client.HistoryJob:
			jobs[e.Job] = e.To
		}
	}
	if t.Failed() {
		t.Log("the history:\n" + listed(entries))
	}
}

// pause waits a moment for what nothing tells of, and says whether to go on.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}
