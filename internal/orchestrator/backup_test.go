package orchestrator

import (
	"testing"

	"github.com/left4med/left4med/internal/server"
)

func TestAnotherRun(t *testing.T) {
	t.Parallel()
	running := server.Unit{Load: "loaded", Active: "active", Sub: "running", InvocationID: "one"}
	stopped := server.Unit{Load: "loaded", Active: "inactive", Sub: "dead", InvocationID: "one"}
	forgotten := server.Unit{Load: "loaded", Active: "inactive", Sub: "dead"}
	other, over := running, stopped
	other.InvocationID, over.InvocationID = "two", "two"
	for _, c := range []struct {
		before, after server.Unit
		want          bool
	}{
		{running, running, false}, {stopped, stopped, false}, {stopped, forgotten, false}, {forgotten, forgotten, false},
		{running, stopped, true}, {running, forgotten, true}, {running, other, true},
		{stopped, other, true}, {stopped, over, true}, {forgotten, over, true},
	} {
		if got := anotherRun(c.before, c.after); got != c.want {
			t.Errorf("%+v and then %+v: %v", c.before, c.after, got)
		}
	}
}
