package srcds

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// The types of RCON packets. 2 is a command from here and the answer to a password
// from there.
const (
	typeValue   = 0 // SERVERDATA_RESPONSE_VALUE
	typeCommand = 2 // SERVERDATA_EXECCOMMAND
	typeAllowed = 2 // SERVERDATA_AUTH_RESPONSE
	typeLogin   = 3 // SERVERDATA_AUTH
)

// The ids that packets from here have; the answer to one has its id.
const (
	idLogin   = 1
	idCommand = 2
	idEnd     = 3
	idRefused = -1 // of the answer to a wrong password
)

const (
	// MaxCommand is the longest command, and password, in bytes. The engine's tokenizer skips what
	// is longer: CCommand::Tokenize refuses a length of COMMAND_MAX_LENGTH-1 = 511 and
	// more (tier1/convar.cpp of Valve's source-sdk-2013).
	MaxCommand = 510

	frame = 10 // bytes of a packet's size that are not its text
	// maxPacket is the largest size: Valve's 4096, which srcds takes for the text, and
	// the frame around it.
	maxPacket = 4096 + frame
	// maxStrays is how many packets may come that say nothing.
	maxStrays = 64
)

// RCON runs a command over a connection that the caller made, checked, and closes
// afterwards. The output is what srcds printed; it is cut off at limit bytes, and
// truncated says so. An end of the context's, or of the connection, within an answer
// gives what came of it, truncated, beside the error.
//
// Errors are ErrCommand, before anything is sent, ErrPassword, ErrBanned,
// ErrMalformed, the context's or the network's; none holds the password.
func RCON(ctx context.Context, conn net.Conn, password, command string, limit int) (output string, truncated bool, err error) {
	if err := errors.Join(sendable("password", password), sendable("command", command)); err != nil {
		return "", false, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer unhook()
	output, truncated, err = converse(conn, password, command, limit)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return output, truncated, err
}

// sendable refuses what srcds would not take as it is meant.
func sendable(what, text string) error {
	switch {
	case len(text) > MaxCommand:
		return fmt.Errorf("the %s %w: it has %d bytes, srcds takes %d", what, ErrCommand, len(text), MaxCommand)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("the %s %w: it has a zero byte", what, ErrCommand)
	}
	return nil
}

func converse(conn io.ReadWriter, password, command string, limit int) (output string, truncated bool, err error) {
	if err := login(conn, password); err != nil {
		return "", false, err
	}
	// An answer may take several packets and none says that it is the last. srcds
	// answers in order, and sends back an empty SERVERDATA_RESPONSE_VALUE as it came,
	// followed by one with the bytes 00 01 00 00: so the answer is over when the packet
	// sent behind the command comes back (Source_RCON_Protocol, "Multiple-packet
	// Responses").
	for _, p := range []packet{{idCommand, typeCommand, command}, {idEnd, typeValue, ""}} {
		if err := send(conn, p); err != nil {
			return "", false, err
		}
	}
	return collect(conn, limit)
}

// login sends the password. srcds answers with an empty SERVERDATA_RESPONSE_VALUE
// and then SERVERDATA_AUTH_RESPONSE, whose id is the request's or -1.
func login(conn io.ReadWriter, password string) error {
	if err := send(conn, packet{idLogin, typeLogin, password}); err != nil {
		return banned(err)
	}
	for range maxStrays {
		p, err := receive(conn)
		switch {
		case err != nil:
			return banned(err)
		case p.kind == typeValue:
			continue
		case p.kind != typeAllowed:
			return malformed("an answer of type %d to the password", p.kind)
		case p.id == idLogin:
			return nil
		case p.id == idRefused:
			return ErrPassword
		}
		return malformed("an answer to a password that was not sent")
	}
	return malformed("%d packets and none that answers the password", maxStrays)
}

// banned makes an error of the end of a connection that never answered.
func banned(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return ErrBanned
	}
	return err
}

// collect reads the answer to the command.
func collect(conn io.Reader, limit int) (output string, truncated bool, err error) {
	var text strings.Builder
	for strays := 0; strays < maxStrays; {
		p, err := receive(conn)
		switch {
		case errors.Is(err, ErrMalformed):
			return "", false, err
		case errors.Is(err, io.EOF):
			return text.String(), true, fmt.Errorf("the game closed the connection within its answer: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return text.String(), true, err
		case p.kind == typeAllowed:
			return "", false, malformed("an answer to a password within the answer to a command, as when rcon_password changes")
		case p.kind != typeValue:
			return "", false, malformed("an answer of type %d to a command", p.kind)
		case p.id == idEnd:
			return text.String(), false, nil
		case p.id != idCommand || p.text == "":
			strays++
			continue
		}
		if room := limit - text.Len(); len(p.text) > room {
			text.WriteString(p.text[:max(room, 0)])
			return text.String(), true, nil
		}
		text.WriteString(p.text)
	}
	return "", false, malformed("%d packets that answer nothing", maxStrays)
}

// packet is one of RCON's:
//
//	long    size of what follows, from 10 to 4096 and, of srcds, a little more
//	long    id
//	long    type
//	string  text
//	string  always empty
type packet struct {
	id, kind int32
	text     string
}

// send writes a packet in one piece.
func send(conn io.Writer, p packet) error {
	buf := binary.LittleEndian.AppendUint32(nil, uint32(frame+len(p.text)))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(p.id))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(p.kind))
	buf = append(buf, p.text...)
	_, err := conn.Write(append(buf, 0, 0))
	return err
}

// receive reads a packet. Its error is io.EOF at the end of the stream, also in the
// middle of a packet, or ErrMalformed.
func receive(conn io.Reader) (packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return packet{}, atEnd(err)
	}
	size := int32(binary.LittleEndian.Uint32(head[:]))
	if size < frame || size > maxPacket {
		return packet{}, malformed("a packet of %d bytes, where %d to %d are possible", size, frame, maxPacket)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return packet{}, atEnd(err)
	}
	if body[size-1] != 0 || body[size-2] != 0 {
		return packet{}, malformed("a packet whose text does not end")
	}
	return packet{
		id:   int32(binary.LittleEndian.Uint32(body)),
		kind: int32(binary.LittleEndian.Uint32(body[4:])),
		text: string(body[8 : size-2]),
	}, nil
}

func atEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
