package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// console asks games on their consoles, over RCON, a few at a time and one after
// the other of one server.
type console struct {
	o    *Orchestrator
	free chan struct{} // holds a value for each command under way
}

const (
	// commandsAtOnce bounds what games that do not answer can hold.
	commandsAtOnce = 8
	// commandTime is how long a game has for all that a command prints.
	commandTime = 5 * time.Second
	// commandWait is how long a command waits for those before it.
	commandWait = 10 * time.Second
)

func newConsole(o *Orchestrator) *console {
	return &console{o: o, free: make(chan struct{}, commandsAtOnce)}
}

// turn waits until a server's console is free, and keeps it until release is
// called.
func (c *console) turn(ctx context.Context, r *record) (release func(), err error) {
	wait, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	busy := func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errConsoleBusy()
	}
	select {
	case r.spoken <- struct{}{}:
	case <-wait.Done():
		return nil, busy()
	}
	select {
	case c.free <- struct{}{}:
	case <-wait.Done():
		<-r.spoken
		return nil, busy()
	}
	return func() { <-c.free; <-r.spoken }, nil
}

func errConsoleBusy() *server.Error {
	return server.Errorf(server.CodeTooMany, "other commands for consoles of games are waiting for their answers; try again in a moment")
}

// denied is the password that a run of a game has refused. A game bans who sends
// wrong ones again and again, so who counts its players does not send it once more.
type denied struct {
	invocation string
	password   server.Secret
	why        *probe.Fault // nil: none was refused
}

// fault is why the password need not be sent; nil when it may do.
func (d *denied) fault(invocation string, password server.Secret) *probe.Fault {
	if d.invocation != invocation || d.password.Reveal() != password.Reveal() {
		return nil
	}
	return d.why
}

// note takes in what a game said to a password; nil: it took it.
func (d *denied) note(invocation string, password server.Secret, why *probe.Fault) {
	switch {
	case why == nil:
		*d = denied{}
	case why.Code == probe.FaultPassword || why.Code == probe.FaultBanned:
		*d = denied{invocation: invocation, password: password, why: why}
	}
}

// target is what a running server is to the network: what listens on its port,
// and belongs to this run of its unit.
func (o *Orchestrator) target(ctx context.Context, r *record) (probe.Target, error) {
	o.mu.RLock()
	name, state, gone, h := r.row.Name, r.state(), o.records[r.row.Name] != r, r.heard
	t := probe.Target{Port: r.row.Config.Port}
	if h.invocation == r.unit.InvocationID {
		t = probe.Target{Port: h.port, Cgroup: h.cgroup}
	}
	o.mu.RUnlock()
	switch {
	case gone:
		return t, errNoServer(name)
	case state != server.StateRunning:
		return t, server.Errorf(server.CodeNotRunning, "%s is %s, and only a game that runs can be asked; `l4d2ctl start %s` starts it", name, state, name)
	case o.Probe == nil:
		return t, server.Errorf(server.CodeProbeUnavailable, "there is no left4med-probe, which speaks to the games")
	}
	if t.Cgroup != 0 {
		return t, nil
	}
	id, err := o.queries.cgroup(ctx, name.Unit())
	if err != nil {
		return t, &server.Error{Code: server.CodeNotRunning, Detail: fmt.Sprintf("%s has no processes that could be asked; it may have ended just now", name), Err: err}
	}
	t.Cgroup = id
	return t, nil
}

