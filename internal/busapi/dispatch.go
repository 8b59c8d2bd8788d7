package busapi

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/dbussock"
	"github.com/left4med/left4med/internal/server"
)

// call is one method call.
type call struct {
	conn   *dbus.Conn
	msg    *dbus.Message
	sender string // the caller's unique name
	wanted bool   // the caller waits for a reply

	ctx    context.Context // ends when the caller leaves
	cancel context.CancelFunc

	unknown bool // counts as one whose sender is not known; callers.mu guards it
	peer    authz.Peer
	ifs     []iface // of the object
	at      *object // the server that the path names; nil for other paths
	about   server.Name
	args    []any
}

// The library asks for objects, interfaces and methods one by one, and answers
// with errors of its own for what is not there. This is all of them, so that
// everything arrives in one place: handle.
type everything struct{ b *Bus }

var _ dbus.ArgumentDecoder = everything{}

// LookupObject implements dbus.Handler.
func (b *Bus) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return everything{b}, true }

// LookupInterface implements dbus.ServerObject.
func (a everything) LookupInterface(string) (dbus.Interface, bool) { return a, true }

// LookupMethod implements dbus.Interface.
func (a everything) LookupMethod(string) (dbus.Method, bool) { return a, true }

// NumArguments, NumReturns, ArgumentValue and ReturnValue are of dbus.Method;
// they are for decoders other than DecodeArguments.
func (everything) NumArguments() int     { return 0 }
func (everything) NumReturns() int       { return 0 }
func (everything) ArgumentValue(int) any { return nil }
func (everything) ReturnValue(int) any   { return nil }

// DecodeArguments implements dbus.ArgumentDecoder: it takes the message itself.
// The library is told that no reply is wanted, since we send it: it must not
// come after a signal that tells of something later.
func (a everything) DecodeArguments(conn *dbus.Conn, sender string, msg *dbus.Message, _ []any) ([]any, error) {
	k := &call{conn: conn, msg: msg, sender: sender, wanted: msg.Flags&dbus.FlagNoReplyExpected == 0}
	msg.Flags |= dbus.FlagNoReplyExpected
	return []any{k}, nil
}

// Call implements dbus.Method.
func (a everything) Call(args ...any) ([]any, error) {
	a.b.serve(args[0].(*call))
	return nil, nil
}

// callTimeout bounds a call; authz bounds how long a person may be asked.
const callTimeout = authz.AskPatience + 30*time.Second

// serve answers one call.
func (b *Bus) serve(k *call) {
	k.ctx, k.cancel = context.WithTimeout(k.conn.Context(), callTimeout)
	defer k.cancel()
	defer func() {
		if v := recover(); v != nil {
			b.Log.Error().Any("panic", v).Str("method", k.member()).Bytes("stack", debug.Stack()).Msg("a call hit a mistake of ours")
			k.fail(b, fmt.Errorf("panic: %v", v))
		}
	}()
	if !b.callers.enter(k) {
		k.fail(b, refusal(errLimits, "left4med has too many calls to answer; try again"))
		return
	}
	defer b.callers.leave(k)
	if err := b.handle(k); err != nil {
		k.fail(b, err)
	}
}

// handle finds out who calls what, whether that may be, and does it.
func (b *Bus) handle(k *call) (err error) {
	k.peer, err = b.callers.peer(k)
	b.callers.recognized(k)
	if err != nil {
		return err
	}
	give, ok := b.calls.Take(k.peer.UID)
	if !ok {
		return refusal(errLimits, fmt.Sprintf("uid %d, or all users together, have too many calls under way; wait for some and try again", k.peer.UID))
	}
	defer give()
	m, err := b.find(k)
	if err != nil {
		return err
	}
	k.args = k.msg.Body
	if k.at != nil {
		k.about = k.at.name
	}
	switch m.is {
	case heavy:
		give, ok := b.heavy.Take(k.peer.UID)
		if !ok {
			return refusal(errLimits, fmt.Sprintf("uid %d asks for too many lists at once; wait for some and try again", k.peer.UID))
		}
		defer give()
	case named:
		if k.about, err = server.ParseName(k.args[0].(string)); err != nil {
			return err
		}
	}
	err = b.Gate.Check(k.ctx, authz.Request{
		Peer: k.peer, Action: m.asks.action, Verb: m.asks.verb, Server: string(k.about),
		Interactive: k.msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0,
	})
	if err != nil {
		return err
	}
	return m.serve(b, k)
}

