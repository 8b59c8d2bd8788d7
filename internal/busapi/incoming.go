package busapi

import (
	"bytes"
	"encoding/binary"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/dbussock"
)

// onlyCalls is what the library sees of others than the bus: calls, and of their
// arguments the texts alone. No method takes any other.
func onlyCalls(in *dbussock.Message) (instead []byte, pass bool) {
	if in.Type != dbussock.Call {
		return nil, false
	}
	m := dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.Flags(in.Flags), Body: arguments(in), Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:   dbus.MakeVariant(dbus.ObjectPath(in.Path)),
		dbus.FieldMember: dbus.MakeVariant(in.Member),
		dbus.FieldSender: dbus.MakeVariant(in.Sender),
	}}
	if in.Interface != "" {
		m.Headers[dbus.FieldInterface] = dbus.MakeVariant(in.Interface)
	}
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var out bytes.Buffer
	if m.EncodeTo(&out, binary.LittleEndian) != nil {
		return nil, false // what the library takes for no message, though the bus does not
	}
	binary.LittleEndian.PutUint32(out.Bytes()[8:], in.Serial)
	return out.Bytes(), true
}

// arguments are the values of a call, or its misfit when no method takes them.
func arguments(in *dbussock.Message) []any {
	names := map[string]int{"": 0, "s": 1, "ss": 2, "ssv": 2}
	if n, ok := names[in.Signature]; ok && in.Body != nil {
		if texts, ok := in.Texts(n); ok {
			if in.Signature == "ssv" {
				texts = append(texts, dbus.MakeVariant(false)) // nobody looks at what to set
			}
			return texts
		}
	}
	return []any{misfit{in.Signature, in.Body == nil}}
}

// misfit stands in a call for arguments that no method takes.
type misfit struct {
	Signature string
	TooLong   bool
}

// misfitOf says why a call's arguments were replaced.
func misfitOf(body []any) (m misfit, ok bool) {
	if len(body) != 1 {
		return m, false
	}
	fields, ok := body[0].([]any)
	if !ok {
		return m, false
	}
	return m, dbus.Store(fields, &m.Signature, &m.TooLong) == nil
}
