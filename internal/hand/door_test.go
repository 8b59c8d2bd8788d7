package hand_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/hand"
	"github.com/left4med/left4med/internal/probe"
)

// TestMain is, when the test starts itself so, another user who connects.
func TestMain(m *testing.M) {
	if socket := os.Getenv("HAND_CONNECT"); socket != "" {
		fmt.Println(connectAs(65534, socket))
		return
	}
	os.Exit(m.Run())
}

// connectAs sends a request as another user and returns what came back.
func connectAs(uid int, socket string) string {
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return err.Error()
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	_, _ = io.WriteString(conn, "POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	answer, _ := io.ReadAll(conn)
	return fmt.Sprintf("%d bytes", len(answer))
}

// TestTheDoorIsRoots opens the socket to everybody: another user hears nothing all
// the same.
func TestTheDoorIsRoots(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	socket, _, log := serve(t)
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "HAND_CONNECT="+socket)
	out, err := cmd.CombinedOutput()
	if string(out) != "0 bytes\n" || err != nil {
		t.Errorf("another user: %v, %s", err, out)
	}
	if want := "refused a connection of the user with uid 65534: left4med-probe serves root alone\n"; log.String() != want {
		t.Errorf("the log: %q", log)
	}
}

// TestRequestsThatAreNone sends what no daemon sends.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	socket, _, _ := serve(t)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	type answer struct {
		Status int
		Body   string
	}
	got := map[string]answer{}
	for name, c := range map[string]struct{ method, path, body string }{
		"another route":   {"POST", "/rcon/", "{}"},
		"another method":  {"GET", probe.RouteRCON, ""},
		"no body":         {"POST", probe.RouteRCON, ""},
		"no JSON":         {"POST", probe.RouteRCON, "password=geheim"},
		"unknown key":     {"POST", probe.RouteRCON, `{"port":1,"cgroup":1,"geheim":1}`},
		"wrong type":      {"POST", probe.RouteRCON, `{"port":-1}`},
		"two values":      {"POST", probe.RouteRCON, `{"port":1,"cgroup":1} {}`},
		"too large":       {"POST", probe.RouteRCON, `{"command":"` + strings.Repeat("x", 64<<10) + `"}`},
		"a larger one":    {"POST", probe.RouteDeliver, `{"url":"` + strings.Repeat("x", 256<<10) + `"}`},
		"a long password": {"POST", probe.RouteRCON, `{"password":["` + strings.Repeat("geheim", 20) + `"]}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://probe"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		_ = res.Body.Close()
		got[name] = answer{res.StatusCode, strings.TrimSpace(string(text))}
	}
	fault := func(detail string) answer { return answer{400, `{"code":"invalid","detail":"` + detail + `"}`} }
	noRoute, noJSON := fault("left4med-probe has no such route"), fault("the request is not the JSON that it should be")
	want := map[string]answer{
		"another route": noRoute, "another method": noRoute,
		"no body": noJSON, "no JSON": noJSON, "unknown key": noJSON, "wrong type": noJSON, "a long password": noJSON,
		"two values":   fault("something follows the request"),
		"too large":    fault("the request has more than 65536 bytes"),
		"a larger one": fault("the request has more than 262144 bytes"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTooManyConnections opens more than there may be: those that are there still
// work.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	socket, _, _ := serve(t)
	var conns []net.Conn
	for range 129 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	if n, err := io.Copy(io.Discard, conns[128]); n != 0 || err != nil {
		t.Errorf("the last one got %d bytes, %v", n, err)
	}
	_, _ = io.WriteString(conns[0], "POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	if res, err := http.ReadResponse(bufio.NewReader(conns[0]), nil); err != nil || res.StatusCode != 400 {
		t.Errorf("the first one got %v, %v", res, err)
	}
}

// TestEndsWhenIdle has a hand end by itself, though not while somebody is there.
func TestEndsWhenIdle(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "probe.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	const idle = 2 * time.Second
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- hand.New(hand.Options{Logf: t.Logf}).Serve(t.Context(), l, idle) }()
	select {
	case err := <-ended:
		t.Fatal("it ended while somebody was connected: ", err)
	case <-time.After(idle + idle/4):
	}
	_ = conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