// header is a text among the message's headers.
func (k *call) header(field dbus.HeaderField) string {
	switch v := k.msg.Headers[field].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	case dbus.Signature:
		return v.String()
	}
	return ""
}

// member is what is called, as text for people.
func (k *call) member() string {
	return k.header(dbus.FieldInterface) + "." + k.header(dbus.FieldMember)
}

// find looks up the object and the method that a call is for, and that the
// arguments fit.
func (b *Bus) find(k *call) (*method, error) {
	path := dbus.ObjectPath(k.header(dbus.FieldPath))
	face, member := k.header(dbus.FieldInterface), k.header(dbus.FieldMember)
	if k.ifs, k.at = b.objectAt(path); k.ifs == nil {
		return nil, refusal(errUnknownObject, fmt.Sprintf("there is no object %s; `busctl tree %s` shows which there are", server.Quote(string(path), 120), busName))
	}
	known := false
	for i := range k.ifs {
		if face != "" && k.ifs[i].name != face {
			continue
		}
		known = true
		for j := range k.ifs[i].methods {
			m := &k.ifs[i].methods[j]
			if m.name != member {
				continue
			}
			return m, k.fits(m)
		}
	}
	if !known {
		return nil, refusal(errUnknownInterface, fmt.Sprintf("%s has no interface %s", path, server.Quote(face, 120)))
	}
	return nil, refusal(errUnknownMethod, fmt.Sprintf("%s has no method %s", path, server.Quote(k.member(), 120)))
}

// fits says what is wrong with the arguments for a method.
func (k *call) fits(m *method) error {
	got, want := k.header(dbus.FieldSignature), signature(m.in)
	if odd, ok := misfitOf(k.msg.Body); ok {
		if odd.TooLong && odd.Signature == want {
			return refusal(errInvalidArgs, fmt.Sprintf("the arguments of %s are too long: %d bytes are enough for every name", m.name, dbussock.MaxBody))
		}
		got = odd.Signature
	}
	if got != want {
		return refusal(errInvalidArgs, fmt.Sprintf("%s takes arguments of the signature %q, not %s", m.name, want, server.Quote(got, 60)))
	}
	return nil
}

// objectAt is what stands at a path: its interfaces, and its server. There is
// nothing where there are no interfaces.
func (b *Bus) objectAt(path dbus.ObjectPath) ([]iface, *object) {
	if path == rootPath {
		return managerObject, nil
	}
	if _, ok := nodes[path]; ok {
		return nodeObject, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.told.objects[path]; o != nil {
		return serverObject, o
	}
	return nil, nil
}

// reply sends the answer. For one that tells what the bus was told, the caller
// holds b.mu: then signals and answers arrive in the order in which they are true.
func (k *call) reply(body ...any) {
	if !k.wanted {
		return
	}
	m := &dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: k.answerHeaders()}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	k.conn.Send(m, nil)
}

// fail answers with an error.
func (k *call) fail(b *Bus, err error) {
	e, ours := busError(err)
	if ours && k.ctx.Err() == nil {
		b.Log.Error().Err(err).Str("method", k.member()).Msg("cannot answer a call on the bus")
	}
	if !k.wanted {
		return
	}
	m := &dbus.Message{Type: dbus.TypeError, Body: e.Body, Headers: k.answerHeaders()}
	m.Headers[dbus.FieldErrorName] = dbus.MakeVariant(e.Name)
	m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(e.Body...))
	k.conn.Send(m, nil)
}

func (k *call) answerHeaders() map[dbus.HeaderField]dbus.Variant {
	return map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(k.sender),
		dbus.FieldReplySerial: dbus.MakeVariant(k.msg.Serial()),
	}
}