// command runs a command on a server's console, whose turn it is.
func (o *Orchestrator) command(ctx context.Context, r *record, t probe.Target, text string) (*probe.Output, error) {
	password, err := o.Files.Secret(r.row.Name, server.SecretRCON)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, commandTime+queryGrace)
	defer cancel()
	o.mu.RLock()
	invocation := r.unit.InvocationID
	o.mu.RUnlock()
	out, err := o.Probe.RCON(bounded, probe.Command{
		Target: t, Password: password.Reveal(), Command: text, TimeoutMS: int(commandTime / time.Millisecond),
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	o.queries.note(err, false)
	var f *probe.Fault
	if err == nil || errors.As(err, &f) {
		r.denied.note(invocation, password, f)
	}
	return out, err
}

// RCON runs a command on the console of a server that runs, and returns what it
// printed. It is on record before it is sent, without secrets; what it printed is
// not, and is returned without them.
func (o *Orchestrator) RCON(ctx context.Context, name server.Name, command string, who server.Requester) (*server.Output, error) {
	s, err := o.admit(ctx, name, command, who)
	if err != nil {
		return nil, err
	}
	defer s.release()
	o.noteChange(ctx, server.HistoryEntry{
		Server: string(name), ServerID: s.r.row.ID, What: whatRCON, By: &who,
		Detail: server.Visible(server.RedactCommand(command, s.secrets...)),
	})
	// From here on it counts as sent: a game that is silent may have done it.
	out, err := o.command(ctx, s.r, s.target, command)
	if err != nil {
		return nil, o.explainGame(s.r, s.target, err)
	}
	redact := server.RedactText
	if out.Truncated {
		redact = server.RedactCut
	}
	return &server.Output{Output: redact(out.Output, s.secrets...), Truncated: out.Truncated}, nil
}

// whatRCON is what the history calls a command for a console.
const whatRCON = "rcon"

// session is a server's console for one command.
type session struct {
	r       *record
	target  probe.Target
	secrets []server.Secret
	release func()
}

// admit judges a command, which is on record if it is refused, and waits until it
// is its turn.
func (o *Orchestrator) admit(ctx context.Context, name server.Name, command string, who server.Requester) (s session, err error) {
	defer o.noteRefused(who, whatRCON, name, &err)
	if err := o.writable(); err != nil {
		return s, err
	}
	if err := server.CheckCommand(command); err != nil {
		return s, err
	}
	if s.r, err = o.named(name); err != nil {
		return s, err
	}
	if _, err := o.target(ctx, s.r); err != nil {
		return s, err // not after it has waited for its turn
	}
	if s.release, err = o.console.turn(ctx, s.r); err != nil {
		return s, err
	}
	if s.target, err = o.target(ctx, s.r); err == nil {
		s.secrets, err = o.secretsOf(name)
	}
	if err != nil {
		s.release()
	}
	return s, err
}

// say tells who plays on a server something.
func (o *Orchestrator) say(ctx context.Context, r *record, text string) error {
	command := server.SayCommand(text)
	if command == "" {
		return nil
	}
	release, err := o.console.turn(ctx, r)
	if err != nil {
		return err
	}
	defer release()
	t, err := o.target(ctx, r)
	if err != nil {
		return err
	}
	if _, err := o.command(ctx, r, t, command); err != nil {
		return o.explainGame(r, t, err)
	}
	return nil
}

func (o *Orchestrator) named(name server.Name) (*record, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if r := o.records[name]; r != nil {
		return r, nil
	}
	return nil, errNoServer(name)
}

// secretsOf are a server's stored secrets, for taking them out of texts.
func (o *Orchestrator) secretsOf(name server.Name) ([]server.Secret, error) {
	var all []server.Secret
	for _, which := range server.SecretNames() {
		secret, err := o.Files.Secret(name, which)
		if err != nil {
			return nil, err
		}
		all = append(all, secret)
	}
	return all, nil
}

// explainGame is what a client is told of a game that could not be asked.
func (o *Orchestrator) explainGame(r *record, t probe.Target, err error) error {
	name := r.row.Name
	var f *probe.Fault
	if !errors.As(err, &f) {
		if errors.Is(err, context.DeadlineExceeded) {
			f = &probe.Fault{Code: probe.FaultGone, Detail: "it did not answer in time"}
		} else {
			return err
		}
	}
	fail := func(code server.Code, format string, args ...any) error {
		return &server.Error{Code: code, Detail: fmt.Sprintf(format, args...), Err: err}
	}
	switch f.Code {
	case probe.FaultPassword:
		return fail(server.CodeRCONRefused, "%s refused the RCON password that is stored; one that was set since the game was started is in force after `l4d2ctl start --restart %s`", name, name)
	case probe.FaultBanned:
		return fail(server.CodeRCONRefused, "%s ended the connection before it answered, as games do to whom they have banned for wrong RCON passwords; it forgets that when it is started again", name)
	case probe.FaultStranger:
		return fail(server.CodeGameStranger, "another program than the game of %s listens on port %d, and was told nothing; `ss -lntup 'sport = :%d'` names it", name, t.Port, t.Port)
	case probe.FaultRefused:
		return fail(server.CodeGameUnreachable, "%s does not listen on port %d; it may be starting, or have been started with another port", name, t.Port)
	case probe.FaultSilent:
		return fail(server.CodeGameUnreachable, "%s did not answer in time; it may be loading a map, and may still do what it was told", name)
	case probe.FaultNetwork:
		return fail(server.CodeGameUnreachable, "%s ended the connection before it answered; it may have done what it was told", name)
	case probe.FaultMalformed:
		return fail(server.CodeGameUnreachable, "what %s answered cannot be understood; `l4d2ctl logs %s` may say more", name, name)
	case probe.FaultInvalid:
		return fail(server.CodeInternal, "left4med-probe did not take what left4med asked it for %s", name)
	}
	return fail(server.CodeProbeUnavailable, "left4med-probe, which speaks to the games, could ask nothing of %s: %s; `systemctl status left4med-probe.service` says more", name, cut(f.Detail, maxShownFault))
}
