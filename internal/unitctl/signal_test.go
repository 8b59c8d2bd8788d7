package unitctl

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func props(face string, changed map[string]dbus.Variant) []any {
	return []any{face, changed, []string{}}
}

func variants(values map[string]any) map[string]dbus.Variant {
	m := make(map[string]dbus.Variant, len(values))
	for k, v := range values {
		m[k] = dbus.MakeVariant(v)
	}
	return m
}

type jobValue struct {
	ID   uint32
	Path dbus.ObjectPath
}

// wire is a signal as it is after a journey over the wire.
func wire(t testing.TB, path dbus.ObjectPath, face, member string, body ...any) *dbus.Signal {
	t.Helper()
	return received(t, signalMessage(path, face, member, body...))
}

func received(t testing.TB, sent *dbus.Message) *dbus.Signal {
	t.Helper()
	msg, err := dbus.DecodeMessage(bytes.NewReader(encoded(t, sent)))
	if err != nil {
		t.Fatal(err)
	}
	return &dbus.Signal{
		Path: msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath),
		Name: msg.Headers[dbus.FieldInterface].Value().(string) + "." + msg.Headers[dbus.FieldMember].Value().(string),
		Body: msg.Body,
	}
}

func encoded(t testing.TB, msg *dbus.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func signalMessage(path dbus.ObjectPath, face, member string, body ...any) *dbus.Message {
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(face), dbus.FieldMember: dbus.MakeVariant(member),
	}
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	return &dbus.Message{Type: dbus.TypeSignal, Headers: headers, Body: body}
}

