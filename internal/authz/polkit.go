package authz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/singleflight"

	"github.com/left4med/left4med/internal/dbussock"
	"github.com/left4med/left4med/internal/server"
)

// What polkit is called on the bus, and what it is asked with (polkit's
// org.freedesktop.PolicyKit1.Authority(3)).
const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = dbus.ObjectPath("/org/freedesktop/PolicyKit1/Authority")
	polkitFace  = polkitName + ".Authority"
	allowAsking = uint32(1) // CheckAuthorizationFlags: AllowUserInteraction
)

const (
	// patience is how long polkit may take; it usually needs 1.5 ms, and a moment
	// more when the bus has to start it first.
	patience = 5 * time.Second
	// AskPatience is how long a person may take to type a password.
	AskPatience = 3 * time.Minute
)

// Polkit is the Authority on a host: polkit(8), over the system bus. It
// connects when it is needed, so it works again as soon as the bus does, and
// remembers no answer: rules and groups may change at any time.
type Polkit struct {
	socket   string
	patience time.Duration
	turns    *turns // for questions that polkit answers by itself
	asking   *turns // for questions to a person

	dialing  chan struct{} // holds a value while somebody connects
	conn     atomic.Pointer[connection]
	question atomic.Uint64
	pings    singleflight.Group
}

var _ Authority = (*Polkit)(nil)

// NewPolkit asks over the bus that listens on a socket, the system bus when it is
// empty.
func NewPolkit(socket string) *Polkit {
	if socket == "" {
		socket = dbussock.SystemBus
	}
	return &Polkit{
		socket: socket, patience: patience, dialing: make(chan struct{}, 1),
		// Together fewer than the 128 replies that dbus-daemon lets one connection
		// wait for, and no uid takes them all. Few for each uid: polkit answers one
		// after the other, so more would only make others wait.
		turns: newTurns(64, 4), asking: newTurns(24, 4),
	}
}

// Close ends the connection.
func (p *Polkit) Close() {
	if c := p.conn.Swap(nil); c != nil {
		c.end()
	}
}

// Ask implements Authority. polkit has 5 s to answer; where a password would do
// and the request is interactive, a person then has 3 minutes to type it. A
// question whose answer nobody waits for any more is taken back.
func (p *Polkit) Ask(ctx context.Context, r Request) (Answer, error) {
	interactive := r.Interactive
	r.Interactive = false
	a, err := p.within(ctx, p.patience, p.turns, r)
	if err != nil || a.Authorized || !a.Challenge || !interactive {
		return a, err
	}
	r.Interactive = true
	a, err = p.within(ctx, AskPatience, p.asking, r)
	a.Challenge = err == nil && !a.Authorized // polkit calls a wrong password a plain no
	return a, err
}

// within asks one question that may take so long.
func (p *Polkit) within(ctx context.Context, limit time.Duration, turns *turns, r Request) (Answer, error) {
	late := fmt.Errorf("not within %s", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	give, err := turns.take(ctx, r.Peer.UID)
	if err != nil {
		return Answer{}, fmt.Errorf("too many questions wait for polkit: %w", context.Cause(ctx)) // it is not silent to them
	}
	answers := make(chan answered, 1)
	go func() { // a bus that does not read holds a write up longer than ctx
		defer give()
		a, err := p.ask(ctx, r)
		answers <- answered{a, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() != nil {
			a.err = fmt.Errorf("%w: %w", ErrSilent, context.Cause(ctx))
		}
		return a.Answer, a.err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("%w: %w", ErrSilent, context.Cause(ctx))
	}
}

type answered struct {
	Answer
	err error
}

// ask asks once more when the connection turns out to be an old one's.
func (p *Polkit) ask(ctx context.Context, r Request) (Answer, error) {
	for again := true; ; again = false {
		conn, err := p.connect(ctx)
		if err != nil {
			return Answer{}, fmt.Errorf("the system bus cannot be reached: %w", err)
		}
		a, err := p.check(ctx, conn, r)
		if err == nil || !again || conn.Connected() || ctx.Err() != nil {
			return a, explain(err)
		}
	}
}

// result is what CheckAuthorization returns.
type result struct {
	Authorized, Challenge bool
	Details               map[string]string
}

func (p *Polkit) check(ctx context.Context, conn *dbus.Conn, r Request) (Answer, error) {
	subject, err := subjectOf(r.Peer)
	if err != nil {
		return Answer{}, err
	}
	var flags uint32
	if r.Interactive {
		flags = allowAsking
	}
	details := map[string]string{"verb": r.Verb}
	if r.Server != "" {
		details["server"] = r.Server
	}
	id := fmt.Sprintf("left4med-%d", p.question.Add(1))
	var res result
	object := conn.Object(polkitName, polkitPath)
	err = object.CallWithContext(ctx, polkitFace+".CheckAuthorization", 0, subject, string(r.Action), details, flags, id).Store(&res)
	if ctx.Err() != nil {
		object.Go(polkitFace+".CancelCheckAuthorization", dbus.FlagNoReplyExpected, nil, id)
	}
	return Answer{Authorized: err == nil && res.Authorized, Challenge: err == nil && res.Challenge && !res.Authorized}, err
}

// subject is who polkit is asked about.
type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// subjectOf describes a peer to polkit. The uid must be an int32: sent as anything
// else, polkit silently ignores it and looks the process up by its number, which
// another may have by then.
func subjectOf(p Peer) (subject, error) {
	switch {
	case p.BusName != "":
		return subject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(p.BusName)}}, nil
	case p.PID <= 0:
		return subject{}, errors.New("the process that asks cannot be seen from here")
	}
	// No pidfd, which polkit 124 and later would read: the library passes
	// descriptors only over a socket of its own, which would decode what anybody
	// sends. Start time and uid name the process as well.
	return subject{"unix-process", map[string]dbus.Variant{
		"pid":        dbus.MakeVariant(uint32(p.PID)),
		"start-time": dbus.MakeVariant(p.StartTime),
		"uid":        dbus.MakeVariant(int32(p.UID)),
	}}, nil
}

