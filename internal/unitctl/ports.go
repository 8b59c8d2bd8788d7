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

// portsFile is what systemd calls the drop-in that it writes for the property.
const portsFile = "50-SocketBindAllow.conf"

// AllowPorts sets which ports a unit's processes may bind beside those that the
// unit file allows, for every start from now on (SocketBindAllow= in a drop-in
// that systemd writes below /etc/systemd/system.control). It answers whether it
// had to. What a run that is under way may bind stays as it is. A systemd that
// is built without BPF, as Debian 12's, forbids no port: there it does nothing.
//
// The drop-in is read first, so that asking again costs no more than that.
func (m *Manager) AllowPorts(ctx context.Context, unit string, rules []server.PortRule) (changed bool, err error) {
	if err := checkUnit(unit); err != nil {
		return false, err
	}
	if server.SameRules(rules, m.portsOf(unit)) {
		return false, nil
	}
	l, err := m.live()
	if err != nil {
		return false, err
	}
	doing := "set the ports of " + unit
	able, err := l.bindsPorts(ctx)
	if err != nil || !able {
		return false, explain(doing, err)
	}
	const runtime = false
	return true, explain(doing, l.setPorts(ctx, unit, runtime, bindRules(rules)))
}

// HoldPorts has systemd enforce again what a unit that runs may bind. systemd 257
// loses it whenever it reloads or re-executes itself: what it writes down as
// "ipv4-socket-bind-bpf-link" it does not know again. Any property that is set
// brings it back; this one is set to what it is, until the next boot, in a file
// that the one of AllowPorts hides.
func (m *Manager) HoldPorts(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	doing := "keep the ports of " + unit
	if able, err := l.bindsPorts(ctx); err != nil || !able {
		return explain(doing, err)
	}
	reply, err := l.call(ctx, unitPathOf(unit), propsFace+".Get", serviceFace, "SocketBindAllow")
	if err != nil {
		return explain(doing, err)
	}
	var value dbus.Variant
	var rules []bindRule
	if err := fields(reply.Body, &value); err != nil {
		return explain(doing, err)
	}
	if err := value.Store(&rules); err != nil || len(rules) == 0 {
		return explain(doing, err)
	}
	const runtime = true
	return explain(doing, l.setPorts(ctx, unit, runtime, rules))
}

// ForgetPorts takes back what AllowPorts set.
func (m *Manager) ForgetPorts(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	if !exists(filepath.Join(m.controlDir(unit), portsFile)) {
		return nil
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	doing := "take back the ports of " + unit
	if m.changedByHand(unit) {
		const runtime = false
		return explain(doing, l.setPorts(ctx, unit, runtime, nil))
	}
	_, err = l.call(ctx, managerPath, managerFace+".RevertUnitFiles", []string{unit})
	return explain(doing, err)
}

// changedByHand says whether somebody else has set something for the unit, which
// RevertUnitFiles would take away too.
func (m *Manager) changedByHand(unit string) bool {
	for _, dir := range []string{m.unitPath, m.unitPath + ".attached", m.runPath} {
		if exists(filepath.Join(dir, unit)) || exists(filepath.Join(dir, unit+".d")) {
			return true
		}
	}
	for _, dir := range []string{m.controlDir(unit), filepath.Join(m.runPath+".control", unit+".d")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != portsFile }) {
			return true
		}
	}
	return false
}

// controlDir is where systemd keeps what was set for one unit.
func (m *Manager) controlDir(unit string) string {
	return filepath.Join(m.unitPath+".control", unit+".d")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// portsOf reads the rules that stand in the unit's drop-in; nil when there is
// none.
func (m *Manager) portsOf(unit string) (rules []string) {
	text, err := os.ReadFile(filepath.Join(m.controlDir(unit), portsFile))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(line), "SocketBindAllow=")
		if ok && rule != "" {
			rules = append(rules, rule)
		}
	}
	return rules
}

// bindRule is one element of SocketBindAllow's a(iiqq).
type bindRule struct {
	Family, Protocol int32
	Count, First     uint16
}

// property is an element of the a(sv) that SetUnitProperties takes.
type property struct {
	Name  string
	Value dbus.Variant
}

func bindRules(rules []server.PortRule) (list []bindRule) {
	const inet, tcp, udp = 2, 6, 17 // AF_INET, IPPROTO_TCP, IPPROTO_UDP
	for _, r := range rules {
		rule := bindRule{Family: inet, Protocol: udp, Count: r.High - r.Low + 1, First: r.Low}
		if r.TCP {
			rule.Protocol = tcp
		}
		list = append(list, rule)
	}
	return list
}

func (l *link) setPorts(ctx context.Context, unit string, runtime bool, list []bindRule) error {
	// An empty list clears what was set; any other is added to it, and systemd
	// writes down the whole.
	set := []property{{"SocketBindAllow", dbus.MakeVariant([]bindRule{})}}
	if len(list) > 0 {
		set = append(set, property{"SocketBindAllow", dbus.MakeVariant(list)})
	}
	_, err := l.call(ctx, managerPath, managerFace+".SetUnitProperties", unit, runtime, set)
	return err
}

// bindsPorts says whether systemd is built with what SocketBindAllow= needs.
func (l *link) bindsPorts(ctx context.Context) (bool, error) {
	if known := l.binds.Load(); known != nil {
		return *known, nil
	}
	reply, err := l.call(ctx, managerPath, propsFace+".Get", managerFace, "Features")
	if err != nil {
		return false, err
	}
	var features dbus.Variant
	if err := fields(reply.Body, &features); err != nil {
		return false, err
	}
	s, err := text(features.Value())
	if err != nil {
		return false, err
	}
	able := slices.Contains(strings.Fields(*s), "+BPF_FRAMEWORK")
	l.binds.Store(&able)
	return able, nil
}
