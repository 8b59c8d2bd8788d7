package unitctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// Snapshot is what systemd says of all units of ours at one moment.
type Snapshot struct {
	// Units holds the units that systemd has loaded, with Load, Active, Sub,
	// Job and JobType set and nothing else. A unit that is absent is inactive.
	Units map[string]server.Unit
	// Stamp is the moment: signals stamped before it are in the snapshot.
	Stamp Stamp
}

// Snapshot lists the units of our template, in one call.
func (m *Manager) Snapshot(ctx context.Context) (Snapshot, error) {
	const doing = "list the servers' units"
	l, err := m.live()
	if err != nil {
		return Snapshot{}, err
	}
	reply, err := l.call(ctx, managerPath, managerFace+".ListUnitsByPatterns", []string{}, []string{server.UnitPattern})
	if err != nil {
		return Snapshot{}, explain(doing, err)
	}
	units, err := decodeUnits(reply.Body)
	if err != nil {
		return Snapshot{}, explain(doing, err)
	}
	return Snapshot{Units: units, Stamp: l.stamp(reply)}, nil
}

// decodeUnits reads the reply to ListUnitsByPatterns, a(ssssssouso): name,
// description, load, active and sub state, the unit that this one follows, its
// path, and its job's id, type and path.
func decodeUnits(body []any) (map[string]server.Unit, error) {
	if len(body) != 1 {
		return nil, fmt.Errorf("has %d fields instead of 1", len(body))
	}
	rows, ok := body[0].([][]any)
	if !ok {
		return nil, fmt.Errorf("is %T instead of a list of units", body[0])
	}
	units := make(map[string]server.Unit, len(rows))
	for _, row := range rows {
		var (
			name, description, load, active, sub, follows, jobType string
			path, jobPath                                          dbus.ObjectPath
			job                                                    uint32
		)
		if err := fields(row, &name, &description, &load, &active, &sub, &follows, &path, &job, &jobType, &jobPath); err != nil {
			return nil, fmt.Errorf("unit %d: %w", len(units), err)
		}
		if _, ok := server.Instance(name); !ok {
			continue
		}
		units[strings.Clone(name)] = server.Unit{
			Load: strings.Clone(load), Active: strings.Clone(active), Sub: strings.Clone(sub), Job: job, JobType: strings.Clone(jobType),
		}
	}
	return units, nil
}

// Unit reads all that systemd says of one unit, and the moment at which it said
// it. Systemd loads a unit that it has not loaded for this, and may tell so by
// Appeared and Removed; a unit without a unit file gives Load "not-found".
func (m *Manager) Unit(ctx context.Context, unit string) (server.Unit, Stamp, error) {
	doing := "read the state of " + unit
	if err := checkUnit(unit); err != nil {
		return server.Unit{}, Stamp{}, err
	}
	l, err := m.live()
	if err != nil {
		return server.Unit{}, Stamp{}, err
	}
	// The empty interface asks for the properties of all, as systemctl show
	// does: one answer, all of one moment.
	reply, err := l.call(ctx, unitPathOf(unit), propsFace+".GetAll", "")
	if err != nil {
		return server.Unit{}, Stamp{}, explain(doing, err)
	}
	var props map[string]dbus.Variant
	if err := fields(reply.Body, &props); err != nil {
		return server.Unit{}, Stamp{}, explain(doing, err)
	}
	change, err := decodeProperties(props)
	if err != nil {
		return server.Unit{}, Stamp{}, explain(doing, err)
	}
	return change.Apply(server.Unit{}), l.stamp(reply), nil
}

// JobType says what a queued job will do: start, stop, restart … The error says
// that there is no such job any more.
func (m *Manager) JobType(ctx context.Context, id uint32) (string, error) {
	doing := fmt.Sprintf("read systemd's job %d", id)
	l, err := m.live()
	if err != nil {
		return "", err
	}
	path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id))
	reply, err := l.call(ctx, path, propsFace+".Get", "org.freedesktop.systemd1.Job", "JobType")
	if err != nil {
		return "", explain(doing, err)
	}
	var value dbus.Variant
	if err := fields(reply.Body, &value); err != nil {
		return "", explain(doing, err)
	}
	kind, ok := value.Value().(string)
	if !ok {
		return "", explain(doing, fmt.Errorf("the job's type is %T", value.Value()))
	}
	return kind, nil
}

// Version is systemd's own version, such as "252.39-1~deb12u2".
func (m *Manager) Version(ctx context.Context) (string, error) {
	const doing = "ask systemd for its version"
	l, err := m.live()
	if err != nil {
		return "", err
	}
	reply, err := l.call(ctx, managerPath, propsFace+".Get", managerFace, "Version")
	if err != nil {
		return "", explain(doing, err)
	}
	if len(reply.Body) == 1 {
		if v, ok := reply.Body[0].(dbus.Variant); ok {
			if s, ok := v.Value().(string); ok {
				return strings.Clone(s), nil
			}
		}
	}
	return "", explain(doing, fmt.Errorf("the answer is %v", reply.Body))
}
