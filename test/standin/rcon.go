package standin

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// The types of packets, as https://developer.valvesoftware.com/wiki/Source_RCON_Protocol
// has them.
const (
	rconValue    = 0
	rconExec     = 2
	rconAuthDone = 2
	rconAuth     = 3
)

// The modes in which RCON is answered wrongly.
const (
	rconEndless   = "endless"    // a command, by text without end
	rconFlood     = "flood"      // a command, by packets with ids that nobody sent, without end
	rconAuthTwice = "auth-twice" // the password, twice, the second time within a command's answer
	rconHang      = "hang"       // not at all
	rconClose     = "close"      // by closing the connection, as if the sender were banned
	rconMalformed = "malformed"  // by a packet of an impossible size
)

// RCONModes are the modes of the directive "rcon".
func RCONModes() []string {
	return []string{modeNormal, rconEndless, rconFlood, rconAuthTwice, rconHang, rconClose, rconMalformed}
}

// rconPacket is size, id, type, text and an empty text.
type rconPacket struct {
	id, kind int32
	text     string
}

// serveRCON answers what comes over a connection until its end.
func (s *Server) serveRCON(conn io.ReadWriter) {
	allowed := false
	for {
		if _, mode := s.game.modes(); mode == rconClose {
			return
		}
		p, err := readRCON(conn)
		if err != nil {
			return
		}
		_, mode := s.game.modes()
		switch {
		case mode == rconHang:
			continue
		case mode == rconClose:
			return
		case mode == rconMalformed:
			_, _ = conn.Write([]byte("\xfb\xff\xff\xffnot a packet"))
			return
		case p.kind == rconAuth:
			allowed, err = s.authenticate(conn, p)
		case !allowed:
			err = writeRCON(conn, rconPacket{id: -1, kind: rconAuthDone})
		case p.kind == rconExec && mode != modeNormal:
			err = s.misrun(conn, p, mode)
		case p.kind == rconExec:
			err = writeText(conn, p.id, s.command(p.text))
		case p.kind == rconValue:
			// srcds sends back what it does not expect, and a packet of its own.
			err = writeRCON(conn, p)
			if err == nil {
				err = writeRCON(conn, rconPacket{id: p.id, text: "\x00\x01\x00\x00"})
			}
		}
		if err != nil {
			return
		}
	}
}

// authenticate answers a password: an empty text first, then whether it is right.
// Without rcon_password none is.
func (s *Server) authenticate(conn io.Writer, p rconPacket) (allowed bool, err error) {
	want := s.game.get("rcon_password")
	allowed = want != "" && p.text == want
	id := p.id
	if !allowed {
		id = -1
		s.printf("rcon: Bad Password")
	}
	if err := writeRCON(conn, rconPacket{id: p.id}); err != nil {
		return false, err
	}
	return allowed, writeRCON(conn, rconPacket{id: id, kind: rconAuthDone})
}

// misrun answers a command as a mode wants it.
func (s *Server) misrun(conn io.Writer, p rconPacket, mode string) error {
	switch mode {
	case rconAuthTwice:
		if err := writeText(conn, p.id, s.command(p.text)); err != nil {
			return err
		}
		return writeRCON(conn, rconPacket{id: 1, kind: rconAuthDone})
	case rconFlood:
		for id := p.id + 1000; ; id++ {
			if err := writeRCON(conn, rconPacket{id: id, text: "flood"}); err != nil {
				return err
			}
		}
	default: // endless
		for {
			if err := writeText(conn, p.id, strings.Repeat("endless\n", 500)); err != nil {
				return err
			}
		}
	}
}

// writeText sends an answer, in several packets when it is long. An empty one is a
// packet too.
func writeText(conn io.Writer, id int32, text string) error {
	const most = 4096 - 10 // so that the whole packet counts 4096
	for {
		piece := text[:min(len(text), most)]
		text = text[len(piece):]
		if err := writeRCON(conn, rconPacket{id: id, kind: rconValue, text: piece}); err != nil || text == "" {
			return err
		}
	}
}

func writeRCON(conn io.Writer, p rconPacket) error {
	b := make([]byte, 12, 14+len(p.text))
	binary.LittleEndian.PutUint32(b, uint32(10+len(p.text)))
	binary.LittleEndian.PutUint32(b[4:], uint32(p.id))
	binary.LittleEndian.PutUint32(b[8:], uint32(p.kind))
	_, err := conn.Write(append(append(b, p.text...), 0, 0))
	return err
}

func readRCON(conn io.Reader) (rconPacket, error) {
	var size int32
	if err := binary.Read(conn, binary.LittleEndian, &size); err != nil {
		return rconPacket{}, err
	}
	if size < 10 || size > 4096 {
		return rconPacket{}, fmt.Errorf("a packet of %d bytes", size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(conn, b); err != nil {
		return rconPacket{}, err
	}
	text, _, _ := strings.Cut(string(b[8:]), "\x00")
	return rconPacket{id: int32(binary.LittleEndian.Uint32(b)), kind: int32(binary.LittleEndian.Uint32(b[4:])), text: text}, nil
}
