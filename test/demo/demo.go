package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// step is one thing to show. Its error means that it could not be carried out;
// what it found wrong it says through check.
type step struct {
	title string
	run   func(context.Context, *demo) error
}

// demo is one run of all steps.
type demo struct {
	*screen
	release machine.Release
	host    *host.Host          // nil until the machine is up
	page    *machine.Forwarding // of the web page; nil until it is shown
	checks  int
	failed  int
}

// patience is how long a change is waited for that should come within
// milliseconds, or after systemd's five seconds before a restart.
const patience = 30 * time.Second

// check says whether something was as it should be.
func (d *demo) check(ok bool, format string, args ...any) {
	d.checks++
	if !ok {
		d.failed++
	}
	d.verdict(ok, format, args...)
}

// sum is the last word on all steps.
func (d *demo) sum(steps int, took time.Duration) {
	d.say("")
	if d.failed == 0 {
		d.verdict(true, "All %d steps showed what they should: %d checks in %.0f s.", steps, d.checks, took.Seconds())
		return
	}
	d.verdict(false, "%d of %d checks did not show what they should.", d.failed, d.checks)
}

// typed shows a command as a person would type it in the machine, runs it there
// and streams what it prints. It returns that too, without colours. A command
// that fails is an error.
func (d *demo) typed(ctx context.Context, name string, args ...string) (string, error) {
	d.prompt(append([]string{name}, args...))
	var got bytes.Buffer
	err := d.onTerminal(ctx, io.MultiWriter(d.indented(), &got), name, args...)
	return plainText(got.String()), err
}

// onTerminal runs a command in the machine with a terminal of its own, so that
// it prints what a person would see.
func (d *demo) onTerminal(ctx context.Context, to io.Writer, name string, args ...string) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("cannot open a terminal: %w", err)
	}
	defer master.Close()
	if err := pty.Setsize(master, d.size()); err != nil {
		slave.Close()
		return fmt.Errorf("cannot size a terminal: %w", err)
	}
	cmd := d.host.Command(ctx, name, args...)
	cmd.Env = append(cmd.Env, "TERM="+d.term(), "SYSTEMD_PAGER=") // systemctl(1): no pager
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	err = cmd.Start()
	slave.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// The end of the last one that has the terminal open reads as EIO (pty(7)).
	_, copyErr := io.Copy(to, master)
	if pathErr, ok := copyErr.(*os.PathError); ok && pathErr.Err == syscall.EIO {
		copyErr = nil
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return copyErr
}

// servers reads all servers, by name.
func (d *demo) servers(ctx context.Context) (map[string]client.Server, error) {
	c := d.host.Client()
	defer c.Close()
	snapshot, err := c.Servers(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]client.Server{}
	for _, s := range snapshot.Servers {
		all[string(s.Name)] = s
	}
	return all, nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
