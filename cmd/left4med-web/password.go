package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/client"
)

// maxInput is how much of standard input is read, in bytes: more than any
// password is long, so that what is too long is refused.
const maxInput = 4 << 10

// readPassword asks for a new password on the terminal, twice, or takes the only
// line of standard input.
func (a *app) readPassword(ctx context.Context, name string) (string, error) {
	if _, err := ioctl(a.stdin, getTermios); err != nil {
		return a.pipedPassword(ctx)
	}
	show, err := hideTyping(a.stdin)
	if err != nil {
		return "", fmt.Errorf("cannot keep the terminal from showing a password: %w; give it on standard input", err)
	}
	defer show()
	typed := bufio.NewReader(io.LimitReader(a.stdin, maxInput))
	ask := func(question string) (string, error) {
		fmt.Fprint(a.stderr, question)
		line, err := patiently(ctx, func() (string, error) { return typed.ReadString('\n') })
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return "", fmt.Errorf("no password was given, nothing was changed: %w", err)
			}
			return "", errors.New("no password was given; nothing was changed")
		}
		return withoutEnd(line), nil
	}
	first, err := ask("The new password of " + client.Visible(name) + ": ")
	if err != nil {
		return "", err
	}
	second, err := ask("Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return first, nil
}

func (a *app) pipedPassword(ctx context.Context) (string, error) {
	text, err := patiently(ctx, func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(a.stdin, maxInput))
		return string(b), err
	})
	if err != nil {
		return "", fmt.Errorf("cannot read the password from standard input, nothing was changed: %w", err)
	}
	line := withoutEnd(text)
	switch {
	case line == "": // as of a program before the pipe that failed
		return "", usage("no password came on standard input; nothing was changed")
	case strings.ContainsAny(line, "\r\n"):
		return "", usage("standard input has more than one line; the password is one, and nothing was changed")
	}
	return line, nil
}

func withoutEnd(line string) string {
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
}

// patiently reads, or gives up when ctx ends; what is read then is lost.
func patiently(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-got:
		return a.text, a.err
	}
}

// hideTyping keeps a terminal from showing what is typed, but for the end of the
// line, and drops what was typed before. The function returned ends that.
func hideTyping(stream any) (show func(), err error) {
	set := func(request uint, t *unix.Termios) error {
		_, err := ioctl(stream, func(fd int) (struct{}, error) { return struct{}{}, unix.IoctlSetTermios(fd, request, t) })
		return err
	}
	before, err := ioctl(stream, getTermios)
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

func getTermios(fd int) (*unix.Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) }

// ioctl asks about the file behind a stream, if there is one.
func ioctl[T any](stream any, ask func(fd int) (T, error)) (answer T, err error) {
	file, ok := stream.(syscall.Conn)
	if !ok {
		return answer, unix.ENOTTY
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return answer, err
	}
	if ctlErr := raw.Control(func(fd uintptr) { answer, err = ask(int(fd)) }); ctlErr != nil {
		return answer, ctlErr
	}
	return answer, err
}
