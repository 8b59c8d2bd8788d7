package unitctl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// property is an element of the a(sv) that SetUnitProperties takes. systemd keeps
// each in a drop-in of its own below /etc/systemd/system.control, from which a
// start at boot has it, and needs no reload for that.
type property struct {
	Name  string
	Value dbus.Variant
}

// setProperties sets properties of a unit for now and for every start to come,
// or, with runtime, until the next boot.
func (l *link) setProperties(ctx context.Context, unit string, runtime bool, set []property) error {
	_, err := l.call(ctx, managerPath, managerFace+".SetUnitProperties", unit, runtime, set)
	return err
}

// controlDir is where systemd keeps what was set for one unit.
func (m *Manager) controlDir(unit string) string {
	return filepath.Join(m.unitPath+".control", unit+".d")
}

// controlFile is what systemd calls the drop-in that it writes for a property.
func controlFile(property string) string { return "50-" + property + ".conf" }

// isSet says whether systemd keeps a value of a property for a unit.
func (m *Manager) isSet(unit, property string) bool {
	return exists(filepath.Join(m.controlDir(unit), controlFile(property)))
}

// control reads the values that stand in a property's drop-in, as systemd spelt
// them; nil when there is none, or when it takes back all that stands elsewhere.
func (m *Manager) control(unit, property string) (values []string) {
	text, err := os.ReadFile(filepath.Join(m.controlDir(unit), controlFile(property)))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), property+"=")
		switch {
		case !ok:
		case value == "":
			values = nil
		default:
			values = append(values, value)
		}
	}
	return values
}

// Forget takes back all that AllowPorts, HoldPorts and SetLimits set for a unit.
func (m *Manager) Forget(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	own := m.ownProperties(unit)
	if len(own) == 0 {
		return nil
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	doing := "take back what was set for " + unit
	if m.changedByHand(unit, own) {
		var set []property
		if slices.Contains(own, portsProperty) {
			set = append(set, bindProperties(nil)...)
		}
		if m.hasLimits(unit) {
			set = append(set, limitValues(server.Limits{})...)
		}
		const runtime = false
		return explain(doing, l.setProperties(ctx, unit, runtime, set))
	}
	_, err = l.call(ctx, managerPath, managerFace+".RevertUnitFiles", []string{unit})
	return explain(doing, err)
}

// ownProperties are what left4med has set for a unit.
func (m *Manager) ownProperties(unit string) (own []string) {
	if m.isSet(unit, portsProperty) {
		own = append(own, portsProperty)
	}
	if m.hasLimits(unit) {
		own = append(own, limitProperties()...)
	}
	return own
}

// changedByHand says whether somebody else has set something for the unit beside
// our own properties, which RevertUnitFiles would take away too.
func (m *Manager) changedByHand(unit string, properties []string) bool {
	for _, dir := range []string{m.unitPath, m.unitPath + ".attached", m.runPath} {
		if exists(filepath.Join(dir, unit)) || exists(filepath.Join(dir, unit+".d")) {
			return true
		}
	}
	var own []string
	for _, p := range append(properties, portsProperty) { // HoldPorts sets that one, too
		own = append(own, controlFile(p))
	}
	for _, dir := range []string{m.controlDir(unit), filepath.Join(m.runPath+".control", unit+".d")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !slices.Contains(own, e.Name()) }) {
			return true
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
