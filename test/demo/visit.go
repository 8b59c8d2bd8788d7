package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/test/host"
)

// lookAround says how to get into the machine, from another terminal of this
// host. It holds until the machine's next reboot.
func (d *demo) lookAround() {
	socket := d.host.Path(host.Socket)
	leader := strings.Split(strings.TrimPrefix(socket, "/proc/"), "/")[0]
	enter := "nsenter --all --target " + leader
	d.say("Look around, as root, from another terminal:")
	for _, way := range [][2]string{
		{"a shell in the machine", enter + " script --quiet --command 'bash --login' /dev/null"},
		{"one command in it", enter + " l4d2ctl list"},
		{"the API, from this host", "curl --unix-socket " + socket + " http://x/v1/servers"},
	} {
		d.say("  %-24s %s", way[0], d.paint(bold, way[1]))
	}
	if d.page != nil {
		d.say("  %-24s %s", "the page", d.paint(bold, fmt.Sprintf("http://%s  user %s  password %s", d.page.Addr, pageUser, pagePassword)))
	}
	d.say("Worth a try in it: l4d2ctl watch; l4d2ctl doctor; l4d2ctl --help; journalctl -u left4med")
}

// visit keeps the machine up until Ctrl-C, and opens a shell in it on request.
func (d *demo) visit(ctx context.Context, keys *os.File) error {
	for {
		fmt.Fprintln(d.out)
		d.lookAround()
		d.say("Press %s for a shell in the machine here, %s to end.", d.paint(bold, "s"), d.paint(bold, "Ctrl-C"))
		wantsShell, err := waitForKey(ctx, keys)
		if err != nil || !wantsShell {
			d.say("Clearing the machine away.")
			return err
		}
		if err := d.shell(); err != nil {
			return err
		}
		// It may have been rebooted from there, or switched off.
		if err := d.host.WaitBooted(ctx); err != nil {
			return err
		}
	}
}

// shell is a shell in the machine, on this terminal.
func (d *demo) shell() error {
	argv, err := d.host.Shell()
	if err != nil {
		return err
	}
	d.say("A root shell in the machine; exit comes back here.")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Its status is that of the last command typed, and no concern of ours.
	_ = cmd.Run()
	return nil
}

// waitForKey waits for a key that means something: true for a shell, false to
// end. Meanwhile Ctrl-C is a key like any other, so that make, which waits for
// us, does not take it for itself.
func waitForKey(ctx context.Context, tty *os.File) (shell bool, err error) {
	fd := int(tty.Fd())
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return false, fmt.Errorf("cannot read the terminal's settings: %w", err)
	}
	raw := *saved
	raw.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return false, fmt.Errorf("cannot set the terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, saved)

	ended, wake, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("cannot make a pipe: %w", err)
	}
	defer ended.Close()
	stop := context.AfterFunc(ctx, func() { wake.Close() }) // its end reads as an event
	defer func() {
		if stop() {
			wake.Close()
		}
	}()
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(ended.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return false, fmt.Errorf("cannot wait for a key: %w", err)
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if fds[0].Revents == 0 {
			continue
		}
		var key [1]byte
		if n, err := tty.Read(key[:]); err != nil || n == 0 {
			return false, nil // the terminal is gone
		}
		switch key[0] {
		case 's', 'S':
			return true, nil
		case 'q', 'Q', 3, 4: // Ctrl-C, Ctrl-D
			return false, nil
		}
	}
}
