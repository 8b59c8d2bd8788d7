package srcds_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/srcds"
)

// console is a connection to a game whose every packet is the test's own. It counts
// what was read from it.
type console struct {
	net.Conn
	read atomic.Int64
}

func (c *console) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// served connects to a game that serve answers for, whose connection ends with it.
func served(t *testing.T, serve func(net.Conn)) *console {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	game, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		defer game.Close()
		serve(game)
	}()
	return &console{Conn: conn}
}

// say sends a packet; that it cannot be sent ends the game's side soon enough.
func say(w io.Writer, id, kind int32, text string) error {
	b := binary.LittleEndian.AppendUint32(nil, uint32(10+len(text)))
	b = binary.LittleEndian.AppendUint32(b, uint32(id))
	b = binary.LittleEndian.AppendUint32(b, uint32(kind))
	_, err := w.Write(append(append(b, text...), 0, 0))
	return err
}

// heard reads a packet.
func heard(r io.Reader) (id, kind int32, text string) {
	var head struct{ Size, ID, Kind int32 }
	if binary.Read(r, binary.LittleEndian, &head) != nil {
		return 0, 0, ""
	}
	b := make([]byte, head.Size-8)
	_, _ = io.ReadFull(r, b)
	return head.ID, head.Kind, string(b)
}

// allow takes any password.
func allow(c net.Conn) {
	id, _, _ := heard(c)
	_ = say(c, id, 0, "")
	_ = say(c, id, 2, "")
}

func TestRCON(t *testing.T) {
	t.Parallel()
	type packet struct {
		Kind int32
		Text string
	}
	got := make(chan []packet, 1)
	conn := served(t, func(c net.Conn) {
		var all []packet
		next := func() int32 {
			id, kind, text := heard(c)
			all = append(all, packet{kind, text})
			return id
		}
		id := next()
		_ = say(c, id, 0, "")
		_ = say(c, id, 2, "")
		id = next()
		_ = say(c, id, 0, strings.Repeat("a", 4086))
		_ = say(c, id+100, 0, "a stray")
		_ = say(c, id, 0, strings.Repeat("b", 4096))
		_ = say(c, id, 0, "\xff\x1b")
		end := next()
		_ = say(c, end, 0, "")
		_ = say(c, end, 0, "\x00\x01\x00\x00")
		got <- all
	})
	text, truncated, err := srcds.RCON(within(t, plenty), conn, "geheim", "status", 1<<20)
	if err != nil || truncated {
		t.Errorf("truncated %v, %v", truncated, err)
	}
	if diff := cmp.Diff(strings.Repeat("a", 4086)+strings.Repeat("b", 4096)+"\xff\x1b", text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]packet{{3, "geheim\x00\x00"}, {2, "status\x00\x00"}, {0, "\x00\x00"}}, <-got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// TestRCONWrong has games answer wrongly in every place. read bounds what is taken
// from them.
func TestRCONWrong(t *testing.T) {
	t.Parallel()
	raw := func(text string) func(net.Conn) {
		return func(c net.Conn) { heard(c); _, _ = io.WriteString(c, text); heard(c) }
	}
	then := func(do func(c net.Conn, id int32)) func(net.Conn) {
		return func(c net.Conn) {
			allow(c)
			id, _, _ := heard(c)
			do(c, id)
			heard(c)
			heard(c)
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  error
		text  string // in the error
	}{
		"wrong password": {func(c net.Conn) {
			id, _, _ := heard(c)
			_ = say(c, id, 0, "")
			_ = say(c, -1, 2, "")
		}, srcds.ErrPassword, "refused"},
		"closed at once":      {func(net.Conn) {}, srcds.ErrBanned, "closed"},
		"closed at the login": {func(c net.Conn) { heard(c); _ = say(c, 1, 0, "") }, srcds.ErrBanned, "closed"},
		"another id":          {func(c net.Conn) { heard(c); _ = say(c, 77, 2, "") }, srcds.ErrMalformed, "not sent"},
		"another type":        {func(c net.Conn) { heard(c); _ = say(c, 1, 5, "") }, srcds.ErrMalformed, "type 5"},
		"negative size":       {raw("\xff\xff\xff\xff"), srcds.ErrMalformed, "-1 bytes"},
		"small size":          {raw("\x09\x00\x00\x00"), srcds.ErrMalformed, "9 bytes"},
		"large size":          {raw("\x0b\x10\x00\x00"), srcds.ErrMalformed, "4107 bytes"},
		"HTTP":                {raw("HTTP/1.1 400 Bad Request\r\n\r\n"), srcds.ErrMalformed, "1347703880 bytes"},
		"no end of the text":  {raw("\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00x"), srcds.ErrMalformed, "does not end"},
		"empty ones before the login": {func(c net.Conn) {
			for say(c, 1, 0, "") == nil {
			}
		}, srcds.ErrMalformed, "none that answers the password"},
		"authenticates twice": {then(func(c net.Conn, id int32) { _ = say(c, 1, 2, "") }), srcds.ErrMalformed, "an answer to a password"},
		"wants it once more":  {then(func(c net.Conn, id int32) { _ = say(c, -1, 2, "") }), srcds.ErrMalformed, "an answer to a password"},
		"a type within":       {then(func(c net.Conn, id int32) { _ = say(c, id, 9, "") }), srcds.ErrMalformed, "type 9"},
		"flood": {then(func(c net.Conn, id int32) {
			for id := id + 1000; say(c, id, 0, strings.Repeat("x", 4096)) == nil; id++ {
			}
		}), srcds.ErrMalformed, "64 packets"},
		"empty ones without end": {then(func(c net.Conn, id int32) {
			for say(c, id, 0, "") == nil {
			}
		}), srcds.ErrMalformed, "64 packets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := served(t, c.serve)
			text, truncated, err := srcds.RCON(within(t, plenty), conn, "geheim", "status", 100_000)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%v; want %v with %q", err, c.want, c.text)
			}
			if text != "" || truncated {
				t.Errorf("%d bytes, truncated %v", len(text), truncated)
			}
			if n := conn.read.Load(); n > 70*4110 {
				t.Errorf("read %d bytes", n)
			}
		})
	}
}

