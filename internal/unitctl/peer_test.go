package unitctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// peer is the other end of a private socket, for what the real systemd cannot
// be made to do.
type peer struct {
	net.Conn
	in    *bufio.Reader
	calls chan *dbus.Message // all but pings, which are answered
}

// newPeer runs a Manager whose every connection is handed to serve.
func newPeer(t *testing.T, serve func(p *peer)) (*Manager, *recorder) {
	t.Helper()
	m := New(Options{Root: t.TempDir(), Log: zerolog.New(zerolog.NewTestWriter(t))})
	m.dial = func(context.Context) (net.Conn, error) {
		ours, theirs := socketpair(t)
		go func() {
			defer theirs.Close()
			serve(&peer{Conn: theirs, in: bufio.NewReader(theirs), calls: make(chan *dbus.Message, 64)})
		}()
		return ours, nil
	}
	return m, run(t, m)
}

func socketpair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	return ends[0], ends[1]
}

// handshake is the server's side of SASL.
func (p *peer) handshake() {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.Trim(line, "\x00\r\n"); line {
		case "AUTH":
			p.say("REJECTED EXTERNAL")
		case "AUTH EXTERNAL":
			p.say("DATA")
		case "DATA":
			p.say("OK 0123456789abcdef0123456789abcdef")
		case "BEGIN":
			return
		}
	}
}

func (p *peer) say(line string) { _, _ = p.Write([]byte(line + "\r\n")) }

// listen answers pings and passes on all other calls, until the end.
func (p *peer) listen() {
	defer close(p.calls)
	for {
		msg, err := dbus.DecodeMessage(p.in)
		if err != nil {
			return
		}
		if msg.Headers[dbus.FieldMember].Value() == "Ping" {
			p.reply(msg)
			continue
		}
		p.calls <- msg
	}
}

func (p *peer) reply(to *dbus.Message, body ...any) {
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(to.Serial())}
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	p.send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: headers, Body: body})
}

func (p *peer) refuse(to *dbus.Message, name, text string) {
	p.send(&dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()), dbus.FieldErrorName: dbus.MakeVariant(name),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(text)),
	}, Body: []any{text}})
}

func (p *peer) send(msg *dbus.Message) {
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
		panic(err)
	}
	_, _ = p.Write(b.Bytes())
}

func isCode(err error, code server.Code) bool { return errors.Is(err, &server.Error{Code: code}) }

func isKind(k EventKind) func(Event) bool { return func(e Event) bool { return e.Kind == k } }

