package service

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// journalSocket is where journald takes entries in its own protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
const journalSocket = "/run/systemd/journal/socket"

// sender hands entries to journald. It serves one goroutine.
//
// Its socket has no name. One that go-systemd's journal.Send makes has an
// abstract one, which whoever shares the network namespace, as a game does with
// a daemon that listens there, can see and send to.
type sender struct {
	path string
	conn *net.UnixConn // nil until the first entry and after a fault
}

// send hands over one entry. A journald whose socket was made anew since the last
// one is found again.
func (s *sender) send(message string, priority journal.Priority, fields map[string]string) error {
	entry := encode(message, priority, fields)
	fresh := s.conn == nil
	err := s.try(entry)
	if err == nil || fresh {
		return err
	}
	return s.try(entry)
}

// try sends on the socket there is, or a new one, and drops one that fails.
func (s *sender) try(entry []byte) error {
	if s.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"})
		if err != nil {
			return fmt.Errorf("cannot reach journald: %w", err)
		}
		s.conn = conn
	}
	_, err := s.conn.Write(entry)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = s.sendFile(entry)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("cannot send to journald: %w", err), s.conn.Close())
		s.conn = nil
	}
	return err
}

// sendFile sends an entry that is too long for a datagram: journald reads it from
// memory that nobody can change any more.
func (s *sender) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("cannot make room for a long entry: %w", err)
	}
	file := os.NewFile(uintptr(fd), "journal-entry")
	defer file.Close()
	if _, err := file.Write(entry); err != nil {
		return fmt.Errorf("cannot write a long entry: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("cannot seal a long entry: %w", err)
	}
	// net sends no descriptors over a datagram socket that is connected.
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(fd)
	var sent error
	err = raw.Write(func(socket uintptr) bool {
		sent = unix.Sendmsg(int(socket), nil, rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// encode writes an entry as journald takes it: NAME=VALUE, or the name, the length
// and the value where that has a line break.
func encode(message string, priority journal.Priority, fields map[string]string) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if !strings.Contains(value, "\n") {
			b.WriteString(name + "=" + value + "\n")
			return
		}
		b.WriteString(name + "\n")
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		b.WriteString(value + "\n")
	}
	field("PRIORITY", fmt.Sprint(int(priority)))
	field("MESSAGE", message)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field(name, fields[name])
	}
	return b.Bytes()
}
