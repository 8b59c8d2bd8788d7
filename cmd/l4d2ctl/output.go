package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"syscall"

	"github.com/left4med/left4med/client"
)

// say prints a message on standard error. What stands in for the verbs may come
// from anywhere and is made visible.
func (a *app) say(format string, args ...any) {
	sayTo(a.stderr, format, args...)
}

func sayTo(w io.Writer, format string, args ...any) {
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			args[i] = client.Visible(v)
		case error:
			args[i] = client.Visible(v.Error())
		case fmt.Stringer:
			args[i] = client.Visible(v.String())
		}
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// printJSON prints one document and a newline: indented on a terminal, on one
// line elsewhere.
func (a *app) printJSON(v any) error {
	encode := json.Marshal
	if isTerminal(a.stdout) {
		encode = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
	}
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("cannot print JSON: %w", err)
	}
	return a.printLine(b)
}

// printLine prints JSON and a newline.
func (a *app) printLine(b []byte) error {
	_, err := a.stdout.Write(append(escapeJSON(b), '\n'))
	return err
}

// escapeJSON replaces characters that could play tricks on a terminal by JSON's
// own escapes; the document means the same. ASCII control characters cannot
// stand in JSON strings as themselves, but DEL can.
func escapeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b)+1)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == 0x7f, r >= utf8.RuneSelf && client.Visible(string(b[:size])) != string(b[:size]):
			out = appendEscape(out, r)
		default:
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	return out
}

func appendEscape(out []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// compactJSON is a document as it came, on one line.
func compactJSON(b []byte) ([]byte, error) {
	var out bytes.Buffer
	err := json.Compact(&out, b)
	return out.Bytes(), err
}

// pageSize is how many entries of a list the daemon gives at once.
const pageSize = 1000

// newest reads the newest entries of a list, as many as wanted, a page at a
// time; a page goes on after the last entry of the one before.
func newest[T any](count int, page func(limit int, last *T) ([]T, error)) ([]T, error) {
	all := []T{}
	var last *T
	for len(all) < count {
		limit := min(count-len(all), pageSize)
		some, err := page(limit, last)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < limit {
			break
		}
		last = &all[len(all)-1]
	}
	return all, nil
}

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	_, err := ioctl(stream, func(fd int) (*unix.Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) })
	return err == nil
}

// terminalSize is the width and height of a terminal in characters; 80 by 24
// when it does not say.
func terminalSize(stream any) (width, height int) {
	size, err := ioctl(stream, func(fd int) (*unix.Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) })
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

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
