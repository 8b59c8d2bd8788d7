//go:build !faults

package orchestrator

import (
	"time"

	"github.com/left4med/left4med/internal/unitctl"
)

// faults are the places where a test has the daemon killed or held up: behind
// each thing that a job makes lasting, and before what cannot be taken back. A
// test can also make it deaf. In the shipped daemon they are nothing; fault_on.go
// has the others.
type faults struct{}

func (*faults) pass(string) {}

func (*faults) hears(unitctl.EventKind) bool { return true }

func (*faults) pace(interval, patience time.Duration) (time.Duration, time.Duration) {
	return interval, patience
}