func TestRCONEndless(t *testing.T) {
	t.Parallel()
	conn := served(t, func(c net.Conn) {
		allow(c)
		for id, _, _ := heard(c); say(c, id, 0, strings.Repeat("x", 4000)) == nil; {
		}
	})
	text, truncated, err := srcds.RCON(within(t, plenty), conn, "geheim", "cvarlist", 10_000)
	if len(text) != 10_000 || !truncated || err != nil {
		t.Errorf("%d bytes, truncated %v, %v", len(text), truncated, err)
	}
	if n := conn.read.Load(); n > 20_000 {
		t.Errorf("read %d bytes", n)
	}
}

// TestRCONPartly has answers that stop before their end.
func TestRCONPartly(t *testing.T) {
	t.Parallel()
	begin := func(c net.Conn) {
		allow(c)
		id, _, _ := heard(c)
		_ = say(c, id, 0, "begun")
		heard(c)
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		time  time.Duration
		text  string
		want  error
	}{
		"hangs":  {func(c net.Conn) { begin(c); _, _ = io.Copy(io.Discard, c) }, brief * 5, "begun", context.DeadlineExceeded},
		"closes": {begin, plenty, "begun", io.ErrUnexpectedEOF},
		"closes in a packet": {func(c net.Conn) {
			begin(c)
			_, _ = io.WriteString(c, "\x20\x00\x00\x00\x02")
		}, plenty, "begun", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, truncated, err := srcds.RCON(within(t, c.time), served(t, c.serve), "geheim", "quit", 1000)
			if text != c.text || !truncated || !errors.Is(err, c.want) {
				t.Errorf("%q, truncated %v, %v", text, truncated, err)
			}
		})
	}
}

func TestRCONCannotSend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ password, command string }{
		{"geheim", strings.Repeat("x", 511)}, {"geheim", "a\x00b"}, {strings.Repeat("geheim", 100), "status"}, {"geheim\x00", "status"},
	} {
		_, _, err := srcds.RCON(t.Context(), nil, c.password, c.command, 1000)
		if !errors.Is(err, srcds.ErrCommand) || strings.Contains(err.Error(), "geheim") {
			t.Error(err)
		}
	}
}
