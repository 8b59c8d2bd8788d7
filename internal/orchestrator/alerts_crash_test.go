package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// crashes is an outbox that ends its goroutine at the nth step: each write has one
// before it and one after it, and each delivery too. All before that lasts, as with
// a daemon that is killed.
type crashes struct {
	outbox
	*webhook
	mu   sync.Mutex
	left int
}

func (c *crashes) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		runtime.Goexit()
	}
}

func (c *crashes) TryAlert(ctx context.Context, id int64, at time.Time) (found, repeated bool, err error) {
	c.step()
	defer c.step()
	return c.outbox.TryAlert(ctx, id, at)
}

func (c *crashes) RetryAlert(ctx context.Context, id int64, unsure bool, due time.Time) error {
	c.step()
	defer c.step()
	return c.outbox.RetryAlert(ctx, id, unsure, due)
}

func (c *crashes) RemoveAlert(ctx context.Context, id int64, entries ...server.HistoryEntry) error {
	c.step()
	defer c.step()
	return c.outbox.RemoveAlert(ctx, id, entries...)
}

// Wherever the daemon and its webhooks fail, each alert arrives, and what arrives
// more than once is marked from the second time on.
func TestNoAlertIsLost(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	lots := rand.New(rand.NewPCG(seed, 0))
	s := alertStore(t)
	// A webhook takes an alert and says so, or takes it and the answer is lost or
	// says something else, or does not get it.
	taken := map[int64]int{}
	var unmarked []int64
	take := func(a server.Alert) {
		if taken[a.ID]++; taken[a.ID] > 1 && !a.Repeated {
			unmarked = append(unmarked, a.ID)
		}
	}
	const alerts, daemons = 40, 60
	stored := 0
	for daemon := range daemons + 1 {
		o := New(Options{Settings: Settings{Alerts: []server.AlertRule{opsRule(t)}}, Store: s, Host: "box"})
		for range 2 {
			if stored < alerts {
				n := o.alerts.notices(fmt.Sprintf("server/%d", stored), "a", server.Alert{Event: server.AlertDown, State: server.AlertFiring, At: time.Now()})
				if err := s.AddAlerts(t.Context(), &store.Alerts{Notices: n}); err != nil {
					t.Fatal(err)
				}
				stored++
			}
		}
		target := o.alerts.targets[0]
		target.pause = func(int) time.Duration { return 0 }
		c := &crashes{outbox: s, left: lots.IntN(14)}
		if daemon == daemons {
			c.left = 1 << 30
		}
		faults := []*probe.Fault{nil, nil, {Code: probe.FaultRefused}, {Code: probe.FaultUnreached}, {Code: probe.FaultStatus, Status: 500}, {Code: probe.FaultNetwork}, {Code: probe.FaultGone}}
		c.webhook = newWebhook(nil)
		c.answer = func(int) error {
			f := faults[lots.IntN(len(faults))]
			if f == nil {
				return nil
			}
			return f
		}
		target.box, o.Probe = c, reporting{c, take}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); target.loop(ctx) }()
		if daemon == daemons {
			awaitNothing(t, s)
			cancel()
		}
		<-done
		cancel()
	}
	if len(taken) != alerts || len(unmarked) > 0 {
		t.Errorf("%d of %d arrived; came again without a mark: %v", len(taken), alerts, unmarked)
	}
}

// reporting is a Probe that says what arrived; without a connection nothing does.
type reporting struct {
	*crashes
	take func(server.Alert)
}

func (r reporting) Deliver(ctx context.Context, d probe.Delivery) (*probe.Delivered, error) {
	r.step()
	answer, err := r.webhook.Deliver(ctx, d)
	if f, ok := err.(*probe.Fault); !ok || f.Code != probe.FaultRefused && f.Code != probe.FaultUnreached {
		r.webhook.mu.Lock()
		r.take(r.got[len(r.got)-1])
		r.webhook.mu.Unlock()
	}
	r.step()
	return answer, err
}

// awaitNothing waits until nothing is to be delivered.
func awaitNothing(t *testing.T, s *store.Store) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		waiting, err := s.WaitingAlerts(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(waiting) == 0 {
			return
		}
	}
	t.Fatal("alerts still wait")
}
