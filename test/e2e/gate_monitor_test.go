package e2e_test

import (
	"context"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	polkitFace = "org.freedesktop.PolicyKit1.Authority"
	agentFace  = "org.freedesktop.PolicyKit1.AuthenticationAgent"
)

// monitor sees what passes on the machine's bus.
type monitor struct{ seen chan *dbus.Message }

// watchBus begins to watch the messages that one of the rules matches.
func (g *gate) watchBus(t *testing.T, rules ...string) *monitor {
	t.Helper()
	conn, err := dbus.Dial("unix:path=" + g.Path("/run/dbus/system_bus_socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err == nil {
		err = conn.Hello()
	}
	m := &monitor{make(chan *dbus.Message, 1024)} // the library throws away what does not fit
	if err == nil {
		err = conn.BusObject().CallWithContext(within(t, "a monitor"), "org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, rules, uint32(0)).Err
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.Eavesdrop(m.seen) // from now on replies would land there too
	return m
}

// next waits for a message.
func (m *monitor) next(ctx context.Context, t *testing.T, what string, is func(*dbus.Message) bool) *dbus.Message {
	t.Helper()
	for {
		select {
		case msg := <-m.seen:
			if msg != nil && is(msg) {
				return msg
			}
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
		}
	}
}

func headerOf(msg *dbus.Message, field dbus.HeaderField) string {
	switch v := msg.Headers[field].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	}
	return ""
}

// question is what polkit is asked by left4med.
type question struct {
	Subject struct {
		Kind    string
		Details map[string]dbus.Variant
	}
	Action  string
	Details map[string]string
	Flags   uint32
	ID      string
}

// asked waits until polkit is asked about left4med.
func (m *monitor) asked(t *testing.T, flags uint32) question {
	t.Helper()
	var q question
	m.next(within(t, "a question to polkit"), t, "a question to polkit", func(msg *dbus.Message) bool {
		return headerOf(msg, dbus.FieldMember) == "CheckAuthorization" &&
			dbus.Store(msg.Body, &q.Subject, &q.Action, &q.Details, &q.Flags, &q.ID) == nil && q.Flags == flags
	})
	return q
}

// takenBack waits until a question is taken back.
func (m *monitor) takenBack(t *testing.T, q question) {
	t.Helper()
	what := "the end of the question " + q.ID
	m.next(within(t, what), t, what, func(msg *dbus.Message) bool {
		return headerOf(msg, dbus.FieldMember) == "CancelCheckAuthorization" && len(msg.Body) == 1 && msg.Body[0] == q.ID
	})
}
