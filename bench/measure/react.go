package measure

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/client"
)

// Reaction is how long after an act the listeners knew of it, in nanoseconds.
type Reaction struct {
	Bare   time.Duration `json:"bare"`   // PropertiesChanged on systemd's private socket
	Events time.Duration `json:"events"` // GET /v1/events
	Get    time.Duration `json:"get"`    // GET /v1/servers/{name}, polled
}

// Reactions are the results of React, in the order of the runs.
type Reactions struct {
	Kill    []Reaction `json:"kill"`    // kill -9 until the process is seen to be gone
	Stop    []Reaction `json:"stop"`    // systemctl stop until the unit is seen to be stopping
	Stopped []Reaction `json:"stopped"` // the same stop until the unit is seen to be inactive
}

const (
	pollPause   = 200 * time.Microsecond
	calm        = 150 * time.Millisecond
	reactWithin = 30 * time.Second
)

// React kills and stops running servers in turn, so many times each, and
// measures who learns of it when. Three listeners watch at the same time:
//
//   - a bare one on systemd's private socket;
//   - a reader of /v1/events that decodes each event;
//   - a poller of /v1/servers/{name} on a connection of its own, which begins
//     at the act and pauses 200 µs between two requests, so that it neither
//     takes a core away from those that it measures nor is late by more.
//
// The servers are running again before the next run begins.
func React(ctx context.Context, names []string, runs int) (Reactions, error) {
	r, err := newReactor(ctx)
	if err != nil {
		return Reactions{}, err
	}
	defer r.close()
	var all Reactions
	for i := range runs {
		seen, err := r.once(names[2*i%len(names)], kill)
		if err != nil {
			return all, fmt.Errorf("cannot measure kill %d: %w", i, err)
		}
		all.Kill = append(all.Kill, seen.first)
		if seen, err = r.once(names[(2*i+1)%len(names)], stop); err != nil {
			return all, fmt.Errorf("cannot measure stop %d: %w", i, err)
		}
		all.Stop, all.Stopped = append(all.Stop, seen.first), append(all.Stopped, seen.ended)
	}
	return all, nil
}

// act is what is done to a server. It returns at what moment it was done, and a
// function that waits for its end.
type act struct {
	do   func(unit string, pid int) (at time.Time, wait func() error, err error)
	ends bool // the server is inactive afterwards
}

var (
	kill = act{do: func(_ string, pid int) (time.Time, func() error, error) {
		at := time.Now()
		return at, func() error { return nil }, syscall.Kill(pid, syscall.SIGKILL)
	}}
	stop = act{ends: true, do: func(unit string, _ int) (time.Time, func() error, error) {
		cmd := exec.Command("systemctl", "stop", unit)
		at := time.Now()
		return at, cmd.Wait, cmd.Start()
	}}
)

type reactor struct {
	ctx    context.Context
	cancel context.CancelFunc
	bare   *listener
	calls  *bus
	poll   *client.Client

	mu    sync.Mutex
	watch *sighting // of events
	err   error     // why the stream of events ended
}

func newReactor(ctx context.Context) (*reactor, error) {
	r := &reactor{poll: client.New(client.Options{})}
	r.ctx, r.cancel = context.WithCancel(ctx)
	var err error
	if r.bare, err = newListener(); err != nil {
		return nil, err
	}
	if r.calls, err = dialBus(nil); err != nil {
		return nil, err
	}
	reader := client.New(client.Options{})
	snap, err := reader.Servers(r.ctx)
	if err != nil {
		return nil, err
	}
	go r.readEvents(reader, snap.EventID)
	return r, nil
}

func (r *reactor) close() {
	r.cancel()
	r.bare.bus.Close()
	r.calls.Close()
}

func (r *reactor) readEvents(c *client.Client, after uint64) {
	for event, err := range c.Events(r.ctx, client.EventsOptions{After: after}) {
		now := time.Now()
		r.mu.Lock()
		if err != nil || event.Type == client.EventReset {
			r.err = errors.Join(err, errors.New("the stream of events ended or lost its place"))
		} else if r.watch != nil && event.Server != nil {
			r.watch.server(event.Server, now)
		}
		r.mu.Unlock()
	}
}

// sighting is when one listener saw a server change and when it saw it end.
// Only its listener writes it, until done is closed.
type sighting struct {
	name         string
	pid          uint32
	wantsEnd     bool
	first, ended time.Time
	done         chan struct{}
}

