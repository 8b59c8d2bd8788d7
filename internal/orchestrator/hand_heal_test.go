package orchestrator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
)

// A probe that hangs is killed after half a minute, and then every five minutes.
func TestAProbeThatHangsIsKilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		p.answers(gives(probe.Answer{Map: "c1m1_hotel"}))
		o := withGames(p, 3)
		began := time.Now()
		var killed []time.Duration
		o.queries.heal.kill = func(context.Context) error {
			killed = append(killed, time.Since(began).Round(10*time.Second))
			if len(killed) == 1 {
				return errors.New("no")
			}
			p.answers(gives(probe.Answer{Map: "c1m1_hotel"})) // the next one
			return nil
		}
		stop := asking(t, o)
		time.Sleep(time.Minute)
		hangs := func(ctx context.Context, _ probe.Query) (*probe.Answer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p.answers(hangs)
		time.Sleep(10 * time.Minute)
		if g := gameNow(t, o, "s1"); g == nil || !g.Reachable {
			t.Errorf("the game after all: %+v", g)
		}
		// It hangs again.
		p.answers(hangs)
		time.Sleep(10 * time.Minute)
		stop()
		const minute = time.Minute
		want := []time.Duration{3 * minute / 2, 13 * minute / 2, 23 * minute / 2} // the second after the rest
		if diff := cmp.Diff(want, killed); diff != "" {
			t.Errorf("killed at (-want +got):\n%s", diff)
		}
	})
}

// Whoever answers, is not there, or was not waited for, does not hang.
func TestAProbeThatIsNotKilled(t *testing.T) {
	t.Parallel()
	timeout := &probe.Fault{Code: probe.FaultGone, Detail: "left4med-probe does not answer", Hung: true}
	for name, c := range map[string]struct {
		between error
		want    int
	}{
		"hangs":              {timeout, 1},
		"who asked is gone":  {context.Canceled, 1},
		"answers":            {nil, 0},
		"tells of a game":    {&probe.Fault{Code: probe.FaultSilent}, 0},
		"has much to do":     {&probe.Fault{Code: probe.FaultBusy}, 0},
		"cannot be reached":  {&probe.Fault{Code: probe.FaultGone}, 0},
		"talks nonsense":     {&probe.Fault{Code: probe.FaultNonsense}, 0},
		"is out of time too": {context.DeadlineExceeded, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := withGames(&fakeProbe{}, 0)
				killed := 0
				o.queries.heal.kill = func(context.Context) error { killed++; return nil }
				for _, err := range []error{timeout, c.between} {
					o.queries.note(err, true)
					time.Sleep(handHang / 2)
				}
				if killed > 0 {
					t.Error("killed too early")
				}
				o.queries.note(timeout, true)
				if killed != c.want {
					t.Errorf("killed %d times, want %d", killed, c.want)
				}
			})
		})
	}
}
