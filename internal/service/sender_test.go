package service

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// listenAsJournald is journald's end of its socket.
func listenAsJournald(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receive reads one entry, also out of a file that was passed, which must be sealed.
func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	data, control := make([]byte, 1<<20), make([]byte, unix.CmsgSpace(4))
	n, nc, _, _, err := c.ReadMsgUnix(data, control)
	if err != nil {
		t.Fatal(err)
	}
	if nc == 0 {
		return string(data[:n])
	}
	messages, err := unix.ParseSocketControlMessage(control[:nc])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "entry")
	defer file.Close()
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GET_SEALS, 0); err != nil || seals&all != all {
		t.Errorf("the file's seals are %b (%v)", seals, err)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSendsEntries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	journald := listenAsJournald(t, path)
	s := &sender{path: path}
	t.Cleanup(func() { s.conn.Close() })
	long := strings.Repeat("x", 4<<20)
	for _, c := range []struct {
		message string
		fields  map[string]string
		want    string
	}{
		{"m", map[string]string{"B": "2", "A": "1"}, "PRIORITY=4\nMESSAGE=m\nA=1\nB=2\n"},
		{"m=n", map[string]string{"A": "1\n2"}, "PRIORITY=4\nMESSAGE=m=n\nA\n\x03\x00\x00\x00\x00\x00\x00\x001\n2\n"},
		{long, nil, "PRIORITY=4\nMESSAGE=" + long + "\n"},
		{"after a long one", nil, "PRIORITY=4\nMESSAGE=after a long one\n"},
	} {
		if err := s.send(c.message, journal.PriWarning, c.fields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, receive(t, journald)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// A name, an abstract one above all, would be there for others to send to.
func TestSenderHasNoName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	journald := listenAsJournald(t, path)
	s := &sender{path: path}
	if err := s.send("m", journal.PriInfo, nil); err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	receive(t, journald)
	raw, err := s.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) >= 7 && columns[6] == fmt.Sprint(st.Ino) {
			if len(columns) > 7 {
				t.Errorf("the socket has the name %q", columns[7])
			}
			return
		}
	}
	t.Errorf("the socket %d is not in /proc/net/unix", st.Ino)
}

func TestFindsJournaldAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	s := &sender{path: path}
	if err := s.send("lost", journal.PriInfo, nil); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without a journald: %v", err)
	}
	for _, message := range []string{"first", "second"} {
		journald := listenAsJournald(t, path)
		if err := s.send(message, journal.PriInfo, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("PRIORITY=6\nMESSAGE="+message+"\n", receive(t, journald)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		journald.Close()
	}
	if err := s.send("lost", journal.PriInfo, nil); err == nil {
		t.Error("an entry to a socket that is gone was sent")
	}
}