func (s *sighting) see(at time.Time, changed, ended bool) {
	if s.complete() {
		return
	}
	if changed && s.first.IsZero() {
		s.first = at
	}
	if ended && s.ended.IsZero() {
		s.ended = at
	}
	if s.complete() {
		close(s.done)
	}
}

func (s *sighting) complete() bool {
	return !s.first.IsZero() && (!s.ended.IsZero() || !s.wantsEnd)
}

// server looks at a server as left4med shows it.
func (s *sighting) server(now *client.Server, at time.Time) {
	if string(now.Name) == s.name {
		s.see(at, now.ActiveState != "active" || now.MainPID != s.pid, now.ActiveState == "inactive")
	}
}

// signal looks at a signal of the unit's.
func (s *sighting) signal(signal *dbus.Signal, at time.Time) {
	if active, ok := changed(signal, unitFace, "ActiveState"); ok {
		s.see(at, active != "active", active == "inactive")
	}
	if pid, ok := changed(signal, serviceFace, "MainPID"); ok {
		s.see(at, pid != s.pid, false)
	}
}

// seen is what the listeners saw of one act: its first sign, and the end.
type seen struct{ first, ended Reaction }

func (r *reactor) once(name string, a act) (seen, error) {
	unit := "left4me-server@" + name + ".service"
	before, err := r.poll.Server(r.ctx, name) // also warms the connection up
	if err != nil {
		return seen{}, err
	}
	if before.State != client.StateRunning || before.MainPID == 0 {
		return seen{}, fmt.Errorf("%s is %s, not running", name, before.State)
	}
	sight := func() *sighting {
		return &sighting{name: name, pid: before.MainPID, wantsEnd: a.ends, done: make(chan struct{})}
	}
	bare, events, get := sight(), sight(), sight()
	path := unitPath(unit)
	r.bare.follow(func(s *dbus.Signal, at time.Time) {
		if s.Path == path {
			bare.signal(s, at)
		}
	})
	defer r.bare.follow(nil)
	r.setWatch(events)
	defer r.setWatch(nil)

	acted, polled := make(chan struct{}), make(chan error, 1)
	go func() {
		<-acted
		polled <- r.pollUntil(get)
	}()
	at, wait, err := a.do(unit, int(before.MainPID))
	close(acted)
	if err != nil {
		return seen{}, err
	}
	if err := errors.Join(<-polled, r.await("systemd", bare), r.await("/v1/events", events), wait()); err != nil {
		return seen{}, err
	}
	result := seen{first: Reaction{bare.first.Sub(at), events.first.Sub(at), get.first.Sub(at)}}
	if a.ends {
		result.ended = Reaction{bare.ended.Sub(at), events.ended.Sub(at), get.ended.Sub(at)}
	}
	return result, r.bringBack(name, unit)
}

func (r *reactor) setWatch(s *sighting) {
	r.mu.Lock()
	r.watch = s
	r.mu.Unlock()
}

func (r *reactor) pollUntil(s *sighting) error {
	deadline := time.Now().Add(reactWithin)
	for !s.complete() {
		now, err := r.poll.Server(r.ctx, s.name)
		if err != nil {
			return err
		}
		at := time.Now()
		if at.After(deadline) {
			return fmt.Errorf("/v1/servers/%s shows %s/%s after %v", s.name, now.ActiveState, now.SubState, reactWithin)
		}
		s.server(now, at)
		time.Sleep(pollPause)
	}
	return nil
}

func (r *reactor) await(who string, s *sighting) error {
	select {
	case <-s.done:
		return nil
	case <-time.After(reactWithin):
		r.mu.Lock()
		defer r.mu.Unlock()
		return errors.Join(fmt.Errorf("%s has not told of %s after %v", who, s.name, reactWithin), r.err)
	}
}

// bringBack starts the server again and waits until all is calm. It asks for a
// restart: a start would wait for the end of RestartSec= after a kill. The
// start counter is reset, since systemd allows five starts a minute.
func (r *reactor) bringBack(name, unit string) error {
	if err := r.calls.call(managerPath, manager+".RestartUnit", nil, unit, "replace"); err != nil {
		return fmt.Errorf("cannot start %s again: %w", unit, err)
	}
	deadline := time.Now().Add(reactWithin)
	for {
		now, err := r.poll.Server(r.ctx, name)
		if err != nil {
			return err
		}
		if now.State == client.StateRunning && now.MainPID != 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not come back, it is %s", name, now.State)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := r.calls.call(managerPath, manager+".ResetFailedUnit", nil, unit); err != nil {
		return fmt.Errorf("cannot reset the start counter of %s: %w", unit, err)
	}
	r.bare.quiet(calm)
	return nil
}
