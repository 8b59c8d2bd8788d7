package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
)

// sighting is a server as an event on the stream showed it, and when that
// arrived here.
type sighting struct {
	at     time.Time
	server client.Server
	err    error // the stream ended
}

// watching is an open stream of events.
type watching struct {
	seen   chan sighting
	cancel context.CancelFunc
	client *client.Client
}

// watch opens the stream of events and returns when it stands. It begins with
// the newest event there is: when that has come, nothing later can be missed,
// and no time goes into connecting.
func (d *demo) watch(ctx context.Context) (*watching, error) {
	c := d.host.Client()
	snapshot, err := c.Servers(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watching{seen: make(chan sighting, 256), cancel: cancel, client: c}
	stands := make(chan error, 1)
	go w.read(ctx, snapshot.EventID, stands)
	if err := <-stands; err != nil {
		w.close()
		return nil, fmt.Errorf("cannot watch the events: %w", err)
	}
	return w, nil
}

func (w *watching) read(ctx context.Context, newest uint64, stands chan<- error) {
	standing := false
	for event, err := range w.client.Events(ctx, client.EventsOptions{After: newest - 1}) {
		at := time.Now()
		if !standing {
			standing = true
			stands <- err
		}
		var s sighting
		switch {
		case err != nil:
			s.err = err
		case event.Server != nil && event.ID > newest:
			s = sighting{at: at, server: *event.Server}
		default:
			continue
		}
		select {
		case w.seen <- s:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watching) close() {
	w.cancel()
	w.client.Close()
}

// until shows what is seen of a server, as it is seen, with the time since an
// instant, and returns all of it once done says so of the last.
func (d *demo) until(ctx context.Context, w *watching, name string, since time.Time, done func(client.Server) bool) ([]sighting, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s did not become what was waited for within %s", name, patience))
	defer cancel()
	var all []sighting
	var shown string
	for {
		select {
		case <-ctx.Done():
			return all, context.Cause(ctx)
		case s := <-w.seen:
			switch {
			case s.err != nil:
				return all, fmt.Errorf("the stream of events ended: %w", s.err)
			case string(s.server.Name) != name || s.at.Before(since):
				continue
			}
			if line := describe(&s.server); line != shown {
				shown = line
				d.say("%s  %s", d.paint(dim, fmt.Sprintf("%10s", "+"+milliseconds(s.at.Sub(since)))), line)
			}
			if all = append(all, s); done(s.server) {
				return all, nil
			}
		}
	}
}

// describe is a server in a line.
func describe(s *client.Server) string {
	words := []string{string(s.Name), string(s.State)}
	if s.MainPID != 0 {
		words = append(words, fmt.Sprintf("(process %d)", s.MainPID))
	} else if s.State == client.StateRunning {
		words = append(words, "(its process is gone)")
	}
	if s.Result != "" && s.Result != "success" && s.State != client.StateRunning {
		words = append(words, fmt.Sprintf("(result %s)", s.Result))
	}
	if g := s.Game; g != nil && g.Reachable {
		words = append(words, fmt.Sprintf("· %d/%d on %s", *g.Players, *g.MaxPlayers, g.Map))
	}
	if s.Drift != client.DriftNone {
		words = append(words, "· drift: "+string(s.Drift))
	}
	return strings.Join(words, " ")
}

// clocked runs a shell command in the machine and returns the moment right
// before it began, by the shell's own clock, which is the host's.
func (d *demo) clocked(ctx context.Context, command ...string) (time.Time, error) {
	d.prompt(command)
	words := append([]string{"-c", `echo "$EPOCHREALTIME"; "$@"`, "demo"}, command...)
	out, err := d.host.Output(ctx, "bash", words...)
	if err != nil {
		return time.Time{}, err
	}
	first, _, _ := strings.Cut(out, "\n")
	seconds, micros, ok := strings.Cut(first, ".")
	s, err1 := strconv.ParseInt(seconds, 10, 64)
	us, err2 := strconv.ParseInt(micros, 10, 64)
	if err := errors.Join(err1, err2); !ok || err != nil {
		return time.Time{}, fmt.Errorf("cannot read the shell's clock: %q", first)
	}
	return time.Unix(s, us*1000), nil
}
