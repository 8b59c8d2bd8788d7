package dbussock_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/dbussock"
)

// encoded is a signal from a sender, as the bus passes it on.
func encoded(t testing.TB, sender, member string, body ...any) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldInterface: dbus.MakeVariant("x.y"),
		dbus.FieldMember: dbus.MakeVariant(member), dbus.FieldSender: dbus.MakeVariant(sender),
	}}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var out bytes.Buffer
	if err := m.EncodeTo(&out, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	b := out.Bytes()
	binary.LittleEndian.PutUint32(b[8:], 7) // EncodeTo leaves the serial at 0
	return b
}

// through reads all that a filter lets pass of what arrives.
func through(in []byte, filter dbussock.Filter) ([]byte, error) {
	ours, theirs := net.Pipe()
	go func() {
		_, _ = theirs.Write(in)
		_ = theirs.Close()
	}()
	defer ours.Close()
	return io.ReadAll(dbussock.NewFiltered(dbussock.New(ours), filter))
}

func TestFilter(t *testing.T) {
	t.Parallel()
	hello := []byte("OK 1234deadbeef\r\n")
	bus := encoded(t, dbussock.Bus, "FromTheBus", make([]byte, 100<<10))
	wanted, unwanted := encoded(t, ":1.7", "Wanted", "text", uint32(9)), encoded(t, ":1.7", "Unwanted", make([]byte, 300<<10))
	replaced := encoded(t, ":1.7", "Replaced", "long")
	var seen []string
	got, err := through(bytes.Join([][]byte{hello, bus, unwanted, wanted, replaced, wanted}, nil), func(m *dbussock.Message) ([]byte, bool) {
		seen = append(seen, m.Sender+" "+m.Interface+" "+m.Member+" "+m.Signature)
		switch m.Member {
		case "Unwanted":
			return nil, false
		case "Replaced":
			texts, ok := m.Texts(1)
			if !ok || !cmp.Equal(texts, []any{"long"}) {
				t.Errorf("the texts of a message are %q, %t", texts, ok)
			}
			return []byte("another"), true
		}
		return nil, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := bytes.Join([][]byte{hello, bus, wanted, []byte("another"), wanted}, nil); !bytes.Equal(want, got) {
		t.Errorf("%d bytes passed, want %d", len(got), len(want))
	}
	if diff := cmp.Diff([]string{":1.7 x.y Unwanted ay", ":1.7 x.y Wanted su", ":1.7 x.y Replaced s", ":1.7 x.y Wanted su"}, seen); diff != "" {
		t.Errorf("the filter was asked about (-want +got):\n%s", diff)
	}
}

// FuzzFilter: whatever arrives, the filter ends with what arrived, and passes on
// no more than that.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("OK x\r\n"), true)
	f.Add(encoded(f, ":1.7", "M", "text"), true)
	f.Add(encoded(f, dbussock.Bus, "M", uint32(1)), false)
	f.Add(append(encoded(f, ":1.7", "M"), encoded(f, ":1.8", "N", "x", "y")...), false)
	big := encoded(f, ":1.7", "M", "text")
	big[0] = 'B'
	f.Add(big, true)
	f.Fuzz(func(t *testing.T, in []byte, pass bool) {
		got, _ := through(in, func(m *dbussock.Message) ([]byte, bool) {
			m.Texts(2)
			return nil, pass
		})
		if len(got) > len(in) {
			t.Errorf("%d bytes became %d", len(in), len(got))
		}
	})
}
