package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// noticeOf is one for the rules' targets, as the orchestrator makes it.
func noticeOf(rule, subject string, state server.AlertState, at, due time.Time, targets ...string) Notice {
	return Notice{Subject: subject, Targets: targets, Due: due, Alert: server.Alert{
		Version: 1, Rule: rule, Event: server.AlertDown, State: state, At: at,
	}}
}

// waiting are the alerts for a target, oldest first, as they would be sent at now;
// they are taken out.
func waiting(t *testing.T, s *Store, rule, target string, now time.Time) (all []string) {
	t.Helper()
	for {
		row, _, err := s.NextAlert(t.Context(), rule, target, now)
		must(t, err)
		if row == nil {
			return all
		}
		found, repeated, err := s.TryAlert(t.Context(), row.ID, now)
		must(t, err)
		if !found {
			t.Fatalf("alert %d is not there", row.ID)
		}
		all = append(all, fmt.Sprintf("%s %v %v", row.Alert.State, row.Alert.At.Equal(clock), repeated))
		must(t, s.RemoveAlert(t.Context(), row.ID))
	}
}

// What begins is told once however often it is stored, and its end once, to who
// was told of the beginning.
func TestAlertsAreStoredOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	add := func(n ...Notice) {
		t.Helper()
		must(t, s.SetSeen(t.Context(), nil, nil, &Alerts{Notices: n}))
	}
	begins := noticeOf("ops", "server/1", server.AlertFiring, clock, clock, "webhook", "a@%i.service")
	ends := noticeOf("ops", "server/1", server.AlertResolved, clock.Add(time.Second), time.Time{}, "webhook", "a@%i.service")
	add(ends)
	add(begins, begins)
	add(begins)
	add(ends, ends)
	now := clock.Add(time.Minute)
	same(t, []string{"firing true false", "resolved false false"}, waiting(t, s, "ops", "webhook", now))
	same(t, []string{"firing true false", "resolved false false"}, waiting(t, s, "ops", "a@%i.service", now))
	same(t, []string(nil), waiting(t, s, "dev", "webhook", now))

	// Over before it was due: nobody is told of either.
	begins.Due = clock.Add(time.Hour)
	add(begins, ends)
	same(t, []string(nil), waiting(t, s, "ops", "webhook", clock.Add(2*time.Hour)))
	add(begins)
	_, next, err := s.NextAlert(t.Context(), "ops", "webhook", now)
	must(t, err)
	same(t, begins.Due, next)
	late := ends
	late.Alert.At = begins.Due
	add(late)
	same(t, []string{"firing true false", "resolved false false"}, waiting(t, s, "ops", "webhook", clock.Add(2*time.Hour)))
	same(t, []string{"firing true false", "resolved false false"}, waiting(t, s, "ops", "a@%i.service", clock.Add(2*time.Hour)))

	// Held until somebody knows whether it lasts: it does not, or does.
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: []Notice{begins}}))
	must(t, s.HoldAlerts(t.Context(), clock.Add(2*time.Hour)))
	add(late)
	same(t, []string(nil), waiting(t, s, "ops", "webhook", clock.Add(3*time.Hour)))
	add(begins)
	must(t, s.HoldAlerts(t.Context(), clock.Add(2*time.Hour)))
	same(t, []string(nil), waiting(t, s, "ops", "webhook", clock.Add(time.Hour)))
	add(begins)
	same(t, []string(nil), waiting(t, s, "ops", "webhook", now))
	same(t, []string{"firing true false"}, waiting(t, s, "ops", "webhook", clock.Add(time.Hour)))
	must(t, s.HoldAlerts(t.Context(), clock.Add(3*time.Hour))) // the other target was not told in time
	add(late)
	same(t, []string{"resolved false false"}, waiting(t, s, "ops", "webhook", clock.Add(2*time.Hour)))
	same(t, []string(nil), waiting(t, s, "ops", "a@%i.service", clock.Add(3*time.Hour)))

	// One that was sent without the store may have arrived.
	begins.Sent, begins.Due = true, clock
	add(begins)
	same(t, []string{"firing true true"}, waiting(t, s, "ops", "webhook", now))
}

func TestAlertsAreTriedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i := range 3 {
		n := noticeOf("ops", fmt.Sprintf("server/%d", i), server.AlertFiring, clock.Add(time.Duration(i)), clock, "webhook")
		must(t, s.AddAlerts(t.Context(), &Alerts{Notices: []Notice{n}}))
	}
	now := clock.Add(time.Minute)
	next := func() (int64, int) {
		t.Helper()
		row, _, err := s.NextAlert(t.Context(), "ops", "webhook", now)
		must(t, err)
		return row.ID, row.Attempts
	}
	try := func(id int64) bool {
		t.Helper()
		_, repeated, err := s.TryAlert(t.Context(), id, now)
		must(t, err)
		return repeated
	}
	first, _ := next()
	same(t, false, try(first))
	must(t, s.RetryAlert(t.Context(), first, false, time.Time{})) // surely not arrived
	again, attempts := next()
	same(t, []int64{first, 1}, []int64{again, int64(attempts)})
	same(t, false, try(first))
	same(t, true, try(first)) // killed in between
	must(t, s.RetryAlert(t.Context(), first, false, now.Add(time.Second)))
	second, _ := next() // the first has to wait
	same(t, first+1, second)
	same(t, map[AlertTarget]WaitingAlerts{{"ops", "webhook"}: {3, clock}}, func() map[AlertTarget]WaitingAlerts {
		w, err := s.WaitingAlerts(t.Context(), now)
		must(t, err)
		return w
	}())
	now = now.Add(2 * time.Second)
	same(t, true, try(first)) // it may still have arrived at first
	must(t, s.RemoveAlert(t.Context(), first, server.HistoryEntry{Kind: server.HistoryAlert, To: server.AlertGivenUp}))
	must(t, s.RemoveAlert(t.Context(), first, server.HistoryEntry{Kind: server.HistoryAlert, To: server.AlertGivenUp}))
	same(t, 1, len(history(t, s, server.HistoryFilter{Kinds: []server.HistoryKind{server.HistoryAlert}})))
	found, _, err := s.TryAlert(t.Context(), first, now)
	must(t, err)
	same(t, false, found)
}

// An end is not told while its beginning has to wait; what is of others is.
func TestAlertsKeepTheirTurn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	now := clock.Add(time.Minute)
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: []Notice{
		noticeOf("ops", "server/1", server.AlertFiring, clock, clock, "webhook"),
		noticeOf("ops", "server/1", server.AlertResolved, clock, clock, "webhook"),
		noticeOf("ops", "server/2", server.AlertFiring, clock, clock, "webhook"),
	}}))
	next := func(now time.Time) (id int64, due time.Time) {
		t.Helper()
		row, due, err := s.NextAlert(t.Context(), "ops", "webhook", now)
		must(t, err)
		if row != nil {
			id = row.ID
		}
		return id, due
	}
	_, _, err := s.TryAlert(t.Context(), 1, now)
	must(t, err)
	must(t, s.RetryAlert(t.Context(), 1, false, now.Add(time.Hour)))
	id, _ := next(now)
	same(t, int64(3), id)
	must(t, s.RemoveAlert(t.Context(), 3))
	id, due := next(now)
	same(t, int64(0), id)
	same(t, now.Add(time.Hour), due)
	now = now.Add(time.Hour)
	id, _ = next(now)
	same(t, int64(1), id)
	must(t, s.RemoveAlert(t.Context(), 1))
	id, _ = next(now)
	same(t, int64(2), id)
}

// When too many wait the newest are kept, and the history says so.
func TestTooManyAlerts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var n []Notice
	for i := range maxAlerts + 1 {
		n = append(n, noticeOf("ops", fmt.Sprintf("server/%d", i), server.AlertFiring, clock, clock, "webhook"))
	}
	set := Alerts{Notices: n}
	must(t, s.SetSeen(t.Context(), nil, nil, &set))
	same(t, 1, len(set.Dropped))
	same(t, "the oldest 100 of rule ops for webhook: more than 1000 waited", set.Dropped[0].Detail)
	same(t, 1, len(history(t, s, server.HistoryFilter{})))
	row, _, err := s.NextAlert(t.Context(), "ops", "webhook", clock)
	must(t, err)
	same(t, int64(maxAlerts/10+1), row.ID)
}

