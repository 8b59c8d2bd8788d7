package standin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/standin"
)

// game is a stand-in that runs inside the test.
type game struct {
	lines <-chan string
	stop  chan os.Signal
	left  chan int  // what Leave was called with
	crash chan bool // Crash was called
	done  chan int  // what Run answered with
	port  string
}

// start runs a stand-in in a tree of its own with the given control file and
// reads its console until it has bound its port.
func start(t *testing.T, dir, control string, port int) *game {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "left4dead2/cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	if control != "" {
		if err := os.WriteFile(filepath.Join(dir, standin.ControlFile), []byte(control), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	options, err := standin.ParseArgs(strings.Fields("-game left4dead2 -norestart +ip 127.0.0.1 +map c1m1_hotel"))
	if err != nil {
		t.Fatal(err)
	}
	options.Port = port
	reader, writer := io.Pipe()
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	g := &game{lines: lines, stop: make(chan os.Signal), left: make(chan int, 1), crash: make(chan bool, 1), done: make(chan int, 1)}
	server := &standin.Server{
		Options: options, Dir: dir, Console: writer,
		Leave: func(code int) { g.left <- code },
		Crash: func() { g.crash <- true },
		Now:   func() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC) },
	}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended }) // t.Context ends first
	go func() {
		defer close(ended)
		g.done <- server.Run(t.Context(), g.stop)
		writer.Close()
	}()
	return g
}

// until reads the console up to a line that holds text and answers that line.
func (g *game) until(t *testing.T, text string) string {
	t.Helper()
	var seen []string
	for line := range g.lines {
		if strings.Contains(line, text) {
			return line
		}
		seen = append(seen, line)
	}
	t.Fatalf("the console ended without %q:\n%s", text, strings.Join(seen, "\n"))
	return ""
}

// ready waits for the start and learns the port.
func (g *game) ready(t *testing.T) {
	t.Helper()
	line := g.until(t, "Network: IP")
	_, rest, _ := strings.Cut(line, "ports ")
	g.port, _, _ = strings.Cut(rest, " ")
	g.until(t, "VAC secure mode")
}

// tell sends a datagram and answers the reply.
func (g *game) tell(t *testing.T, text string) string {
	t.Helper()
	return g.replies(t, text, 1)[0]
}

// ask sends a datagram that is replied to twice.
func (g *game) ask(t *testing.T, text string) []string {
	t.Helper()
	return g.replies(t, text, 2)
}

func (g *game) replies(t *testing.T, text string, n int) (replies []string) {
	t.Helper()
	conn, err := net.Dial("udp4", "127.0.0.1:"+g.port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for range n {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, string(buf[:n]))
	}
	return replies
}

func TestStartsWritesAndStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := filepath.Join(dir, "left4dead2/cfg/server.cfg")
	if err := os.MkdirAll(filepath.Dir(cfg), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg, []byte("hostname \"Kim's\" // name\nrcon_password \"geheim\"\n\necho settings layer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "left4dead2/logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	g := start(t, dir, "", 0)
	if line := g.until(t, "pid"); !strings.HasSuffix(line, fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("says %q", line)
	}
	g.until(t, "settings layer")
	if line := g.until(t, "executed server.cfg"); line != `executed server.cfg, 3 commands, hostname "Kim's"` {
		t.Errorf("says %q", line)
	}
	g.stop <- syscall.SIGINT
	g.until(t, "shutting down")
	if code := <-g.done; code != 0 {
		t.Errorf("left with %d", code)
	}
	got, err := os.ReadFile(filepath.Join(dir, "left4dead2/logs/L20260203000.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := "L 02/03/2026 - 04:05:06: Log file started\nL 02/03/2026 - 04:05:06: Started map \"c1m1_hotel\"\nL 02/03/2026 - 04:05:06: Log file closed\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "left4dead2/cfg/banned_user.cfg")); err != nil {
		t.Error(err)
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g := start(t, t.TempDir(), "", taken.LocalAddr().(*net.UDPAddr).Port)
	g.until(t, "Couldn't allocate any server IP port")
	if code := <-g.done; code != 1 {
		t.Errorf("left with %d", code)
	}
}

func TestDatagrams(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir(), "", 0)
	g.ready(t)
	if reply := g.tell(t, "STANDIN fly"); !strings.HasPrefix(reply, "STANDIN ERR ") {
		t.Errorf("replied %q", reply)
	}
	if reply := g.tell(t, `STANDIN print "\x1b[31mred\xff"`); reply != "STANDIN OK" {
		t.Errorf("replied %q", reply)
	}
	if line := g.until(t, "red"); line != "\x1b[31mred\xff" {
		t.Errorf("printed %q", line)
	}
	g.tell(t, "STANDIN spam 3 x")
	g.until(t, "spam 2 x")
	g.tell(t, "STANDIN memory 2")
	g.until(t, "holding 2 MiB")
	done := g.ask(t, "STANDIN sh echo out; echo err >&2; exit 3")
	if diff := cmp.Diff([]string{"STANDIN OK", "STANDIN DONE 3 out\nerr\n"}, done); diff != "" {
		t.Errorf("a script (-want +got):\n%s", diff)
	}
	g.tell(t, "STANDIN crash")
	<-g.crash
	g.tell(t, "STANDIN exit 7")
	if code := <-g.left; code != 7 {
		t.Errorf("left with %d", code)
	}
	g.stop <- syscall.SIGTERM
	if code := <-g.done; code != 0 {
		t.Errorf("left with %d", code)
	}
}

func TestControlFile(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir(), "# how to behave\n\nhang\nexit 3 1ms\nprint hello\n", 0)
	g.until(t, "hello")
	g.ready(t)
	if code := <-g.left; code != 3 {
		t.Errorf("left with %d", code)
	}
	g.stop <- syscall.SIGINT
	g.until(t, "ignoring interrupt")
}

func TestBadControlFile(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir(), "explode\n", 0)
	g.until(t, "cannot read directive")
	if code := <-g.done; code != 1 {
		t.Errorf("left with %d", code)
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 { // over an installation that is there
		if err := standin.Install(dir, program); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "srcds_run"))
	if err != nil || info.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("srcds_run: %v, %v", info, err)
	}
	for _, name := range []string{"left4dead2/maps/c1m1_hotel.bsp", "left4dead2/steam.inf", "left4dead2/logs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
