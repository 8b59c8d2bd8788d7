package vm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/vm/line"
)

// lineHere is a line to an agent in this process.
func lineHere(t *testing.T) *tunnel {
	t.Helper()
	ours, theirs := net.Pipe()
	go line.Serve(theirs)
	t.Cleanup(func() { ours.Close() })
	tunnel, err := newTunnel(t.Context(), ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel
}

func TestCommandsKeepTheirOutputApartAndWhole(t *testing.T) {
	t.Parallel()
	tunnel := lineHere(t)
	all := make([]byte, 1<<20)
	for i := range all {
		all[i] = byte(i)
	}
	if out, err := tunnel.run(t.Context(), all, []string{"cat"}); err != nil || out != string(all) {
		t.Errorf("%d bytes came back as %d, %v", len(all), len(out), err)
	}
	script := []string{"sh", "-c", "echo out; echo err >&2; exit 3"}
	out, err := tunnel.run(t.Context(), nil, script)
	var failed *machine.CommandError
	if !errors.As(err, &failed) || out != "out\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	want := &machine.CommandError{Args: script, ExitCode: 3, Stdout: "out\n", Stderr: "err\n"}
	if diff := cmp.Diff(want, failed, cmpopts.IgnoreFields(machine.CommandError{}, "Err")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := tunnel.run(t.Context(), nil, []string{"/not/there"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestACommandEndsWithItsContext waits for the end of the write side of a pipe
// that the command and its child hold.
func TestACommandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tunnel := lineHere(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if _, err := tunnel.run(t.Context(), nil, []string{"mkfifo", fifo}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := tunnel.run(ctx, nil, []string{"sh", "-c", `exec >"$1"; echo here; sleep infinity & wait`, "sh", fifo})
		ended <- err
	}()
	reader, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := io.ReadFull(reader, make([]byte, len("here\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestConnectionsLeadToSocketsAndEnd(t *testing.T) {
	t.Parallel()
	tunnel := lineHere(t)
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn) // an echo
				conn.Close()
			}()
		}
	}()
	ours, theirs := net.Pipe()
	answer, err := tunnel.post(t.Context(), line.DialPath, url.Values{"socket": {path}}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back := make([]byte, 4)
	for _, word := range []string{"ping", "pong"} { // nothing waits for more
		if _, err := io.WriteString(ours, word); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(answer.Body, back); err != nil || string(back) != word {
			t.Fatalf("%q came back as %q, %v", word, back, err)
		}
	}
	ours.Close()
	if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if _, err := tunnel.post(t.Context(), line.DialPath, url.Values{"socket": {path + "x"}}, nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a socket that is not there: %v", err)
	}
}
