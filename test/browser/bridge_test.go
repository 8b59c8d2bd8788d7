// Package browser drives the page in Debian's Chromium, against the installed product
// on a real machine. It has no code but its tests and what node runs for them;
// `make deps-browser` puts node's packages here.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// pageAddress is where left4med-web listens in a machine.
const pageAddress = "127.0.0.1:8000"

// bench is a machine, the way to its page, and the script that looks at it.
type bench struct {
	*host.Host
	base string // the page's address on this host
}

// newBench boots a machine whose page is reached from this host.
func newBench(t testing.TB, release machine.Release) *bench {
	t.Helper()
	b := &bench{Host: host.New(t, release)}
	if err := b.WebStart(t.Context()); err != nil {
		t.Fatal(err)
	}
	forwarding, err := b.Forward(context.WithoutCancel(t.Context()), 0, pageAddress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(forwarding.Close)
	b.base = "http://" + forwarding.Addr
	return b
}

// configure gives the daemon other settings and restarts it.
func (b *bench) configure(t testing.TB, settings string) {
	t.Helper()
	if err := b.WriteFile(t.Context(), "/etc/left4me/left4med.toml", []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	b.MustRun(t, "systemctl", "restart", "left4med.service")
}

// hand does what a script asks for, and says what came of it.
type hand func(ctx context.Context, args []string) (string, error)

// hands are what every script may ask for.
func (b *bench) hands() map[string]hand {
	return map[string]hand{
		// A shell of root's in the machine.
		"shell": func(ctx context.Context, args []string) (string, error) {
			return b.Output(ctx, "sh", "-euc", args[0])
		},
		// A word to the stand-in of a server, see package standin.
		"standin": func(ctx context.Context, args []string) (string, error) {
			c := b.Client()
			defer c.Close()
			s, err := c.Server(ctx, args[0])
			if err != nil {
				return "", err
			}
			return "", b.Standin(ctx, s.Config.Port, args[1])
		},
		"reboot": func(ctx context.Context, _ []string) (string, error) { return "", b.Reboot(ctx) },
	}
}

// line is what is said between a script and its test, one JSON object a line. The
// script says something (Say), or asks for a deed (Do), whose answer has its number.
type line struct {
	ID    int      `json:"id,omitempty"`
	Say   string   `json:"say,omitempty"`
	Do    string   `json:"do,omitempty"`
	Args  []string `json:"args,omitempty"`
	Out   string   `json:"out"`
	Error string   `json:"error,omitempty"`
}

// drive runs a script of node's until it ends. What it finds wrong makes the test
// fail, with the script's own words.
func (b *bench) drive(t testing.TB, limit time.Duration, script string, hands map[string]hand, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("%s was not done within %s", script, limit))
	defer cancel()
	node := exec.CommandContext(ctx, "node", script)
	node.Env = append(os.Environ(), append([]string{
		"LEFT4MED_PAGE=" + b.base, "LEFT4MED_SHOTS=" + filepath.Join(screenshots(t), string(b.Release())),
	}, env...)...)
	// Chromium's processes end with it.
	node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	node.Cancel = func() error { return syscall.Kill(-node.Process.Pid, syscall.SIGKILL) }
	node.WaitDelay = 10 * time.Second
	var stderr strings.Builder
	node.Stderr = &stderr
	asks, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("cannot start node: %v", err)
	}
	talkErr := converse(ctx, t, asks, answers, hands)
	err = errors.Join(talkErr, node.Wait())
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, stderr.String())
	}
}

// converse does what the script asks for until it says no more.
func converse(ctx context.Context, t testing.TB, asks io.Reader, answers io.WriteCloser, hands map[string]hand) error {
	defer answers.Close()
	enc := json.NewEncoder(answers)
	replies := make(chan line)
	pending := 0
	lines := make(chan line)
	broken := make(chan error, 1)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(asks)
		in.Buffer(nil, 16<<20)
		for in.Scan() {
			var l line
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				l = line{Say: in.Text()}
			}
			lines <- l
		}
		broken <- in.Err()
	}()
	for lines != nil || pending > 0 {
		select {
		case l, ok := <-lines:
			switch {
			case !ok:
				lines = nil
			case l.Do == "":
				t.Log(l.Say)
			default:
				pending++
				go func() { replies <- do(ctx, l, hands) }()
			}
		case r := <-replies:
			pending--
			if err := enc.Encode(r); err != nil && lines != nil {
				return fmt.Errorf("cannot answer the script: %w", err)
			}
		}
	}
	return <-broken
}

func do(ctx context.Context, l line, hands map[string]hand) line {
	r := line{ID: l.ID}
	h, ok := hands[l.Do]
	if !ok {
		r.Error = "no hand does " + l.Do
		return r
	}
	out, err := h(ctx, l.Args)
	if r.Out = out; err != nil {
		r.Error = err.Error()
	}
	return r
}

// screenshots is where pictures of the page are put.
func screenshots(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LEFT4MED_SCREENSHOTS")
	if dir == "" {
		dir = "screenshots"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