// What has no rule or no subject any more goes.
func TestKeepAlerts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var n []Notice
	for _, rule := range []string{"ops", "dev"} {
		for _, subject := range []string{"server/1", "server/2"} {
			n = append(n, noticeOf(rule, subject, server.AlertFiring, clock, clock, "webhook", "a.service"))
		}
	}
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: n}))
	removed, err := s.KeepAlerts(t.Context(), []AlertTarget{{"ops", "webhook"}}, func(subject string) bool { return subject == "server/1" })
	must(t, err)
	same(t, map[AlertTarget]int64{{"ops", "a.service"}: 2, {"dev", "webhook"}: 2, {"dev", "a.service"}: 2}, removed)
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: n})) // of the four, three are news
	now := clock.Add(time.Second)
	same(t, 3, len(waiting(t, s, "ops", "webhook", now)))
	same(t, 2, len(waiting(t, s, "dev", "webhook", now)))
}

// The end of a server is the end of what was told of it, and nothing begins after.
func TestAlertsOfADeletedServer(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	row, _ := create(t, s, "a", 27015)
	begins := noticeOf("ops", "server/1", server.AlertFiring, clock, clock, "webhook")
	ends := noticeOf("ops", "server/1", server.AlertResolved, clock.Add(time.Second), time.Time{}, "webhook")
	begins.Alert.ServerID, ends.Alert.ServerID = row.ID, row.ID
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: []Notice{begins}}))
	must(t, s.DeleteServer(t.Context(), row.ID, &Alerts{Notices: []Notice{ends}}))
	must(t, s.DeleteServer(t.Context(), row.ID, &Alerts{Notices: []Notice{ends}}))
	must(t, s.AddAlerts(t.Context(), &Alerts{Notices: []Notice{begins}}))
	same(t, []string{"firing true false", "resolved false false"}, waiting(t, s, "ops", "webhook", clock.Add(time.Minute)))
}

// partAlerts puts on record what it sees, and delivers what is to be told of it to
// who reads its output, until it is killed.
func partAlerts(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(dir, "state.db"), zerolog.Nop())
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() {
		for {
			subject := fmt.Sprintf("server/%d", rand.Int64())
			err := s.SetSeen(ctx, nil, []server.HistoryEntry{{Kind: server.HistoryDrift, Detail: subject}}, &Alerts{Notices: []Notice{
				noticeOf("ops", subject, server.AlertFiring, time.Now(), time.Time{}, "webhook"),
			}})
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() { failed <- deliver(ctx, s) }()
	return <-failed
}

func deliver(ctx context.Context, s *Store) error {
	for {
		row, _, err := s.NextAlert(ctx, "ops", "webhook", time.Now())
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		_, repeated, err := s.TryAlert(ctx, row.ID, time.Now())
		if err != nil {
			return err
		}
		fmt.Printf("%d %v\n", row.ID, repeated)
		if err := s.RemoveAlert(ctx, row.ID); err != nil {
			return err
		}
	}
}

// Of whatever is on record after kill -9, who is to be told was told or will be,
// and what came twice was marked.
func TestKillLosesNoAlert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	came := map[string]bool{}
	for range 12 {
		cmd := part(t, "alerts", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewReader(out)
		for n, end := 0, r.IntN(30); ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			if n == end {
				time.Sleep(time.Duration(r.IntN(1500)) * time.Microsecond) // somewhere within the next
				must(t, cmd.Process.Kill())
			}
			id, repeated, _ := strings.Cut(strings.TrimSpace(line), " ")
			if came[id] && repeated != "true" {
				t.Errorf("alert %s came twice and was not marked", id)
			}
			came[id] = true
		}
		_ = cmd.Wait() // killed
	}
	s := openAt(t, filepath.Join(dir, "state.db"))
	seen := len(history(t, s, server.HistoryFilter{Limit: 1 << 30}))
	for {
		row, _, err := s.NextAlert(t.Context(), "ops", "webhook", time.Now())
		must(t, err)
		if row == nil {
			break
		}
		came[fmt.Sprint(row.ID)] = true
		must(t, s.RemoveAlert(t.Context(), row.ID))
	}
	if len(came) != seen {
		t.Errorf("%d were seen, and %d told or waiting", seen, len(came))
	}
}
