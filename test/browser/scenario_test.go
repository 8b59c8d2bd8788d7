package browser

import (
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// TestScenario is what a person does with the page, from the first sign-in on; see
// scenario.mjs. Every page is looked at by axe, and pictures of it are kept.
func TestScenario(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		b := newBench(t, release)
		b.configure(t, "[start]\nsettle = \"1s\"\n[query]\ninterval = \"5s\"\n")
		b.drive(t, 8*time.Minute, "scenario.mjs", b.hands())
	})
}
