package unitctl

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// Oneshot is what systemd says of the last run of a unit that works on the
// installation. Of one that ended well it soon says nothing more.
type Oneshot struct {
	Active       string // "activating" while it works, "inactive" or "failed" when it does not
	Result       string // of the run that ended, as "exit-code"
	InvocationID string // of the run, 32 hex digits; empty when systemd knows of none
	Status       int    // the program's exit status, or the number of the signal that ended it
}

// Working says whether the unit is at work, or still ending.
func (o Oneshot) Working() bool { return o.Active != "inactive" && o.Active != "failed" }

var oneshotProperties = [...]struct{ face, name string }{
	{unitFace, "ActiveState"},
	{unitFace, "InvocationID"},
	{serviceFace, "Result"},
	{serviceFace, "ExecMainStatus"},
}

// Oneshot reads the state of server.InstallUnit or server.InstallCheckUnit, and
// of no other. It does not load the unit: one that is not loaded is inactive.
func (m *Manager) Oneshot(ctx context.Context, unit string) (o Oneshot, err error) {
	if !installs(unit) {
		return o, server.Errorf(server.CodeInternal, "%s is not read as a oneshot unit", server.Quote(unit, 80))
	}
	l, err := m.live()
	if err != nil {
		return o, err
	}
	doing := "read the state of " + unit
	_, err = l.call(ctx, managerPath, managerFace+".GetUnit", unit)
	switch {
	case refusal(err) == errNoSuchUnit:
		return Oneshot{Active: "inactive"}, nil
	case err != nil:
		return o, explain(doing, err)
	}
	requests := make([]request, len(oneshotProperties))
	for i, p := range oneshotProperties {
		requests[i] = request{unitPathOf(unit), propsFace + ".Get", []any{p.face, p.name}}
	}
	replies, err := l.calls(ctx, requests)
	if err != nil {
		return o, explain(doing, err)
	}
	o, err = decodeOneshot(replies)
	return o, explain(doing, err)
}

// decodeOneshot reads the replies to the questions for oneshotProperties.
func decodeOneshot(replies []*dbus.Call) (o Oneshot, err error) {
	var values [len(oneshotProperties)]any
	for i := range values {
		var v dbus.Variant
		if err := fields(replies[i].Body, &v); err != nil {
			return o, err
		}
		values[i] = v.Value()
	}
	var ok [len(values)]bool
	var id []byte
	var status int32
	o.Active, ok[0] = values[0].(string)
	id, ok[1] = values[1].([]byte)
	o.Result, ok[2] = values[2].(string)
	status, ok[3] = values[3].(int32)
	for i, p := range oneshotProperties {
		if !ok[i] {
			return Oneshot{}, fmt.Errorf("property %s is %T", p.name, values[i])
		}
	}
	o.Status = int(status)
	if len(id) == 16 {
		o.InvocationID = fmt.Sprintf("%x", id)
	}
	return o, nil
}
