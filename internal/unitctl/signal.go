package unitctl

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// signal is what a signal of systemd says, as far as it concerns us: an event,
// the end of a job, or nothing (kind 0 and no job).
type signal struct {
	kind   EventKind
	unit   string
	change Change
	job    dbus.ObjectPath
	result JobResult
}

// decodeSignal reads a signal. Whatever the body holds, it does not panic: a
// body that is not as org.freedesktop.systemd1(5) says is an error.
func decodeSignal(s *dbus.Signal) (signal, error) {
	if s.Path != managerPath {
		if s.Name != propsFace+".PropertiesChanged" {
			return signal{}, nil
		}
		unit, ok := unitAt(s.Path)
		if !ok {
			return signal{}, nil
		}
		change, err := decodeChanged(s.Body)
		if err != nil || change == (Change{}) {
			return signal{}, err
		}
		return signal{kind: Changed, unit: unit, change: change}, nil
	}
	switch s.Name {
	case managerFace + ".UnitNew":
		return decodeUnitSignal(Appeared, s.Body)
	case managerFace + ".UnitRemoved":
		return decodeUnitSignal(Removed, s.Body)
	case managerFace + ".JobRemoved":
		return decodeJobRemoved(s.Body)
	case managerFace + ".Reloading":
		var active bool
		if err := fields(s.Body, &active); err != nil {
			return signal{}, err
		}
		if active {
			return signal{kind: Reloading}, nil
		}
		return signal{kind: Reloaded}, nil
	case managerFace + ".UnitFilesChanged":
		return signal{kind: UnitFilesChanged}, nil
	}
	return signal{}, nil
}

func decodeUnitSignal(kind EventKind, body []any) (signal, error) {
	var (
		unit string
		path dbus.ObjectPath
	)
	if err := fields(body, &unit, &path); err != nil {
		return signal{}, err
	}
	if _, ok := server.Instance(unit); !ok {
		return signal{}, nil
	}
	return signal{kind: kind, unit: strings.Clone(unit)}, nil
}

func decodeJobRemoved(body []any) (signal, error) {
	var (
		id           uint32
		job          dbus.ObjectPath
		unit, result string
	)
	if err := fields(body, &id, &job, &unit, &result); err != nil {
		return signal{}, err
	}
	return signal{job: job, result: JobResult(strings.Clone(result))}, nil
}

// decodeChanged reads the body of a PropertiesChanged. Properties that are only
// invalidated are none of ours.
func decodeChanged(body []any) (Change, error) {
	var (
		face    string
		changed map[string]dbus.Variant
		stale   []string
	)
	if err := fields(body, &face, &changed, &stale); err != nil {
		return Change{}, err
	}
	if face != unitFace && face != serviceFace {
		return Change{}, nil
	}
	return decodeProperties(changed)
}

// decodeProperties takes what we know out of properties of the Unit and Service
// interfaces, whose names do not overlap.
func decodeProperties(props map[string]dbus.Variant) (Change, error) {
	var c Change
	for name, v := range props {
		if err := c.property(name, v.Value()); err != nil {
			return Change{}, fmt.Errorf("property %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Change) property(name string, v any) (err error) {
	switch name {
	case "LoadState":
		c.Load, err = text(v)
	case "ActiveState":
		c.Active, err = text(v)
	case "SubState":
		c.Sub, err = text(v)
	case "Result":
		c.Result, err = text(v)
	case "InvocationID":
		c.InvocationID, err = id128(v)
	case "MainPID":
		c.MainPID, err = value[uint32](v)
	case "NRestarts":
		c.Restarts, err = value[uint32](v)
	case "Job":
		c.Job, err = jobID(v)
	case "StateChangeTimestamp":
		c.Since, err = stampTime(v)
	case "StateChangeTimestampMonotonic":
		c.Clock, err = value[uint64](v)
	}
	return err
}

func value[T any](v any) (*T, error) {
	x, ok := v.(T)
	if !ok {
		return nil, fmt.Errorf("is %T instead of %T", v, x)
	}
	return &x, nil
}

// text copies the string, since godbus cuts strings from a larger buffer that
// would stay in memory with it.
func text(v any) (*string, error) {
	s, err := value[string](v)
	if err != nil {
		return nil, err
	}
	copied := strings.Clone(*s)
	return &copied, nil
}

func id128(v any) (*string, error) {
	b, err := value[[]byte](v)
	if err != nil {
		return nil, err
	}
	if n := len(*b); n != 0 && n != 16 {
		return nil, fmt.Errorf("is %d bytes long instead of 16", n)
	}
	s := hex.EncodeToString(*b)
	return &s, nil
}

func jobID(v any) (*uint32, error) {
	pair, err := value[[]any](v)
	if err != nil {
		return nil, err
	}
	var (
		id   uint32
		path dbus.ObjectPath
	)
	if err := fields(*pair, &id, &path); err != nil {
		return nil, err
	}
	return &id, nil
}

// stampTime reads microseconds since 1970; 0 means never.
func stampTime(v any) (*time.Time, error) {
	us, err := value[uint64](v)
	if err != nil {
		return nil, err
	}
	var t time.Time
	if *us != 0 {
		if *us > 1<<62 {
			return nil, fmt.Errorf("is out of range: %d", *us)
		}
		t = time.UnixMicro(int64(*us)).UTC()
	}
	return &t, nil
}

// fields checks that values are exactly of the types that to points to, and
// stores them there.
func fields(values []any, to ...any) error {
	if len(values) != len(to) {
		return fmt.Errorf("has %d fields instead of %d", len(values), len(to))
	}
	for i, v := range values {
		ok := false
		switch p := to[i].(type) {
		case *string:
			*p, ok = v.(string)
		case *bool:
			*p, ok = v.(bool)
		case *uint32:
			*p, ok = v.(uint32)
		case *dbus.Variant:
			*p, ok = v.(dbus.Variant)
		case *dbus.ObjectPath:
			*p, ok = v.(dbus.ObjectPath)
		case *[]string:
			*p, ok = v.([]string)
		case *map[string]dbus.Variant:
			*p, ok = v.(map[string]dbus.Variant)
		}
		if !ok {
			return fmt.Errorf("field %d is %T, cannot be stored in %T", i+1, v, to[i])
		}
	}
	return nil
}
