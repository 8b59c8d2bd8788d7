package unitctl

import (
	"context"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// portsProperty is the property that says which ports a unit may bind.
const portsProperty = "SocketBindAllow"

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
	if server.SameRules(rules, m.control(unit, portsProperty)) {
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
	reply, err := l.call(ctx, unitPathOf(unit), propsFace+".Get", serviceFace, portsProperty)
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

// bindRule is one element of SocketBindAllow's a(iiqq).
type bindRule struct {
	Family, Protocol int32
	Count, First     uint16
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
	return l.setProperties(ctx, unit, runtime, bindProperties(list))
}

// bindProperties spell ports for SetUnitProperties.
func bindProperties(list []bindRule) []property {
	// An empty list clears what was set; any other is added to it, and systemd
	// writes down the whole.
	set := []property{{portsProperty, dbus.MakeVariant([]bindRule{})}}
	if len(list) > 0 {
		set = append(set, property{portsProperty, dbus.MakeVariant(list)})
	}
	return set
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