func TestDecodeSignal(t *testing.T) {
	t.Parallel()
	a := unitPathOf(unit("a"))
	changed := func(face string, values map[string]any) *dbus.Signal {
		return wire(t, a, propsFace, "PropertiesChanged", props(face, variants(values))...)
	}
	told := func(kind EventKind, member string, body ...any) (*dbus.Signal, signal) {
		return wire(t, managerPath, managerFace, member, body...), signal{kind: kind, unit: unit("a")}
	}
	appeared, isAppeared := told(Appeared, "UnitNew", unit("a"), a)
	removed, isRemoved := told(Removed, "UnitRemoved", unit("a"), a)
	for name, test := range map[string]struct {
		s    *dbus.Signal
		want signal
	}{
		"unit": {
			changed(unitFace, map[string]any{
				"ActiveState": "active", "SubState": "running", "LoadState": "loaded", "Job": jobValue{7, "/job/7"},
				"InvocationID": bytes.Repeat([]byte{0xab}, 16), "StateChangeTimestamp": uint64(1_700_000_000_000_001), "StateChangeTimestampMonotonic": uint64(4711), "Unknown": int16(1),
			}),
			signal{kind: Changed, unit: unit("a"), change: Change{
				Load: new("loaded"), Active: new("active"), Sub: new("running"), Job: new(uint32(7)),
				InvocationID: new("abababababababababababababababab"), Since: new(time.UnixMicro(1_700_000_000_000_001).UTC()),
				Clock: new(uint64(4711)),
			}},
		},
		"service": {
			changed(serviceFace, map[string]any{"Result": "signal", "MainPID": uint32(0), "NRestarts": uint32(3)}),
			signal{kind: Changed, unit: unit("a"), change: Change{Result: new("signal"), MainPID: new(uint32(0)), Restarts: new(uint32(3))}},
		},
		"never run": {
			changed(unitFace, map[string]any{"InvocationID": []byte{}, "StateChangeTimestamp": uint64(0)}),
			signal{kind: Changed, unit: unit("a"), change: Change{InvocationID: new(""), Since: new(time.Time{})}},
		},
		"nothing of ours":  {changed(serviceFace, map[string]any{"ExecMainPID": uint32(1)}), signal{}},
		"other interface":  {changed("org.freedesktop.systemd1.Socket", map[string]any{"Result": "x"}), signal{}},
		"appeared":         {appeared, isAppeared},
		"removed":          {removed, isRemoved},
		"foreign appeared": {wire(t, managerPath, managerFace, "UnitNew", "ssh.service", dbus.ObjectPath("/x")), signal{}},
		"the template":     {wire(t, managerPath, managerFace, "UnitNew", server.Template, dbus.ObjectPath("/x")), signal{}},
		"job":              {wire(t, managerPath, managerFace, "JobRemoved", uint32(7), dbus.ObjectPath("/job/7"), "x", "done"), signal{job: "/job/7", result: JobDone}},
		"reloading":        {wire(t, managerPath, managerFace, "Reloading", true), signal{kind: Reloading}},
		"reloaded":         {wire(t, managerPath, managerFace, "Reloading", false), signal{kind: Reloaded}},
		"files":            {wire(t, managerPath, managerFace, "UnitFilesChanged"), signal{kind: UnitFilesChanged}},
		"startup":          {wire(t, managerPath, managerFace, "StartupFinished", uint64(1)), signal{}},
		"foreign unit":     {wire(t, unitPathOf("ssh.service"), propsFace, "PropertiesChanged"), signal{}},
		"other signal":     {wire(t, a, "x.y", "Z"), signal{}},
	} {
		got, err := decodeSignal(test.s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(signal{})); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// malformed are signals that systemd does not send.
func malformed() map[string]*dbus.Message {
	changed := func(body ...any) *dbus.Message {
		return signalMessage(unitPathOf(unit("a")), propsFace, "PropertiesChanged", body...)
	}
	one := func(name string, v any) *dbus.Message {
		return changed(props(unitFace, map[string]dbus.Variant{name: dbus.MakeVariant(v)})...)
	}
	told := func(member string, body ...any) *dbus.Message {
		return signalMessage(managerPath, managerFace, member, body...)
	}
	return map[string]*dbus.Message{
		"no body":             changed(),
		"no properties":       changed(unitFace),
		"wrong properties":    changed(unitFace, map[string]string{"ActiveState": "active"}, []string{}),
		"no invalidated":      changed(unitFace, map[string]dbus.Variant{}),
		"number as state":     one("ActiveState", uint32(1)),
		"text as pid":         one("MainPID", "1"),
		"signed pid":          one("MainPID", int32(1)),
		"short id":            one("InvocationID", []byte{1}),
		"job without path":    one("Job", uint32(1)),
		"job the wrong way":   one("Job", struct{ A, B string }{}),
		"time as text":        one("StateChangeTimestamp", "now"),
		"time out of range":   one("StateChangeTimestamp", uint64(1)<<63),
		"restarts as variant": one("NRestarts", dbus.MakeVariant(uint32(1))),
		"appeared, empty":     told("UnitNew"),
		"appeared, no path":   told("UnitNew", unit("a")),
		"removed, text":       told("UnitRemoved", unit("a"), "text"),
		"job, short":          told("JobRemoved", uint32(1), dbus.ObjectPath("/a"), "u"),
		"job, signed":         told("JobRemoved", int32(1), dbus.ObjectPath("/a"), "u", "done"),
		"reloading, empty":    told("Reloading"),
		"reloading, text":     told("Reloading", "yes"),
	}
}

func TestMalformedSignals(t *testing.T) {
	t.Parallel()
	for name, msg := range malformed() {
		if got, err := decodeSignal(received(t, msg)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzDecodeSignal takes anything that godbus would hand us for the body of each
// signal that we read.
func FuzzDecodeSignal(f *testing.F) {
	for _, msg := range malformed() {
		f.Add(encoded(f, msg))
	}
	names := []string{"UnitNew", "UnitRemoved", "JobRemoved", "Reloading", "UnitFilesChanged"}
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := dbus.DecodeMessage(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = decodeSignal(&dbus.Signal{Path: unitPathOf(unit("a")), Name: propsFace + ".PropertiesChanged", Body: msg.Body})
		for _, name := range names {
			_, _ = decodeSignal(&dbus.Signal{Path: managerPath, Name: managerFace + "." + name, Body: msg.Body})
		}
		_, _ = decodeUnits(msg.Body)
	})
}

func TestApply(t *testing.T) {
	t.Parallel()
	before := server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success", MainPID: 7, Restarts: 1, InvocationID: "x"}
	if got := (Change{}).Apply(before); got != before {
		t.Errorf("nothing changed, yet %+v", got)
	}
	now := time.Unix(9, 0)
	got := Change{
		Load: new("masked"), Active: new("failed"), Sub: new("failed"), Result: new("signal"), InvocationID: new("y"),
		MainPID: new(uint32(0)), Restarts: new(uint32(2)), Job: new(uint32(3)), Since: &now,
	}.Apply(before)
	want := server.Unit{Load: "masked", Active: "failed", Sub: "failed", Result: "signal", InvocationID: "y", Restarts: 2, Job: 3, Since: now}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStampOrder(t *testing.T) {
	t.Parallel()
	order := []Stamp{{}, {1, 0}, {1, 5}, {1, 6}, endOf(1), {2, 0}, {2, 1}}
	for i, a := range order {
		for j, b := range order {
			if got := a.Before(b); got != (i < j) {
				t.Errorf("%v before %v: %v", a, b, got)
			}
		}
	}
}
