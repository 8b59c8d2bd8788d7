package bench_test

import (
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// The limits that were asked for.
const (
	reactLimit = 3   // an observation against a bare listener's
	eachLimit  = 0.2 // one start of a hundred against systemctl one by one
)

// BenchmarkRelease measures everything on each release, once however large b.N
// is, and fails where a limit is exceeded.
func BenchmarkRelease(b *testing.B) {
	for _, release := range machine.Releases() {
		b.Run(string(release), func(b *testing.B) {
			measureRelease(b, release, size{
				servers: 200, reactions: 100,
				batch: 100, rounds: 3,
				resyncs: 20, idle: time.Minute, listing: 3 * time.Second,
				reactLimit: reactLimit, eachLimit: eachLimit,
			})
		})
	}
}

// BenchmarkInstances measures what a hundred instances of one installation cost, on
// each release.
func BenchmarkInstances(b *testing.B) {
	for _, release := range machine.Releases() {
		b.Run(string(release), func(b *testing.B) {
			measureInstances(b, release, size{batch: 100, stops: 3})
		})
	}
}

// TestRatios measures a little of the same, to notice a regression.
//
// A dozen runs on a machine that other tests share may have a median that is
// off: the limit of observations is half as much again. How much is saved by
// starting servers together depends on their number and on what else the machine
// does, so one call of systemctl with all names is a yardstick too. The limits are
// about twice what runs on an idle machine showed.
func TestRatios(t *testing.T) {
	for _, release := range machine.Releases() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel() // much of the time is spent waiting for calm
			measureRelease(t, release, size{
				servers: 12, reactions: 12,
				batch: 12, rounds: 1, stops: 1,
				reactLimit: 1.5 * reactLimit, eachLimit: 0.75, oneLimit: 2,
			})
		})
	}
}
