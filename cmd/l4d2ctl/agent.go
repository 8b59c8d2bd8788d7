package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// passwordAgent is pkttyagent(1), which asks for passwords on this terminal for
// polkit.
type passwordAgent struct{ cmd *exec.Cmd }

// agentPatience is how long the agent may take to register with polkit.
const agentPatience = 10 * time.Second

// onChallenge makes sure that polkit finds somebody to ask, for a command on a
// terminal. Elsewhere nobody would answer.
func (a *app) onChallenge(ctx context.Context) bool {
	if !isTerminal(a.stdin) {
		return false
	}
	if a.agent.cmd == nil {
		// Standing back for an agent of the user's session, if there is a session:
		// without one polkit overlooks an agent that does (tried with 122 and 126).
		a.agent.begin(ctx, a.getenv("XDG_SESSION_ID") != "")
	}
	return true // also without this agent: there may be another one
}

// begin starts the agent and waits until polkit knows it.
func (p *passwordAgent) begin(ctx context.Context, fallback bool) {
	ready, notify, err := os.Pipe()
	if err != nil {
		return
	}
	defer ready.Close()
	// Its parent is whom it asks for. It must outlive ctx by the time that end
	// needs to give the terminal back.
	cmd := exec.Command("pkttyagent", "--notify-fd=3")
	if fallback {
		cmd.Args = append(cmd.Args, "--fallback")
	}
	cmd.ExtraFiles = []*os.File{notify}
	err = cmd.Start()
	notify.Close()
	if err != nil {
		return // not installed
	}
	p.cmd = cmd
	if limit, ok := ctx.Deadline(); ok && time.Until(limit) < agentPatience {
		_ = ready.SetReadDeadline(limit)
	} else {
		_ = ready.SetReadDeadline(time.Now().Add(agentPatience))
	}
	_, _ = io.Copy(io.Discard, ready) // it closes its end when it is ready, or ends
}

// end ends the agent, which gives the terminal back as it was.
func (p *passwordAgent) end() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	p.cmd = nil
}
