package bus

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// Raw is a client that sends what no library would.
type Raw struct {
	net.Conn
	Name string // the unique name

	in     *bufio.Reader
	serial uint32
}

// Message is what Raw sends and gets (the D-Bus specification, "Message
// Format").
type Message struct {
	Type, Flags                                byte
	Path, Interface, Member, Destination, Sign string
	ErrorName, Sender                          string
	ReplySerial                                uint32
	Body                                       []byte
}

// The types of messages.
const (
	Call   = 1
	Reply  = 2
	Error  = 3
	Signal = 4

	NoReply = 1 // a flag
)

// Dial connects to the bus at a socket.
func Dial(socket string) (*Raw, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	r := &Raw{Conn: conn, in: bufio.NewReader(conn)}
	if err := r.begin(); err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

func (r *Raw) begin() error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	if _, err := fmt.Fprintf(r.Conn, "\x00AUTH EXTERNAL %s\r\n", uid); err != nil {
		return err
	}
	line, err := r.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "OK ") {
		return fmt.Errorf("the bus answered %q: %w", line, err)
	}
	if _, err := io.WriteString(r.Conn, "BEGIN\r\n"); err != nil {
		return err
	}
	const bus = "org.freedesktop.DBus"
	answer, err := r.Call(&Message{Destination: bus, Path: "/org/freedesktop/DBus", Interface: bus, Member: "Hello"})
	if err != nil || answer.Type != Reply {
		return fmt.Errorf("no Hello: %+v, %w", answer, err)
	}
	r.Name = string(answer.Body[4 : len(answer.Body)-1])
	return nil
}

// Call sends a call and waits for its answer.
func (r *Raw) Call(m *Message) (*Message, error) {
	m.Type = Call
	serial, err := r.Send(m)
	if err != nil {
		return nil, err
	}
	for {
		answer, err := r.Next()
		if err != nil || answer.ReplySerial == serial {
			return answer, err
		}
	}
}

// Send sends a message as it is.
func (r *Raw) Send(m *Message) (serial uint32, err error) {
	r.serial++
	var fields []byte
	for i, f := range []struct {
		kind byte
		text string
	}{1: {'o', m.Path}, 2: {'s', m.Interface}, 3: {'s', m.Member}, 6: {'s', m.Destination}, 8: {'g', m.Sign}} {
		if f.text == "" {
			continue
		}
		fields = append(pad(fields), byte(i), 1, f.kind, 0)
		if f.kind == 'g' {
			fields = append(fields, byte(len(f.text)))
		} else {
			fields = binary.LittleEndian.AppendUint32(fields, uint32(len(f.text)))
		}
		fields = append(append(fields, f.text...), 0)
	}
	out := []byte{'l', m.Type, m.Flags, 1}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(m.Body)))
	out = binary.LittleEndian.AppendUint32(out, r.serial)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(fields)))
	out = append(append(out, pad(fields)...), m.Body...)
	_, err = r.Write(out)
	return r.serial, err
}

func pad(b []byte) []byte {
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// Next reads the next message.
func (r *Raw) Next() (*Message, error) {
	var head [16]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, err
	}
	fields := make([]byte, (binary.LittleEndian.Uint32(head[12:])+7)&^7)
	if _, err := io.ReadFull(r.in, fields); err != nil {
		return nil, err
	}
	m := &Message{Type: head[1], Flags: head[2], Body: make([]byte, binary.LittleEndian.Uint32(head[4:]))}
	for at := 0; at+8 <= len(fields); at = (at + 7) &^ 7 {
		code, kind := fields[at], fields[at+2]
		at += 4
		size, width := int(fields[at]), 1
		if kind != 'g' {
			size, width = int(binary.LittleEndian.Uint32(fields[at:])), 4
		}
		at += width
		if kind == 'u' {
			if code == 5 {
				m.ReplySerial = uint32(size)
			}
			continue
		}
		text := string(fields[at : at+size])
		at += size + 1
		switch code {
		case 2:
			m.Interface = text
		case 3:
			m.Member = text
		case 4:
			m.ErrorName = text
		case 7:
			m.Sender = text
		}
	}
	_, err := io.ReadFull(r.in, m.Body)
	return m, err
}

// Text is a string in a body.
func Text(s string) []byte {
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...), 0)
}

// Texts are strings in a body.
func Texts(all ...string) (body []byte) {
	for _, s := range all {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		body = append(body, Text(s)...)
	}
	return body
}
