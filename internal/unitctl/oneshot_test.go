package unitctl

import (
	"errors"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestDecodeOneshot(t *testing.T) {
	t.Parallel()
	id := []byte("0123456789abcdef")
	answers := func(values ...any) []*dbus.Call {
		var calls []*dbus.Call
		for _, v := range values {
			calls = append(calls, &dbus.Call{Body: []any{dbus.MakeVariant(v)}})
		}
		return calls
	}
	got, err := decodeOneshot(answers("failed", id, "exit-code", int32(13)))
	want := Oneshot{Active: "failed", Result: "exit-code", InvocationID: "30313233343536373839616263646566", Status: 13}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = decodeOneshot(answers("inactive", []byte{}, "success", int32(0)))
	if diff := cmp.Diff(Oneshot{Active: "inactive", Result: "success"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range [][]*dbus.Call{
		answers(1, id, "success", int32(0)), answers("failed", "x", "success", int32(0)),
		answers("failed", id, id, int32(0)), answers("failed", id, "success", uint32(0)),
		{{Body: []any{"no variant"}}, {}, {}, {}},
	} {
		if _, err := decodeOneshot(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// No other unit is read so, or begun.
func TestOneshotOfOthers(t *testing.T) {
	t.Parallel()
	m := New(Options{Root: t.TempDir()})
	for _, unit := range []string{"", "ssh.service", "left4me-server@a.service", "left4me-install@a.service"} {
		if _, err := m.Oneshot(t.Context(), unit); !errors.Is(err, &server.Error{Code: server.CodeInternal}) {
			t.Errorf("%q: %v", unit, err)
		}
	}
	if _, err := m.Begin(t.Context(), "ssh.service"); !errors.Is(err, &server.Error{Code: server.CodeInvalidName}) {
		t.Errorf("begun: %v", err)
	}
	if _, err := m.Oneshot(t.Context(), server.InstallUnit); !errors.Is(err, ErrNoConnection) {
		t.Errorf("without systemd: %v", err)
	}
}
