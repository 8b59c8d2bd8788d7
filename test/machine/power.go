package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

var errOff = errors.New("the machine is off")

// power is what is known of a machine from outside.
type power struct {
	boots  int         // how often a PID 1 was started in it
	leader *os.Process // that PID 1, held by a pidfd; nil when off
	ready  bool        // its PID 1 has said READY=1, and not yet STOPPING=1
	off    bool        // it is off and stays off until switched on
	status int         // exit status of systemd-nspawn, when off
}

func (m *Machine) now() power {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.power
}

func (m *Machine) update(change func(*power)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.power)
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait returns once done says so of the machine's power.
func (m *Machine) wait(ctx context.Context, done func(power) (bool, error)) error {
	for {
		m.mu.Lock()
		now, changed := m.power, m.changed
		m.mu.Unlock()
		if ok, err := done(now); ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-m.gone:
			return fmt.Errorf("its supervisor has ended (%v)", m.keeper.ProcessState)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// listenNotify opens the socket that systemd-nspawn reports to with
// sd_notify(3), with the sender's credentials: the kernel translates the pid in
// them from the supervisor's pid namespace to ours.
func listenNotify(address string) (*net.UnixConn, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for notifications: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var setErr error
		err = raw.Control(func(fd uintptr) {
			setErr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
		})
		err = errors.Join(err, setErr)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot listen for notifications: %w", err)
	}
	return conn, nil
}

// readNotify follows systemd-nspawn's notifications: its container's first
// process, then what that one says of itself (systemd-nspawn(1),
// --notify-ready=).
func (m *Machine) readNotify(conn *net.UnixConn) {
	message := make([]byte, 4096)
	control := make([]byte, syscall.CmsgSpace(syscall.SizeofUcred))
	for {
		n, cn, _, _, err := conn.ReadMsgUnix(message, control)
		if err != nil {
			return // closed
		}
		sender, ok := senderOf(control[:cn])
		if !ok || sender.Uid != 0 {
			continue
		}
		for line := range strings.Lines(string(message[:n])) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "X_NSPAWN_LEADER_PID="):
				// Gone already: then the word that it is off is on its way.
				if leader, err := leaderOf(int(sender.Pid)); err == nil {
					m.update(func(p *power) { p.boots, p.leader, p.ready, p.off = p.boots+1, leader, false, false })
				}
			case line == "READY=1":
				m.update(func(p *power) { p.ready = p.leader != nil })
			case line == "STOPPING=1":
				m.update(func(p *power) { p.ready = false })
			}
		}
	}
}

func senderOf(control []byte) (*syscall.Ucred, bool) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil, false
	}
	credentials, err := syscall.ParseUnixCredentials(&messages[0])
	return credentials, err == nil
}

// readEvents follows what supervise.sh reports.
func (m *Machine) readEvents(events io.ReadCloser) {
	defer events.Close()
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		status, err := strconv.Atoi(rest)
		if word != "off" || err != nil {
			continue
		}
		m.update(func(p *power) { p.leader, p.ready, p.off, p.status = nil, false, true, status })
	}
}

// leaderOf finds the first process of the container of that systemd-nspawn: the
// child of it that is number 1 in its own pid namespace.
func leaderOf(nspawn int) (*os.Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parent := strconv.Itoa(nspawn)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		status, err := os.ReadFile("/proc/" + entry.Name() + "/status")
		if err != nil {
			continue // ended meanwhile
		}
		numbers := statusField(status, "NSpid")
		if slices.Equal(statusField(status, "PPid"), []string{parent}) &&
			len(numbers) > 1 && numbers[len(numbers)-1] == "1" {
			return os.FindProcess(pid)
		}
	}
	return nil, os.ErrProcessDone
}

// statusField returns the words of one line of /proc/PID/status.
func statusField(status []byte, name string) []string {
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte(name+":")); found {
			return strings.Fields(string(rest))
		}
	}
	return nil
}
