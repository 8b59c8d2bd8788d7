package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/standin"
)

// waitLimit bounds the waits whose context sets no nearer end. It only decides
// when a broken product counts as broken.
const waitLimit = 60 * time.Second

// Host is a machine with the product installed on it.
type Host struct {
	*machine.Machine
	made Artifacts
}

// New boots a machine and installs the package on it.
func New(t testing.TB, release machine.Release) *Host {
	t.Helper()
	made := built(t)
	h := Furnish(machine.New(t, release), made)
	if err := h.InstallDeb(t.Context(), made.Deb); err != nil {
		t.Fatal(err)
	}
	return h
}

// Furnish makes a Host of a machine on which nothing is installed yet.
func Furnish(m *machine.Machine, made Artifacts) *Host { return &Host{Machine: m, made: made} }

// Bare boots a machine on which nothing is installed yet.
func Bare(t testing.TB, release machine.Release) *Host {
	t.Helper()
	made := built(t)
	return Furnish(machine.New(t, release), made)
}

// Deb is the product's package, a file on this host.
func (h *Host) Deb() string { return h.made.Deb }

// LayOutGame puts the stand-in where the game would be, owned as the game is.
func (h *Host) LayOutGame(ctx context.Context) error {
	const dir = "/var/lib/left4me/installation"
	if err := standin.Install(h.DiskPath(dir), h.made.Game); err != nil {
		return err
	}
	return h.Run(ctx, "chown", "-R", "left4me:left4me", dir)
}

// InstallGame is LayOutGame in a test.
func (h *Host) InstallGame(t testing.TB) {
	t.Helper()
	if err := h.LayOutGame(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Ctl runs l4d2ctl as root and returns its standard output; the test fails at
// once when the command does. The command waits for its job.
func (h *Host) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	return h.MustRun(t, "l4d2ctl", args...)
}

// CtlFails runs l4d2ctl as root, expects it to fail and returns how.
func (h *Host) CtlFails(t testing.TB, args ...string) *machine.CommandError {
	t.Helper()
	_, err := h.Output(t.Context(), "l4d2ctl", args...)
	var failure *machine.CommandError
	if !errors.As(err, &failure) {
		t.Fatalf("l4d2ctl %s: got %v, want it to fail", strings.Join(args, " "), err)
	}
	return failure
}

// Client asks the daemon as root. It holds for this boot alone.
func (h *Host) Client() *client.Client {
	return client.New(client.Options{Socket: h.Path(client.DefaultSocket)})
}

// HTTP speaks plain HTTP with the daemon as root, also after a reboot; the host
// of the URL does not matter: http://left4med/v1/servers.
func (h *Host) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", h.Path(client.DefaultSocket))
		},
	}}
}

// Show returns a unit's properties, as systemctl show names them.
func (h *Host) Show(t testing.TB, unit string, properties ...string) map[string]string {
	t.Helper()
	out := h.MustRun(t, "systemctl", "show", "--property="+strings.Join(properties, ","), "--", unit)
	shown := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "="); found {
			shown[key] = value
		}
	}
	return shown
}

// WaitServer waits until the daemon publishes the server as ok wants it, and
// returns it so. It follows the events: nothing between two looks is missed.
func (h *Host) WaitServer(t testing.TB, name string, ok func(client.Server) bool) client.Server {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), waitLimit, fmt.Errorf("not within %s", waitLimit))
	defer cancel()
	s, err := AwaitServer(ctx, h.Client(), name, ok)
	if err != nil {
		t.Fatalf("waiting for server %s: %v; it is\n%+v", name, err, s)
	}
	return s
}

// AwaitServer is WaitServer without a test. With an error comes the server as
// it was seen last.
func AwaitServer(ctx context.Context, c *client.Client, name string, ok func(client.Server) bool) (client.Server, error) {
	defer c.Close()
	list, err := c.Servers(ctx)
	if err != nil {
		return client.Server{}, err
	}
	var last client.Server
	for _, s := range list.Servers {
		if string(s.Name) == name {
			if last = s; ok(s) {
				return s, nil
			}
		}
	}
	for event, err := range c.Events(ctx, client.EventsOptions{After: list.EventID}) {
		switch {
		case err != nil:
			return last, err
		case event.Type == client.EventReset:
			return AwaitServer(ctx, c, name, ok)
		case event.Server != nil && string(event.Server.Name) == name:
			if last = *event.Server; ok(last) {
				return last, nil
			}
		}
	}
	return last, errors.New("the events have ended")
}

// State says whether a server is in that state, for WaitServer.
func State(want client.State) func(client.Server) bool {
	return func(s client.Server) bool { return s.State == want }
}
