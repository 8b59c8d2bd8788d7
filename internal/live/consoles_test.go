package live_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/live"
)

// consoles follow the logs of a daemon, patiently after the last reader has left.
func (d *daemon) consoles(t *testing.T, limit int) *live.Consoles {
	t.Helper()
	c := live.NewConsoles(d.client(t), limit)
	c.Hasten(time.Hour, time.Millisecond)
	t.Cleanup(c.Close)
	return c
}

func read(t *testing.T, c *live.Consoles, name string, lines int) *viewer {
	t.Helper()
	s, err := c.Follow(t.Context(), name, lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &viewer{source: s, t: t}
}

// line is an entry as a browser gets it.
func line(n int, text string) string {
	return fmt.Sprintf(`entry {"at":"2026-05-01T12:00:00Z","priority":6,"message":%q,"cursor":"c%d"} #c%d`, text, n, n)
}

func TestALogBeginsWithItsLastLines(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	d.say("one")
	d.say("two")
	d.say("three")
	c := d.consoles(t, 1)
	first := read(t, c, "a", 2)
	want(t, "the first", []string{line(1, "two"), line(2, "three")}, first.take(2))
	d.say("<b>four\nevent: end")
	want(t, "what a game made up", `entry {"at":"2026-05-01T12:00:00Z","priority":6,"message":"\u003cb\u003efour\nevent: end","cursor":"c3"} #c3`, first.next())
}

func TestReadersOfALogShareIt(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	d.say("one")
	c := d.consoles(t, 1)
	first := read(t, c, "a", 100)
	want(t, "the first", line(0, "one"), first.next())
	d.say("two")
	want(t, "the first", line(1, "two"), first.next())
	second, third := read(t, c, "a", 1), read(t, c, "a", 0)
	d.say("three")
	want(t, "the first", line(2, "three"), first.next())
	want(t, "the second", []string{line(1, "two"), line(2, "three")}, second.take(2))
	want(t, "the third", line(2, "three"), third.next())
	for _, v := range []*viewer{first, second, third} {
		v.Close()
		v.Close()
	}
	again := read(t, c, "a", 1)
	d.say("four")
	want(t, "who comes back soon", []string{line(2, "three"), line(3, "four")}, again.take(2))
	want(t, "follows at the daemon", 1, d.count(&d.follows))
}

func TestTooManyLogsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running", "b running")
	d.say("one")
	c := d.consoles(t, 1)
	a := read(t, c, "a", 1)
	if _, err := c.Follow(t.Context(), "b", 1); !errors.Is(err, &client.Error{Code: client.CodeTooMany}) {
		t.Errorf("got %v", err)
	}
	a.Close() // one that nobody reads makes room at once
	want(t, "the other", line(0, "one"), read(t, c, "b", 1).next())
}

func TestTheLogOfNoServer(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	c := d.consoles(t, 1)
	for range 2 { // the failure holds no place
		if _, err := c.Follow(t.Context(), "nobody", 1); !errors.Is(err, &client.Error{Code: client.CodeServerNotFound}) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := c.Follow(t.Context(), "../x", 1); !errors.Is(err, &client.Error{Code: client.CodeInvalidName}) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Follow(ctx, "a", 1); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestALogThatBreaksSaysSo(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	d.say("one")
	v := read(t, d.consoles(t, 1), "a", 1)
	want(t, "at first", line(0, "one"), v.next())
	d.say("two")
	want(t, "then", line(1, "two"), v.next())
	d.kill()
	if got := v.next(); !strings.HasPrefix(got, `lost {"detail":"left4med cannot be reached`) {
		t.Errorf("got %q", got)
	}
	d.say("three")
	d.start(t)
	for _, g := range v.until("back {}") {
		if !strings.HasPrefix(g, "lost ") {
			t.Errorf("got %q", g)
		}
	}
	want(t, "again", line(2, "three"), v.next())
}

func TestADeletedServersLogEnds(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running", "b running")
	d.say("one")
	c := d.consoles(t, 2)
	ended := []string{line(0, "one"), `end {"detail":"the server was deleted"}`, "EOF"}

	a := read(t, c, "a", 1)
	c.Deleted("a")
	c.Deleted("nobody")
	want(t, "told by the hub", ended, a.take(3))

	b := read(t, c, "b", 1)
	want(t, "first", ended[0], b.next())
	d.say("two")
	want(t, "second", line(1, "two"), b.next())
	d.kill()
	d.change(func() { d.quietly(2, "") })
	d.start(t)
	b.until(ended[1])
	want(t, "found out", ended[2], b.next())
}

func TestWhoIsTooSlowIsToldWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	d.say("0")
	c := d.consoles(t, 1)
	slow, quick := read(t, c, "a", 1), read(t, c, "a", 1)
	want(t, "at first", line(0, "0"), slow.next())
	want(t, "at first", line(0, "0"), quick.next())
	const n = 1500
	for i := 1; i <= n; i++ {
		d.say(fmt.Sprint(i))
		if i%100 == 0 {
			quick.until(line(i, fmt.Sprint(i)))
		}
	}
	want(t, "the slow one", []string{`gap {"dropped":500}`, line(501, "501")}, slow.take(2))
	slow.until(line(n, fmt.Sprint(n)))
}

func TestALogThatNobodyReadsIsClosed(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running")
	d.say("one")
	c := d.consoles(t, 1)
	c.Hasten(time.Millisecond, time.Millisecond)
	v := read(t, c, "a", 1)
	idle := v.source.(*live.Console)
	v.Close()
	<-idle.Ended()
	again := read(t, c, "a", 1)
	want(t, "anew", line(0, "one"), again.next())
	c.Close()
	want(t, "in the end", "EOF", again.next())
	if _, err := c.Follow(t.Context(), "a", 1); err == nil {
		t.Error("followed after the end")
	}
}
