package sockdiag

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMain is, when the test starts itself in a control group, a process that
// opens the sockets that its arguments name and says their ports.
func TestMain(m *testing.M) {
	if what := os.Getenv("SOCKDIAG_OPEN"); what != "" {
		if err := open(strings.Fields(what)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// open opens sockets, each as network/address with "reuse" or "accept" before it,
// prints an address a line, and stays until its standard input ends.
func open(what []string) error {
	for _, w := range what {
		how, rest, _ := strings.Cut(w, ":")
		network, address, _ := strings.Cut(rest, "/")
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				if how == "reuse" {
					_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
				}
			})
		}}
		if strings.HasPrefix(network, "udp") {
			c, err := config.ListenPacket(context.Background(), network, address)
			if err != nil {
				return err
			}
			fmt.Println(c.LocalAddr())
			continue
		}
		l, err := config.Listen(context.Background(), network, address)
		if err != nil {
			return err
		}
		if how == "accept" {
			go func() {
				for {
					if _, err := l.Accept(); err != nil {
						return
					}
				}
			}()
		}
		fmt.Println(l.Addr())
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// group is a control group of the test's own.
func group(t *testing.T) (dir *os.File, id uint64) {
	t.Helper()
	root := "/sys/fs/cgroup"
	var st unix.Statfs_t
	for _, root = range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if err := unix.Statfs(root, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			break
		}
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Skip("no cgroup2 is mounted here")
	}
	path, err := os.MkdirTemp(root, "left4med-sockdiag-")
	if err != nil {
		t.Skip("needs root: ", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
	dir, err = os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	info, err := dir.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return dir, info.Sys().(*syscall.Stat_t).Ino
}

// opened starts a process in a control group (or in the test's own, with nil) that
// opens sockets, and returns their addresses.
func opened(t *testing.T, in *os.File, what ...string) []netip.AddrPort {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SOCKDIAG_OPEN="+strings.Join(what, " "), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	if in != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(in.Fd())}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var all []netip.AddrPort
	for lines := bufio.NewScanner(stdout); len(all) < len(what) && lines.Scan(); {
		all = append(all, netip.MustParseAddrPort(lines.Text()))
	}
	if len(all) < len(what) {
		t.Fatalf("it opened %d of %q", len(all), what)
	}
	return all
}

// TestPeer has one process listen in one control group and another in another: what
// answers has the control group of who listens, accepted or not.
func TestPeer(t *testing.T) {
	t.Parallel()
	dirA, a := group(t)
	dirB, b := group(t)
	for name, c := range map[string]struct {
		in   *os.File
		what string
		want uint64
	}{
		"accepted":                 {dirA, "accept:tcp4/127.0.0.1:0", a},
		"not accepted":             {dirA, "queue:tcp4/0.0.0.0:0", a},
		"another's":                {dirB, "accept:tcp4/0.0.0.0:0", b},
		"listens on IPv6 and IPv4": {dirB, "accept:tcp/[::]:0", b},
	} {
		t.Run(name, func(t *testing.T) {
			port := opened(t, c.in, c.what)[0].Port()
			conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			got, err := Peer(t.Context(), addrOf(conn.LocalAddr()), addrOf(conn.RemoteAddr()))
			if err != nil || got != c.want {
				t.Errorf("%d, %v instead of %d", got, err, c.want)
			}
		})
	}
}

func addrOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// TestPeerThatIsNotThere is a connection that no socket is at the other end of.
func TestPeerThatIsNotThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// Who listens fits, and is not taken for the connection.
	if _, err := Peer(ctx, netip.MustParseAddrPort("127.0.0.1:1"), addrOf(l.Addr())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}

	// Who puts off accepting until something comes has no socket to show until then
	// (tcp(7), TCP_DEFER_ACCEPT), as has one whose queue is full.
	deferring := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30)
		})
	}}
	late, err := deferring.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close() }()
	conn, err := net.Dial("tcp4", late.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Peer(ctx, addrOf(conn.LocalAddr()), addrOf(conn.RemoteAddr())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestUDP has two control groups share a port in each way that there is.
func TestUDP(t *testing.T) {
	t.Parallel()
	dirA, a := group(t)
	dirB, b := group(t)
	port := opened(t, dirA, "reuse:udp4/0.0.0.0:0")[0].Port()
	check := func(when string, want ...uint64) {
		t.Helper()
		got, err := UDP(port)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", when, err, diff)
		}
	}
	check("alone", a)
	opened(t, dirB, fmt.Sprintf("reuse:udp4/127.0.0.2:%d", port))
	check("with one at another address", a)
	opened(t, dirB, fmt.Sprintf("reuse:udp4/127.0.0.1:%d", port))
	check("with a nearer one", a, b)
	opened(t, dirB, fmt.Sprintf("reuse:udp4/0.0.0.0:%d", port), fmt.Sprintf("reuse:udp6/[::]:%d", port))
	check("with one beside it, and one of IPv6", a, b, b, b)
}

func TestUDPOfNobody(t *testing.T) {
	t.Parallel()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	_ = c.Close()
	if got, err := UDP(port); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		f.Add(request(unix.AF_INET, protocol, unix.NLM_F_DUMP, anyState, id{}))
	}
	message := func(kind uint16, body ...byte) []byte {
		b := request(0, 0, 0, 0, id{})[:headerSize]
		b[0], b[4], b[5] = byte(headerSize+len(body)), byte(kind), byte(kind>>8)
		return append(b, body...)
	}
	body := make([]byte, messageSize)
	body[0] = unix.AF_INET
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, append(slices.Clone(body), 12, 0, attrCgroup, 0, 1, 2, 3, 4, 5, 6, 7, 8)...))
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, append(slices.Clone(body), 0, 0, attrCgroup, 0)...))
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, append(slices.Clone(body), 255, 255, attrCgroup, 0)...))
	f.Add(append(message(unix.NLMSG_ERROR, 0xfe, 0xff, 0xff, 0xff), 1, 2, 3))
	f.Add(message(unix.NLMSG_DONE))
	f.Fuzz(func(t *testing.T, b []byte) {
		sockets, last, err := parse(b)
		if len(sockets) > len(b)/messageSize {
			t.Errorf("%d sockets of %d bytes", len(sockets), len(b))
		}
		if err != nil && !last {
			t.Errorf("more was expected after %v", err)
		}
	})
}

// TestParse reads an answer as Linux 6 gives it.
func TestParse(t *testing.T) {
	t.Parallel()
	b := request(0, 0, unix.NLM_F_MULTI, 0, id{})[:headerSize]
	b = append(b, unix.AF_INET6, established, 0, 0, 0x69, 0x87, 0x00, 0x07)
	for range 2 { // ::ffff:127.0.0.1
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1)
	}
	b = append(b, make([]byte, 12+20)...)
	b = append(b, 5, 0, 8, 0, 0, 0, 0, 0)                       // INET_DIAG_SHUTDOWN, filled up to 4
	b = append(b, 12, 0, attrCgroup, 0, 1, 2, 0, 0, 0, 0, 0, 0) // 0x201 where the least comes first
	b[0] = byte(len(b))
	got, last, err := parse(b)
	game, us := netip.MustParseAddrPort("127.0.0.1:27015"), netip.MustParseAddrPort("127.0.0.1:7")
	want := []socket{{local: game, remote: us, state: established, cgroup: 0x201, told: true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(socket{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" || last || err != nil {
		t.Errorf("last %v, %v (-want +got):\n%s", last, err, diff)
	}
}
