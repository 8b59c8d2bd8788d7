package srcds

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"
)

// What comes from a game is anything. These hold for whatever it is.

func FuzzInfo(f *testing.F) {
	whole := []byte("\x11Kim's\x00c1m1_hotel\x00left4dead2\x00Left 4 Dead 2\x00\x26\x02\x04\x08\x01dl\x00\x012.2.4.3\x00")
	f.Add(whole)
	f.Add(append(whole, "\x91\x87\x69\x01\x02\x03\x04\x05\x06\x07\x08coop\x00more"...))
	f.Add(whole[:20])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0}, 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := parseInfo(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || i != (Info{}) {
				t.Errorf("%+v, %v", i, err)
			}
			return
		}
		if n := len(i.Name) + len(i.Map) + len(i.Folder) + len(i.Game) + len(i.Version); n > len(data) {
			t.Errorf("%d bytes of text out of %d", n, len(data))
		}
	})
}

func FuzzPlayers(f *testing.F) {
	f.Add([]byte("\x02\x00Zoey\x00\x01\x00\x00\x00\x00\x00\x80\x3f\x00\x00\xff\xff\xff\xff\x00\x00\xc0\x7f"))
	f.Add([]byte("\xff\x00Zoey\x00"))
	f.Add([]byte("\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		players, err := parsePlayers(data)
		if err != nil && (!errors.Is(err, ErrMalformed) || players != nil) {
			t.Errorf("%+v, %v", players, err)
		}
		if err == nil && (players == nil || len(players) != int(data[0])) {
			t.Errorf("%d players of %d", len(players), data[0])
		}
		for _, p := range players {
			if !(p.Seconds >= 0) || math.IsInf(p.Seconds, 0) {
				t.Errorf("%v seconds", p.Seconds)
			}
		}
	})
}

// FuzzSplit takes a byte for the length of each packet that follows it.
func FuzzSplit(f *testing.F) {
	const id, other = "\x01\x00\x00\x00", "\x02\x00\x00\x80"
	const first, second = "\x02\x00\xe0\x04", "\x02\x01\xe0\x04"
	packets := func(all ...string) (data []byte) {
		for _, p := range all {
			data = append(append(data, byte(len(p))), p...)
		}
		return data
	}
	const part = "\xfe\xff\xff\xff"
	f.Add(packets(part+id+second+"b", part+id+first+"\xff\xff\xff\xffDa", part+id+second+"b"))
	f.Add(packets(part+id+first+"a", part+id+"\x03\x01\xe0\x04b"))
	f.Add(packets(part+other+first+"a", part))
	f.Add(packets("\xff\xff\xff\xffA\x01\x02\x03\x04", "\xff\xff\xff\xffD\x00", "\xff\xff\xff\xffI", "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &exchange{want: tellPlayers, wake: make(chan struct{}, 1)}
		heard := 0
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			e.hear(data[1:1+n], time.Now())
			_, _ = e.request()
			data = data[1+n:]
			heard += n
			bounded(t, e)
		}
		if len(e.answer) > heard || e.err != nil && !errors.Is(e.err, ErrMalformed) {
			t.Errorf("%d bytes of %d, %v", len(e.answer), heard, e.err)
		}
	})
}

// bounded fails the test if an exchange holds more than it may.
func bounded(t *testing.T, e *exchange) {
	t.Helper()
	held := 0
	for _, p := range e.parts.unfinished {
		for _, piece := range p.pieces {
			held += len(piece)
		}
	}
	if held != e.parts.held || held > maxAnswer || len(e.answer) > maxAnswer || len(e.parts.unfinished) > maxUnfinished {
		t.Fatalf("holds %d bytes and counts %d in %d answers, and an answer of %d",
			held, e.parts.held, len(e.parts.unfinished), len(e.answer))
	}
}

// conversation is a connection whose other side said all it has to say.
type conversation struct {
	io.Reader
	io.Writer
}

func FuzzRCON(f *testing.F) {
	stream := func(all ...packet) []byte {
		var b bytes.Buffer
		for _, p := range all {
			_ = send(&b, p)
		}
		return b.Bytes()
	}
	f.Add(stream(packet{id: idLogin}, packet{idLogin, typeAllowed, ""}, packet{idCommand, typeValue, "a"}, packet{idCommand, typeValue, "b"}, packet{id: idEnd}))
	f.Add(stream(packet{id: idLogin}, packet{idRefused, typeAllowed, ""}))
	f.Add(stream(packet{idLogin, typeAllowed, ""}, packet{idLogin, typeAllowed, ""}))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x10\x00\x00short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 50
		text, truncated, err := converse(conversation{bytes.NewReader(data), io.Discard}, "geheim", "status", limit)
		if len(text) > limit || len(text) > len(data) {
			t.Errorf("%d bytes", len(text))
		}
		known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrPassword) || errors.Is(err, ErrBanned) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !known || err != nil && text != "" && !truncated {
			t.Errorf("%q, %v, %v", text, truncated, err)
		}
	})
}

// TestFlood has an exchange hear ten thousand parts of answers that never end:
// whatever their ids and sizes, little is held.
func TestFlood(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte{'x'}, 1000)
	for _, change := range []int{1, 7, 1000} { // parts of an answer before the next one
		e := &exchange{want: tellInfo, wake: make(chan struct{}, 1)}
		for n := range 10_000 {
			id := n / change
			e.hear(append([]byte{0xfe, 0xff, 0xff, 0xff, byte(id), byte(id >> 8), byte(id >> 16), 0, 255, byte(n % change % 254), 0xe0, 4}, piece...), time.Now())
			bounded(t, e)
		}
		if e.answer != nil || e.late(context.DeadlineExceeded) == context.DeadlineExceeded && e.err == nil {
			t.Errorf("an answer of %d bytes, %v", len(e.answer), e.err)
		}
	}
}
