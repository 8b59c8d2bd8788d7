package hand_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/hand"
	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/sockdiag"
	"github.com/left4med/left4med/internal/srcds"
)

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", args...)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve has a hand listen, and returns the socket, the daemon's client of it, and
// what it logs.
func serve(t *testing.T) (socket string, client *probe.Client, log *lines) {
	t.Helper()
	games, err := srcds.NewQuerier(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	socket, log = filepath.Join(t.TempDir(), "probe.sock"), &lines{}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	h := hand.New(hand.Options{Games: games, Version: "1.2.3", Logf: log.logf})
	go func() { ended <- h.Serve(ctx, l, 0) }()
	client = probe.New(socket)
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := games.Close(); err != nil {
			t.Error(err)
		}
	})
	return socket, client, log
}

// game listens like one on a port of loopback, UDP and TCP, with the password
// "geheim". It answers the command "twice" with what it was told in all.
type game struct {
	port   uint16
	cgroup uint64 // of the test, whose sockets these are
	hold   bool   // says nothing

	mu   sync.Mutex
	told []string // by RCON
}

// info is an answer to A2S_INFO, as Valve's page on server queries has it.
const info = "\xff\xff\xff\xffI\x11A \x1b[31mgame\x00c1m1_hotel\x00left4dead2\x00Left 4 Dead 2\x00\x26\x02\x03\x08\x01dl\x00\x012.2.4.3\x00"

// players is an answer to A2S_PLAYER: one player, since 12.5 s.
const players = "\xff\xff\xff\xffD\x01\x00Nick\x07\x00\x07\x00\x00\x00\x00\x00\x48\x41"

func newGame(t *testing.T, hold bool) *game {
	t.Helper()
	for {
		udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		tcp, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil { // somebody else's
			_ = udp.Close()
			continue
		}
		t.Cleanup(func() { _ = udp.Close(); _ = tcp.Close() })
		owners, err := sockdiag.UDP(port)
		if err != nil || len(owners) != 1 {
			t.Fatalf("the kernel does not tell whose a socket is: %v, %v", owners, err)
		}
		g := &game{port: port, cgroup: owners[0], hold: hold}
		go g.answerQueries(udp)
		go g.accept(tcp)
		return g
	}
}

func (g *game) target() probe.Target { return probe.Target{Port: g.port, Cgroup: g.cgroup} }

func (g *game) answerQueries(c net.PacketConn) {
	for b := make([]byte, 1400); ; {
		n, from, err := c.ReadFrom(b)
		switch {
		case err != nil:
			return
		case g.hold || n < 5:
		case b[4] == 'T':
			_, _ = c.WriteTo([]byte(info), from)
		case b[4] == 'U' && bytes.HasPrefix(b[5:n], []byte("\xff\xff\xff\xff")): // a challenge first
			_, _ = c.WriteTo([]byte("\xff\xff\xff\xffAabcd"), from)
		case b[4] == 'U':
			_, _ = c.WriteTo([]byte(players), from)
		}
	}
}

func (g *game) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go g.answerRCON(c)
	}
}

// answerRCON speaks as Valve's page on Source RCON has it.
func (g *game) answerRCON(c net.Conn) {
	defer func() { _ = c.Close() }()
	var size, id, kind int32
	for {
		if err := binary.Read(c, binary.LittleEndian, &size); err != nil || size < 10 || size > 4096 {
			return
		}
		_ = binary.Read(c, binary.LittleEndian, &id)
		_ = binary.Read(c, binary.LittleEndian, &kind)
		text := make([]byte, size-8)
		if _, err := io.ReadFull(c, text); err != nil {
			return
		}
		line := string(bytes.TrimRight(text, "\x00"))
		g.mu.Lock()
		g.told = append(g.told, line)
		g.mu.Unlock()
		switch {
		case g.hold:
		case kind == 3 && line != "geheim":
			answer(c, -1, 2, "")
		case kind == 3:
			answer(c, id, 0, "")
			answer(c, id, 2, "")
		case kind == 2:
			answer(c, id, 0, "you said \x1b "+line+"\r\nbye\n")
		case kind == 0: // mirrored, and the packet that srcds adds
			answer(c, id, 0, "")
			answer(c, id, 0, "\x00\x01\x00\x00")
		}
	}
}

func answer(c net.Conn, id, kind int32, text string) {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, []int32{int32(len(text)) + 10, id, kind})
	b.WriteString(text + "\x00\x00")
	_, _ = c.Write(b.Bytes())
}

// heard is what came over RCON.
func (g *game) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.told...)
}

// brief is a timeout in milliseconds for what does not answer.
const brief = 600

// soon is one for what does, on a machine that is busy.
const soon = 5 * time.Second