// explain makes what the bus says plain.
func explain(err error) error {
	var refused dbus.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch name := strings.TrimPrefix(refused.Name, "org.freedesktop.DBus.Error."); name {
	case "ServiceUnknown", "NameHasNoOwner":
		return errNoPolkit
	case "NoReply", "Disconnected":
		return errors.New("polkit ended before it answered")
	default:
		return fmt.Errorf("polkit cannot be asked: %s (%s)", refused.Error(), name)
	}
}

var errNoPolkit = errors.New("polkit is not installed")

// polkitAsked is what Check looks at.
const polkitAsked = "whether polkit answers on the system bus"

func polkitCure(err error) string {
	if errors.Is(err, errNoPolkit) {
		return "apt-get install polkitd"
	}
	return "systemctl restart polkit.service"
}

// checkPatience is how long Check waits: everybody may ask for the daemon's
// health.
const checkPatience = time.Second

// Check is a line for `l4d2ctl doctor`: whether polkit answers. It starts it
// when it does not run. Those who ask at the same time share one question.
func (p *Polkit) Check(context.Context) server.Check {
	_, err, _ := p.pings.Do("", func() (any, error) { return nil, p.ping() })
	if err != nil {
		return server.Check{
			Name: "polkit", LookedAt: polkitAsked,
			Found: fmt.Sprintf("nobody but root may do anything: %v", err),
			Cure:  polkitCure(err),
		}
	}
	return server.Check{Name: "polkit", OK: true, LookedAt: polkitAsked, Found: "polkit answers, so not root alone may act"}
}

func (p *Polkit) ping() error {
	late := fmt.Errorf("%w within %s", ErrSilent, checkPatience)
	ctx, cancel := context.WithTimeoutCause(context.Background(), checkPatience, late)
	defer cancel()
	pong := make(chan error, 1)
	go func() { // a bus that does not read holds a write up longer than ctx
		conn, err := p.connect(ctx)
		if err == nil {
			err = explain(conn.Object(polkitName, polkitPath).CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err)
		}
		pong <- err
	}()
	select {
	case err := <-pong:
		if err != nil && ctx.Err() != nil {
			return late
		}
		return err
	case <-ctx.Done():
		return late
	}
}

// connect returns the connection, a new one when there is none.
func (p *Polkit) connect(ctx context.Context) (*dbus.Conn, error) {
	if c := p.conn.Load(); c != nil && c.Connected() {
		return c.Conn, nil
	}
	select {
	case p.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.dialing }()
	if c := p.conn.Load(); c != nil && c.Connected() {
		return c.Conn, nil
	}
	conn, sock, err := dbussock.Connect(ctx, p.socket, onlyReplies, dbus.WithHandler(nothing{}), dbus.WithSignalHandler(nothing{}))
	if err != nil {
		return nil, err
	}
	if old := p.conn.Swap(&connection{conn, sock}); old != nil {
		old.end()
	}
	return conn, nil
}

type connection struct {
	*dbus.Conn
	sock *dbussock.Socket
}

func (c *connection) end() {
	_ = c.sock.Close()
	_ = c.Conn.Close()
}

// onlyReplies is what the library sees of others than the bus; the bus passes on
// only those that were asked for.
func onlyReplies(m *dbussock.Message) (instead []byte, pass bool) {
	return nil, m.Type == dbussock.Reply || m.Type == dbussock.Error
}

// nothing is all that this connection offers, and all that it listens to.
type nothing struct{}

// LookupObject implements dbus.Handler.
func (nothing) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return nil, false }

// DeliverSignal implements dbus.SignalHandler.
func (nothing) DeliverSignal(string, string, *dbus.Signal) {}
