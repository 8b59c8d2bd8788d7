package unitctl

import (
	"context"
	"math"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// usageProperties are what Usage reads of each unit.
var usageProperties = [...]string{"MemoryCurrent", "CPUUsageNSec", "TasksCurrent"}

// usageBatch is of how many units Usage asks at once: few enough that what else
// is asked of systemd does not wait for all of them.
const usageBatch = 32

// Usage reads what units take of the host now, in the order in which they are
// named. They are to be loaded: systemd would load one to answer. What it cannot
// say of a unit is nil; it fails when systemd cannot be asked.
func (m *Manager) Usage(ctx context.Context, units []string) ([]server.Usage, error) {
	l, err := m.live()
	if err != nil {
		return nil, err
	}
	all := make([]server.Usage, 0, len(units))
	for len(all) < len(units) {
		batch := units[len(all):min(len(all)+usageBatch, len(units))]
		var requests []request
		for _, unit := range batch {
			if err := checkUnit(unit); err != nil {
				return nil, err
			}
			for _, p := range usageProperties {
				requests = append(requests, request{unitPathOf(unit), propsFace + ".Get", []any{serviceFace, p}})
			}
		}
		values, err := l.counters(ctx, requests)
		if err != nil {
			return nil, explain("read what the servers use", err)
		}
		for i := range batch {
			v := values[i*len(usageProperties):]
			all = append(all, server.Usage{Memory: v[0], CPU: v[1], Tasks: v[2]})
		}
	}
	return all, nil
}

// counters asks for numbers, all before it waits for the first. One that systemd
// refuses or that is unset, 2^64-1, is nil.
func (l *link) counters(ctx context.Context, requests []request) ([]*uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values := make([]*uint64, len(requests))
	for i, pending := range l.send(ctx, requests) {
		reply, err := l.reply(ctx, pending)
		switch {
		case refusal(err) != "":
			continue
		case err != nil:
			return nil, err
		}
		var v dbus.Variant
		if err := fields(reply.Body, &v); err != nil {
			return nil, err
		}
		if n, ok := v.Value().(uint64); ok && n != math.MaxUint64 {
			values[i] = &n
		}
	}
	return values, nil
}
