package host

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// Result is how a command ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Ctl runs l4d2ctl inside as root and says how it ended. The error is only for
// what kept it from running.
func (h *Host) Ctl(ctx context.Context, args ...string) (Result, error) {
	out, err := h.Output(ctx, "l4d2ctl", args...)
	var failed *machine.CommandError
	if errors.As(err, &failed) && failed.ExitCode >= 0 {
		return Result{Code: failed.ExitCode, Stdout: failed.Stdout, Stderr: failed.Stderr}, nil
	}
	return Result{Stdout: out}, err
}

// MustCtl runs l4d2ctl inside as root and returns its standard output; the test
// fails at once when it does.
func (h *Host) MustCtl(t testing.TB, args ...string) string {
	t.Helper()
	return h.MustRun(t, "l4d2ctl", args...)
}

// Await follows the events until the server is as cond wants it, and returns
// it. cond also sees the state at the beginning; a server that does not exist,
// or no longer, is nil.
func (h *Host) Await(ctx context.Context, name string, cond func(*client.Server) bool) (*client.Server, error) {
	c := h.Client()
	defer c.Close()
	return Await(ctx, c, name, cond)
}

// Await is Host.Await for whatever host a client speaks to.
func Await(ctx context.Context, c *client.Client, name string, cond func(*client.Server) bool) (*client.Server, error) {
	for {
		snap, err := c.Servers(ctx)
		if err != nil {
			return nil, err
		}
		var now *client.Server
		for i := range snap.Servers {
			if string(snap.Servers[i].Name) == name {
				now = &snap.Servers[i]
			}
		}
		if cond(now) {
			return now, nil
		}
		now, err = awaitEvent(ctx, c, snap.EventID, name, cond)
		if !errors.Is(err, errAgain) {
			return now, err
		}
	}
}

var errAgain = errors.New("read the servers again")

func awaitEvent(ctx context.Context, c *client.Client, after uint64, name string, cond func(*client.Server) bool) (*client.Server, error) {
	var last *client.Server
	for ev, err := range c.Events(ctx, client.EventsOptions{After: after}) {
		switch {
		case err != nil:
			return last, fmt.Errorf("the server %s did not become what was waited for; it is %+v: %w", name, last, err)
		case ev.Type == client.EventReset:
			return nil, errAgain
		case ev.Server != nil && string(ev.Server.Name) == name:
			if last = ev.Server; cond(last) {
				return last, nil
			}
		case ev.Deleted != nil && string(ev.Deleted.Name) == name:
			if last = nil; cond(nil) {
				return nil, nil
			}
		}
	}
	return last, errAgain
}

// MustAwait is Await for a test, which fails at once when the server does not
// become so before the test's own deadline or context ends.
func (h *Host) MustAwait(t testing.TB, ctx context.Context, name string, cond func(*client.Server) bool) *client.Server {
	t.Helper()
	s, err := h.Await(ctx, name, cond)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// InState is a condition for Await.
func InState(state client.State) func(*client.Server) bool {
	return func(s *client.Server) bool { return s != nil && s.State == state }
}
