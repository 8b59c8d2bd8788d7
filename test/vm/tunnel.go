package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/vm/line"
)

// tunnel is the line to the agent of a machine that is on.
type tunnel struct{ http *http.Client }

// newTunnel waits for the agent.
func newTunnel(ctx context.Context, conn net.Conn, gone <-chan struct{}) (*tunnel, error) {
	greeted := make(chan error, 1)
	go func() { greeted <- line.AwaitGreeting(conn) }()
	select {
	case err := <-greeted:
		if err != nil {
			return nil, fmt.Errorf("its agent does not answer: %w", err)
		}
	case <-gone:
		return nil, errors.New("qemu has ended")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	var taken atomic.Bool
	return &tunnel{&http.Client{Transport: &http.Transport{
		Protocols:          &protocols,
		DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if taken.Swap(true) {
				return nil, errors.New("the line to the machine is broken")
			}
			return conn, nil
		},
	}}}, nil
}

// post asks the agent.
func (t *tunnel) post(ctx context.Context, path string, query url.Values, body io.Reader) (*http.Response, error) {
	address := url.URL{Scheme: "http", Host: "agent", Path: path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), body)
	if err != nil {
		return nil, err
	}
	answer, err := t.http.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return nil, fmt.Errorf("the agent says %s: %s", answer.Status, text)
	}
	return answer, nil
}

// Input runs a command as root with the given standard input, and returns its
// standard output, also when it failed. A failure is a *machine.CommandError.
// When the context ends, the command is killed with its children.
func (m *Machine) Input(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	argv := append([]string{name}, args...)
	t, err := m.now()
	if err != nil {
		return "", &machine.CommandError{Args: argv, ExitCode: -1, Err: err}
	}
	return t.run(ctx, stdin, argv)
}

func (t *tunnel) run(ctx context.Context, stdin []byte, argv []string) (string, error) {
	failed := func(err error) error { return &machine.CommandError{Args: argv, ExitCode: -1, Err: err} }
	ask, err := json.Marshal(line.Command{Argv: argv, Stdin: stdin})
	if err != nil {
		return "", failed(err)
	}
	answer, err := t.post(ctx, line.RunPath, nil, bytes.NewReader(ask))
	if err != nil {
		return "", failed(err)
	}
	defer answer.Body.Close()
	var end line.End
	if err := json.NewDecoder(answer.Body).Decode(&end); err != nil {
		return "", failed(err)
	}
	if end.Error != "" {
		return string(end.Stdout), &machine.CommandError{
			Args: argv, ExitCode: end.Code, Stdout: string(end.Stdout), Stderr: string(end.Stderr), Err: errors.New(end.Error),
		}
	}
	return string(end.Stdout), nil
}

// Output runs a command as root and returns its standard output, also when it
// failed. A failure is a *machine.CommandError.
func (m *Machine) Output(ctx context.Context, name string, args ...string) (string, error) {
	return m.Input(ctx, nil, name, args...)
}

// WriteFile writes a file in the machine as root, replacing one that is there,
// and makes the directories above it.
func (m *Machine) WriteFile(ctx context.Context, inside string, data []byte, mode os.FileMode) error {
	_, err := m.Input(ctx, data, "install", "-D", "--mode="+strconv.FormatUint(uint64(mode.Perm()), 8), "--", "/dev/stdin", inside)
	return err
}
