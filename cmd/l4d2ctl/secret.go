package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/client"
)

// maxSecretInput is how much of standard input is read, in bytes: more than any
// secret is long, so that what is too long is refused.
const maxSecretInput = 4 << 10

// secret is one to set, by initialize --secret.
type secret struct {
	which, value string
}

// secretWanted checks the flag, before anything is read or sent.
func secretWanted(which string, noWait bool, flags *pflag.FlagSet) error {
	switch {
	case !flags.Changed("secret"):
		return nil
	case noWait:
		return usage(errors.New("a secret is set when the server is there: give --secret without --no-wait"))
	}
	if err := client.CheckSecret(which, ""); err != nil {
		return usage(err)
	}
	return nil
}

// readSecret reads the secret from standard input, once, and checks it before
// anything is changed. It is nil when none is wanted.
func (a *app) readSecret(ctx context.Context, name, which string) (*secret, error) {
	if which == "" {
		return nil, nil
	}
	read := a.readAll
	if isTerminal(a.stdin) {
		read = func(ctx context.Context) (string, error) { return a.askHidden(ctx, name, which) }
	}
	text, err := read(ctx)
	if err != nil {
		return nil, err
	}
	if text == "" { // as of a program before the pipe that failed
		return nil, usage(errors.New("no secret came on standard input; an empty line " + emptyMeans(which)))
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if err := client.CheckSecret(which, text); err != nil {
		return nil, usage(err)
	}
	return &secret{which, text}, nil
}

func (a *app) readAll(ctx context.Context) (string, error) {
	return patiently(ctx, func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(a.stdin, maxSecretInput))
		if err != nil {
			err = fmt.Errorf("cannot read the secret from standard input: %w", err)
		}
		return string(b), err
	})
}

// askHidden asks on the terminal, which does not show what is typed.
func (a *app) askHidden(ctx context.Context, name, which string) (string, error) {
	show, err := hideTyping(a.stdin)
	if err != nil {
		return "", fmt.Errorf("cannot keep the terminal from showing a secret: %w; give it on standard input", err)
	}
	defer show()
	fmt.Fprintf(a.stderr, "The secret %s of %s (an empty line %s): ", which, name, emptyMeans(which))
	return readLine(ctx, bufio.NewReader(a.stdin), "nothing was changed")
}

func emptyMeans(which string) string {
	if which == "rcon" {
		return "makes a new random one"
	}
	return "takes it away"
}

// hideTyping keeps a terminal from showing what is typed, but for the end of the
// line, and drops what was typed before. The function returned ends that.
func hideTyping(stream any) (show func(), err error) {
	set := func(request uint, t *unix.Termios) error {
		_, err := ioctl(stream, func(fd int) (struct{}, error) { return struct{}{}, unix.IoctlSetTermios(fd, request, t) })
		return err
	}
	before, err := ioctl(stream, func(fd int) (*unix.Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) })
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ECHONL
	if err := set(unix.TCSETSF, &hidden); err != nil {
		return nil, err
	}
	return func() { _ = set(unix.TCSETS, before) }, nil // a terminal that is gone shows nothing
}

// done says what became of the secret.
func (s *secret) done() string {
	switch {
	case s.value != "":
		return "the secret " + s.which + " is set"
	case s.which == "rcon":
		return "a new random secret rcon is made"
	}
	return "the secret " + s.which + " is taken away"
}