// Signals that cannot be read are skipped; what follows is read.
func TestPeerMalformedSignals(t *testing.T) {
	t.Parallel()
	_, rec := newPeer(t, func(p *peer) {
		p.handshake()
		for _, msg := range malformed() {
			p.send(msg)
		}
		p.send(signalMessage(managerPath, managerFace, "UnitNew", unit("a"), unitPathOf(unit("a"))))
		p.listen()
	})
	rec.after(t, 0, "appeared", isKind(Appeared))
	var got []EventKind
	for _, e := range rec.since(0) {
		if e.Kind != UnitFilesChanged {
			got = append(got, e.Kind)
		}
	}
	if diff := cmp.Diff([]EventKind{Connected, Appeared}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is in flight ends with ErrConnectionLost when the connection breaks:
// a call without its reply, and a job without its result.
func TestPeerHangsUp(t *testing.T) {
	t.Parallel()
	m, rec := newPeer(t, func(p *peer) {
		p.handshake()
		go p.listen()
		for msg := range p.calls {
			switch msg.Headers[dbus.FieldMember].Value() {
			case "StartUnit":
				p.reply(msg, dbus.ObjectPath("/job/1"))
			case "StopUnit":
				return
			}
		}
	})
	rec.after(t, 0, "connected", isKind(Connected))
	started := make(chan error, 1)
	go func() {
		_, err := m.Start(bounded(t), unit("a"))
		started <- err
	}()
	l, err := m.live()
	if err != nil {
		t.Fatal(err)
	}
	for {
		l.jobs.mu.Lock()
		waits := len(l.jobs.waiting)
		l.jobs.mu.Unlock()
		if waits > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	mark := rec.mark()
	_, err = m.Stop(bounded(t), unit("a"))
	for _, err := range []error{err, <-started} {
		if !errors.Is(err, ErrConnectionLost) || !isCode(err, server.CodeSystemdUnavailable) {
			t.Errorf("%v", err)
		}
	}
	gone := rec.after(t, mark, "disconnected", isKind(Disconnected))
	back := rec.after(t, mark, "connected again", isKind(Connected))
	if !gone.Stamp.Before(back.Stamp) || gone.Err == nil {
		t.Errorf("%+v, then %+v", gone, back)
	}
}

func TestPeerAnswersNonsense(t *testing.T) {
	t.Parallel()
	m, rec := newPeer(t, func(p *peer) {
		p.handshake()
		go p.listen()
		for msg := range p.calls {
			switch msg.Headers[dbus.FieldMember].Value() {
			case "ResetFailedUnit":
				p.refuse(msg, "org.example.Odd", "no \x1b[31mcolours")
			case "Reload": // never
			default:
				p.reply(msg, uint32(1))
			}
		}
	})
	rec.after(t, 0, "connected", isKind(Connected))
	ctx := bounded(t)
	_, startErr := m.Start(ctx, unit("a"))
	_, snapErr := m.Snapshot(ctx)
	_, _, unitErr := m.Unit(ctx, unit("a"))
	_, versionErr := m.Version(ctx)
	for what, err := range map[string]error{
		"start": startErr, "snapshot": snapErr, "unit": unitErr, "version": versionErr, "reset": m.ResetFailed(ctx, unit("a")),
	} {
		if !isCode(err, server.CodeInternal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := m.ResetFailed(ctx, unit("a")); strings.Contains(err.(*server.Error).Detail, "\x1b") {
		t.Errorf("%q", err)
	}
	soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := m.Reload(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without an answer: %v", err)
	}
}

// A peer that keeps the first message in its buffer until more bytes come, as
// sd-bus does with one that came together with BEGIN.
func TestPeerNeedsWaking(t *testing.T) {
	t.Parallel()
	_, rec := newPeer(t, func(p *peer) {
		p.handshake()
		first, err := dbus.DecodeMessage(p.in)
		if err != nil {
			return
		}
		if _, err := p.in.Peek(1); err != nil {
			return
		}
		p.reply(first)
		p.listen()
	})
	rec.after(t, 0, "connected", isKind(Connected))
}

func TestPeerRefusesAndReturns(t *testing.T) {
	t.Parallel()
	attempts := make(chan int, 1)
	attempts <- 0
	_, rec := newPeer(t, func(p *peer) {
		n := <-attempts
		attempts <- n + 1
		if n < 3 {
			return // hangs up
		}
		p.handshake()
		p.listen()
	})
	rec.after(t, 0, "connected", isKind(Connected))
	told := 0
	for _, e := range rec.since(0) {
		if e.Kind == Disconnected {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times that there is no connection", told)
	}
}

// UnitRemoved is not delivered while systemd reloads, and is again after.
func TestPeerReload(t *testing.T) {
	t.Parallel()
	path := unitPathOf(unit("a"))
	_, rec := newPeer(t, func(p *peer) {
		p.handshake()
		told := func(member string, body ...any) { p.send(signalMessage(managerPath, managerFace, member, body...)) }
		told("Reloading", true)
		told("UnitRemoved", unit("a"), path)
		told("UnitNew", unit("a"), path)
		told("Reloading", false)
		told("UnitRemoved", unit("a"), path)
		p.listen()
	})
	rec.after(t, 0, "removed", isKind(Removed))
	var got []EventKind
	var last Stamp
	for _, e := range rec.since(0) {
		if e.Kind == UnitFilesChanged {
			continue
		}
		got = append(got, e.Kind)
		if e.Stamp.Before(last) {
			t.Errorf("%v after %v", e.Stamp, last)
		}
		last = e.Stamp
	}
	if diff := cmp.Diff([]EventKind{Connected, Reloading, Appeared, Reloaded, Removed}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var b backoff
	check := func(lived, atMost time.Duration) {
		t.Helper()
		if got := b.next(lived); got < atMost/2 || got > atMost {
			t.Errorf("pause %v, should be up to %v", got, atMost)
		}
	}
	for pause := backoffFirst; pause < backoffCap; pause *= 2 {
		check(0, pause)
	}
	check(0, backoffCap)
	check(0, backoffCap)
	check(time.Hour, backoffFirst)
}
