package dbussock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Message is the beginning of a message (the D-Bus specification, "Message
// Format"). Texts that it does not have are empty.
type Message struct {
	Type, Flags                                byte
	Serial                                     uint32
	Path, Interface, Member, Sender, Signature string
	Length                                     int    // of its body
	Body                                       []byte // nil when it is longer than MaxBody
	Order                                      binary.ByteOrder
}

// The types of messages (the D-Bus specification, "Message Types").
const (
	Call   = 1
	Reply  = 2
	Error  = 3
	Signal = 4
)

// Bus is the sender of what the bus itself says; nobody else can have it.
const Bus = "org.freedesktop.DBus"

const (
	// MaxBody is how much of a body a filter is shown.
	MaxBody = 4 << 10
	// maxHeader bounds the fields; a message with more is dropped.
	maxHeader = 4 << 10
	fixed     = 16
)

// Filter decides about a message that another than the bus sends: it is dropped,
// or read as other bytes, or with nil as it is.
type Filter func(*Message) (instead []byte, pass bool)

// NewFiltered is New with a filter between the bus and the library. That would
// decode whatever anybody sends: 32 MiB of small values become gigabytes, types
// that nobody has used before are kept for ever, and a type that it cannot
// express ends the connection.
func NewFiltered(s *Socket, filter Filter) *Filtered { return &Filtered{Socket: s, filter: filter} }

// Filtered is a Socket whose messages have passed a filter.
type Filtered struct {
	*Socket
	filter  Filter
	talking bool         // authentication is over
	ready   bytes.Reader // to be read next, in place of what was taken
	raw     int          // then so much as it comes
}

// Read implements io.Reader.
func (f *Filtered) Read(p []byte) (int, error) {
	for f.ready.Len() == 0 && f.raw == 0 {
		if err := f.next(); err != nil {
			f.fail(err)
			return 0, err
		}
	}
	if f.ready.Len() > 0 {
		return f.ready.Read(p)
	}
	n, err := f.Socket.Read(p[:min(len(p), f.raw)])
	f.raw -= n
	return n, err
}

// next looks at what comes next, and says how to read it or drops it.
func (f *Filtered) next() error {
	start, err := f.in.Peek(1)
	if err != nil {
		return err
	}
	if !f.talking && start[0] != 'l' && start[0] != 'B' { // no line of the authentication begins so
		line, err := f.in.ReadSlice('\n')
		f.ready.Reset(bytes.Clone(line))
		return err
	}
	f.talking = true
	if start, err = f.in.Peek(fixed); err != nil {
		return err
	}
	m, size, err := begin(start)
	if err != nil {
		return err
	}
	head := (size + 7) &^ 7
	if head > maxHeader {
		return f.drop(head + m.Length)
	}
	fields, err := f.in.Peek(head)
	if err != nil {
		return err
	}
	if !m.read(fields[fixed:size]) {
		return f.drop(head + m.Length)
	}
	if m.Sender == Bus {
		f.raw = head + m.Length
		return nil
	}
	return f.ask(m, head)
}

// ask lets the filter decide.
func (f *Filtered) ask(m *Message, head int) error {
	if m.Length <= MaxBody {
		whole, err := f.in.Peek(head + m.Length)
		if err != nil {
			return err
		}
		m.Body = whole[head:]
	}
	instead, pass := f.filter(m)
	switch {
	case !pass:
		return f.drop(head + m.Length)
	case instead == nil:
		f.raw = head + m.Length
		return nil
	}
	f.ready.Reset(instead)
	return f.drop(head + m.Length)
}

func (f *Filtered) drop(n int) error {
	_, err := io.CopyN(io.Discard, f.in, int64(n))
	return err
}

// maxMessage is the longest message there may be (the D-Bus specification).
const maxMessage = 128 << 20

// begin reads the fixed part; size is where the fields end, before they are
// padded to eight bytes.
func begin(b []byte) (m *Message, size int, err error) {
	m = &Message{Type: b[1], Flags: b[2], Order: binary.LittleEndian}
	if b[0] == 'B' {
		m.Order = binary.BigEndian
	}
	body, fields := m.Order.Uint32(b[4:]), m.Order.Uint32(b[12:])
	m.Serial = m.Order.Uint32(b[8:])
	if b[0] != 'l' && b[0] != 'B' || body > maxMessage || fields > maxMessage {
		return nil, 0, errors.New("it sent what is no message")
	}
	m.Length = int(body)
	return m, fixed + int(fields), nil
}

// read reads the fields of the header.
func (m *Message) read(b []byte) bool {
	texts := map[byte]*string{1: &m.Path, 2: &m.Interface, 3: &m.Member, 7: &m.Sender, 8: &m.Signature}
	for at := 0; at < len(b); at = (at + 7) &^ 7 {
		if len(b)-at < 8 && (len(b)-at < 6 || b[at+2] != 'g') {
			return false
		}
		code, kind := b[at], string(b[at+1:at+4])
		at += 4
		switch kind {
		case "\x01u\x00":
			at += 4
			continue
		case "\x01s\x00", "\x01o\x00", "\x01g\x00":
		default:
			return false // dbus-daemon passes no others on
		}
		n, width := int(b[at]), 1
		if kind[1] != 'g' {
			n, width = int(m.Order.Uint32(b[at:])), 4
		}
		if at += width; n < 0 || n >= len(b)-at {
			return false
		}
		if text := texts[code]; text != nil {
			*text = string(b[at : at+n])
		}
		at += n + 1
	}
	return true
}

// Texts reads a body that is n strings and then perhaps something else.
func (m *Message) Texts(n int) (texts []any, ok bool) {
	at := 0
	for range n {
		at = (at + 3) &^ 3
		if at+4 > len(m.Body) {
			return nil, false
		}
		size := int(m.Order.Uint32(m.Body[at:]))
		if at += 4; size < 0 || size >= len(m.Body)-at {
			return nil, false
		}
		texts = append(texts, string(m.Body[at:at+size]))
		at += size + 1
	}
	return texts, true
}
