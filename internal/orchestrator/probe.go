package orchestrator

import (
	"context"

	"github.com/left4med/left4med/internal/probe"
)

// Probe speaks to games and webhooks for the daemon, which has no network. Its
// errors are *probe.Fault, or the context's.
type Probe interface {
	Query(context.Context, probe.Query) (*probe.Answer, error)
	RCON(context.Context, probe.Command) (*probe.Output, error)
	Deliver(context.Context, probe.Delivery) (*probe.Delivered, error)
}
