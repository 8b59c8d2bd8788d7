// Package asker puts many questions to left4med at once, on its socket and on the
// bus, as the user whose process this is. Tests of who may do what run it in a
// machine, once for each user: both doors go by the process that asks.
package asker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/errgroup"
)

// Question is a request on the socket, when it has a Method, or a call on the
// bus.
type Question struct {
	Method, Path, Body string
	Header             map[string]string
	Stream             bool // the answer never ends: its first event is enough

	Object, Member string   // the member with its interface
	Signature      string   // of Args
	Args           []string // one for a v goes in a variant
}

// Answer is what came of it.
type Answer struct {
	Status int    // on the socket
	Error  string // on the bus: its name; empty for a reply
	Text   string // the body, or what a reply or an error says
}

const (
	socket   = "/run/left4med/left4med.sock"
	busName  = "org.left4me.left4med1"
	patience = 50 * time.Second
)

// Run reads questions as JSON, asks them with so many under way at once, and writes
// the answers in the same order.
func Run(r io.Reader, w io.Writer, atOnce int) error {
	var questions []Question
	if err := json.NewDecoder(r).Decode(&questions); err != nil {
		return fmt.Errorf("cannot read the questions: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var conn *dbus.Conn
	if slices.ContainsFunc(questions, func(q Question) bool { return q.Method == "" }) {
		var err error
		if conn, err = dbus.ConnectSystemBus(dbus.WithContext(ctx)); err != nil {
			return fmt.Errorf("cannot connect to the system bus: %w", err)
		}
		defer conn.Close()
	}
	answers, errs := make([]Answer, len(questions)), make([]error, len(questions))
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i, q := range questions {
		all.Go(func() error {
			if q.Method != "" {
				answers[i], errs[i] = onSocket(ctx, q)
			} else {
				answers[i], errs[i] = onBus(ctx, conn, q)
			}
			return nil
		})
	}
	_ = all.Wait() // each has its own error
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(answers)
}

func onSocket(ctx context.Context, q Question) (a Answer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s: %w", q.Method, q.Path, err)
		}
	}()
	// One connection for each, as for clients of their own.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, q.Method, "http://left4med"+q.Path, strings.NewReader(q.Body))
	if err != nil {
		return a, err
	}
	for key, value := range q.Header {
		req.Header.Set(key, value)
	}
	if q.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	if q.Stream && a.Status == http.StatusOK {
		a.Text, err = firstEvent(resp.Body)
		return a, err
	}
	body, err := io.ReadAll(resp.Body)
	a.Text = string(body)
	return a, err
}

// firstEvent reads the data of the first of the Server-Sent Events.
func firstEvent(r io.Reader) (string, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
			return data, nil
		}
	}
	return "", fmt.Errorf("the stream ended without an event: %w", lines.Err())
}

func onBus(ctx context.Context, conn *dbus.Conn, q Question) (Answer, error) {
	args := make([]any, len(q.Args))
	for i, arg := range q.Args {
		if args[i] = arg; q.Signature[i] == 'v' {
			args[i] = dbus.MakeVariant(arg)
		}
	}
	call := conn.Object(busName, dbus.ObjectPath(q.Object)).CallWithContext(ctx, q.Member, 0, args...)
	var refused dbus.Error
	switch {
	case call.Err == nil:
		return Answer{Text: fmt.Sprint(call.Body...)}, nil
	case errors.As(call.Err, &refused):
		return Answer{Error: refused.Name, Text: refused.Error()}, nil
	}
	return Answer{}, fmt.Errorf("%s: %w", q.Member, call.Err)
}
