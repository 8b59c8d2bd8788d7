package measure

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of org.freedesktop.systemd1(5).
const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = "org.freedesktop.systemd1.Manager"
	unitFace    = "org.freedesktop.systemd1.Unit"
	serviceFace = "org.freedesktop.systemd1.Service"
	properties  = "org.freedesktop.DBus.Properties"
	noSuchUnit  = "org.freedesktop.systemd1.NoSuchUnit"
)

// bus is a connection to systemd's private socket, on which every signal comes
// without being asked for.
type bus struct{ *dbus.Conn }

// dialBus connects. Signals are thrown away unless onSignal is set: it is then
// called for each, in order, by the goroutine that reads the socket.
func dialBus(onSignal func(*dbus.Signal)) (*bus, error) {
	conn, err := dbus.Dial("unix:path=/run/systemd/private", dbus.WithSignalHandler(deliver(onSignal)))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to systemd: %w", err)
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot authenticate to systemd: %w", err)
	}
	return &bus{conn}, nil
}

type deliver func(*dbus.Signal)

func (d deliver) DeliverSignal(_, _ string, signal *dbus.Signal) {
	if d != nil {
		d(signal)
	}
}

// callWithin bounds one call: a hundred unit files are changed in less than a
// second, a reload of 600 units takes about as long.
const callWithin = time.Minute

func (b *bus) call(path dbus.ObjectPath, method string, out any, args ...any) error {
	ctx, cancel := context.WithTimeout(b.Context(), callWithin)
	defer cancel()
	call := b.Object(busName, path).CallWithContext(ctx, method, 0, args...)
	if out == nil || call.Err != nil {
		return call.Err
	}
	return call.Store(out)
}

func unitPath(unit string) dbus.ObjectPath {
	// systemd's own escaping: all but letters and digits is _ and its hex code.
	escaped := make([]byte, 0, len(unit)+16)
	for _, c := range []byte(unit) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			escaped = append(escaped, c)
			continue
		}
		escaped = fmt.Appendf(escaped, "_%02x", c)
	}
	return managerPath + "/unit/" + dbus.ObjectPath(escaped)
}

// listedUnit is one line of ListUnitsByPatterns.
type listedUnit struct {
	Name, Description, Load, Active, Sub, Follows string
	Path                                          dbus.ObjectPath
	Job                                           uint32
	JobType                                       string
	JobPath                                       dbus.ObjectPath
}

// list gives the units whose names match, those that are not inactive only.
func (b *bus) list(patterns ...string) ([]listedUnit, error) {
	var all []listedUnit
	if err := b.call(managerPath, manager+".ListUnitsByPatterns", &all, []string{}, patterns); err != nil {
		return nil, fmt.Errorf("cannot list units: %w", err)
	}
	some := all[:0]
	for _, u := range all {
		if u.Active != "inactive" || u.Job != 0 {
			some = append(some, u)
		}
	}
	return some, nil
}

// forEach calls do with each value side by side and returns the first error.
func forEach[T any](values []T, do func(T) error) error {
	errs := make(chan error, len(values))
	for _, v := range values {
		go func() { errs <- do(v) }()
	}
	var first error
	for range values {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// listener is the yardstick: the least that a program can do to learn of
// changes from systemd. It reads the private socket and looks for one kind of
// signal.
type listener struct {
	bus *bus

	mu      sync.Mutex
	heard   time.Time // when the last signal came
	reloads int       // that ended
	watch   func(*dbus.Signal, time.Time)
}

func newListener() (*listener, error) {
	l := &listener{}
	var err error
	l.bus, err = dialBus(l.take)
	return l, err
}

func (l *listener) take(s *dbus.Signal) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = now
	if s.Name == manager+".Reloading" && len(s.Body) == 1 && s.Body[0] == false {
		l.reloads++
	}
	if l.watch != nil {
		l.watch(s, now)
	}
}

// follow sets what is done with signals from now on; nil for nothing.
func (l *listener) follow(watch func(*dbus.Signal, time.Time)) {
	l.mu.Lock()
	l.watch = watch
	l.mu.Unlock()
}

func (l *listener) reloaded() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reloads
}

// quiet waits until systemd has said nothing for a while, so that one
// measurement does not disturb the next. It gives up after ten seconds: a host
// that is never silent is one to measure on, too.
func (l *listener) quiet(while time.Duration) {
	begin := time.Now()
	for time.Since(begin) < 10*time.Second {
		l.mu.Lock()
		last := l.heard
		l.mu.Unlock()
		if last.Before(begin) {
			last = begin
		}
		rest := while - time.Since(last)
		if rest <= 0 {
			return
		}
		time.Sleep(rest)
	}
}

// changed picks a property out of a PropertiesChanged signal.
func changed(s *dbus.Signal, face, property string) (any, bool) {
	if s.Name != properties+".PropertiesChanged" || len(s.Body) < 2 || s.Body[0] != face {
		return nil, false
	}
	values, ok := s.Body[1].(map[string]dbus.Variant)
	if !ok {
		return nil, false
	}
	v, ok := values[property]
	return v.Value(), ok
}
