package busapi_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/test/bus"
)

// TestOddMessages: what the bus lets through, though no client would send it,
// is refused by name, and ends nothing.
func TestOddMessages(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("a", nil)
	f := newFixture(t, b)
	honest := f.connect()
	owner := got[string](t, honest.BusObject().Call(standard+"GetNameOwner", 0, name))
	raw, err := bus.Dial(f.bus.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	invalid := standard + "Error.InvalidArgs"
	boolKey := append([]byte{8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, 0)[:16] // a{bb}{true: true}
	deep, deepSign := nested(30)
	for what, x := range map[string]struct {
		sign string
		body []byte
		want string
	}{
		"a key that Go has not":   {"a{bb}", boolKey, invalid},
		"many small values":       {"av", variants(1 << 20), invalid},
		"many bytes":              {"ay", append(binary.LittleEndian.AppendUint32(nil, 8<<20), make([]byte, 8<<20)...), invalid},
		"a deep type":             {deepSign, deep, invalid},
		"a huge text":             {"s", bus.Text(strings.Repeat("x", 16<<20)), invalid},
		"a name too long":         {"s", bus.Text(strings.Repeat("x", 4000)), name + ".Error.InvalidName"},
		"a name":                  {"s", bus.Text("b"), name + ".Error.NoSuchServer"},
		"two names":               {"ss", bus.Texts("b", "c"), invalid},
		"a pair of what we use":   {"(sb)", append(make([]byte, 5), 0, 0, 0, 0, 0, 0, 0)[:12], invalid},
		"a property's value":      {"ssv", append(bus.Texts("x", "y"), 1, 'y', 0, 7), invalid},
		"a descriptor that is no": {"h", []byte{9, 0, 0, 0}, invalid},
	} {
		answer, err := raw.Call(&bus.Message{
			Destination: name, Path: string(rootPath), Interface: managerFace, Member: "GetServer", Sign: x.sign, Body: x.body,
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if answer.Type != bus.Error || answer.ErrorName != x.want {
			t.Errorf("%s: got %d %s %.200q, want %s", what, answer.Type, answer.ErrorName, answer.Body, x.want)
		}
	}
	// Signals that nobody asked for, and calls that want no answer.
	for range 3 {
		for _, m := range []bus.Message{
			{Type: bus.Signal, Interface: "x.y", Member: "Z", Sign: "a{bb}", Body: boolKey},
			{Type: bus.Signal, Interface: "org.freedesktop.DBus", Member: "NameOwnerChanged", Sign: "sss", Body: bus.Texts(honest.Names()[0], "", "")},
			{Type: bus.Signal, Interface: "org.freedesktop.DBus", Member: "NameLost", Sign: "s", Body: bus.Text(name)},
			{Type: bus.Signal, Interface: "x.y", Member: "Z", Sign: "s", Body: bus.Text(strings.Repeat("x", 8<<20))},
			{Type: bus.Call, Flags: bus.NoReply, Interface: "x.y", Member: "Z", Sign: "a{bb}", Body: boolKey},
			{Type: bus.Call, Flags: bus.NoReply, Member: strings.Repeat("m", 255)},
		} {
			m.Destination, m.Path = name, string(rootPath)
			if _, err := raw.Send(&m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := raw.Call(&bus.Message{Destination: name, Path: "/" + strings.Repeat("p", 3<<10), Member: "M"}); err != nil {
		t.Fatal(err)
	}
	same(t, "what still stands", rootPath+"/server/a", got[dbus.ObjectPath](t, honest.call(rootPath, managerFace+".GetServer", "a")))
	same(t, "the owner of the name", owner, got[string](t, honest.BusObject().Call(standard+"GetNameOwner", 0, name)))
}

// variants are n variants, each a byte.
func variants(n int) []byte {
	body := binary.LittleEndian.AppendUint32(nil, uint32(4*n))
	for range n {
		body = append(body, 1, 'y', 0, 7)
	}
	return body
}

// nested is an empty array of arrays.
func nested(depth int) (body []byte, sign string) {
	return make([]byte, 4), strings.Repeat("a", depth) + "y"
}
