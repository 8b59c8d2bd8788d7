package unitctl

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

// BeginHook starts a unit that the settings name for alerts, as Begin does. It
// starts none of left4med's own.
func (m *Manager) BeginHook(ctx context.Context, unit string) (wait func(context.Context) (JobResult, error), err error) {
	if err := server.CheckHookUnit(unit); err != nil {
		return nil, server.Errorf(server.CodeInternal, "cannot start %s: %v", server.Quote(unit, 80), err)
	}
	return m.enqueue(ctx, "start", "StartUnit", unit)
}
