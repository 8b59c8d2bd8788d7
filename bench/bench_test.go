package bench_test

import (
	"os"
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// BenchmarkRelease measures everything on each release, once however large b.N
// is, and fails where a limit is exceeded.
func BenchmarkRelease(b *testing.B) {
	for _, release := range machine.Releases() {
		b.Run(string(release), func(b *testing.B) {
			r := measureRelease(b, release, size{
				servers: 200, reactions: 100,
				batch: 100, rounds: 3,
				resyncs: 20, idle: time.Minute, listing: 3 * time.Second,
				reactLimit: 3, eachLimit: 0.2,
			})
			if err := r.print(os.Stdout); err != nil {
				b.Error(err)
			}
			for _, over := range r.exceeded() {
				b.Error(over)
			}
		})
	}
}

// TestRatios measures a little of it, to notice a regression.
func TestRatios(t *testing.T) {
	for _, release := range machine.Releases() {
		t.Run(string(release), func(t *testing.T) {
			r := measureRelease(t, release, size{
				servers: 20, reactions: 15,
				batch: 20, rounds: 1,
				resyncs: 5, idle: time.Second, listing: time.Second,
				reactLimit: 3, eachLimit: 0.5,
			})
			if err := r.print(os.Stdout); err != nil {
				t.Error(err)
			}
			for _, over := range r.exceeded() {
				t.Error(over)
			}
		})
	}
}
