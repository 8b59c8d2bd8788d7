//go:build faults

package orchestrator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/left4med/left4med/internal/unitctl"
)

// faults kills the daemon where a test says so, as SIGKILL from outside would,
// only at a place that can be named; or holds it up there, or makes it deaf. It
// is told by files in the daemon's own state directory (STATE_DIRECTORY, as
// systemd.exec(5) sets it), so that the unit need not be restarted:
//
//	fault.kill   "POINT:N": die when the Nth job passes that point from now on.
//	             The file is removed first, so the next daemon lives.
//	fault.trace  when it is there, each point passed is added to it, a line each.
//	fault.hold   "POINT": the next one to pass that point renames the file to
//	             fault.held and waits there until that is removed. Others pass.
//	fault.deaf   while it is there, what systemd and inotify tell of units, links
//	             and reloads is dropped; the ends of systemd's jobs are not.
//	fault.query  a duration: games are asked as often, and have a fifth of it, but
//	             a millisecond at least, for their answer.
type faults struct {
	mu     sync.Mutex
	armed  string
	passed int
}

func faultFile(name string) string { return filepath.Join(os.Getenv("STATE_DIRECTORY"), name) }

// hears says whether an event of systemd's is to be applied.
func (*faults) hears(kind unitctl.EventKind) bool {
	switch kind {
	case unitctl.Connected, unitctl.Disconnected:
		return true
	}
	_, err := os.Lstat(faultFile("fault.deaf"))
	return err != nil
}

// pace is how often a game is asked, and how long it has for its answer.
func (*faults) pace(interval, patience time.Duration) (time.Duration, time.Duration) {
	text, err := os.ReadFile(faultFile("fault.query"))
	if err != nil {
		return interval, patience
	}
	if interval, err = time.ParseDuration(strings.TrimSpace(string(text))); err != nil {
		panic(err)
	}
	return interval, max(interval/5, time.Millisecond)
}

func (f *faults) pass(point string) {
	f.note(point)
	hold(point)
}

// hold waits for as long as a test wants it to.
func hold(point string) {
	held := faultFile("fault.held")
	text, err := os.ReadFile(faultFile("fault.hold"))
	if err != nil || strings.TrimSpace(string(text)) != point || os.Rename(faultFile("fault.hold"), held) != nil {
		return
	}
	for _, err := os.Lstat(held); !errors.Is(err, fs.ErrNotExist); _, err = os.Lstat(held) {
		time.Sleep(5 * time.Millisecond)
	}
}

// note puts a point on record, and dies there if it is the one.
func (f *faults) note(point string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if trace, err := os.OpenFile(faultFile("fault.trace"), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		_, _ = trace.WriteString(point + "\n")
		trace.Close()
	}
	kill := faultFile("fault.kill")
	text, err := os.ReadFile(kill)
	if err != nil {
		return
	}
	if string(text) != f.armed {
		f.armed, f.passed = string(text), 0
	}
	at, nth, _ := strings.Cut(strings.TrimSpace(f.armed), ":")
	n, err := strconv.Atoi(nth)
	if err != nil || at != point {
		return
	}
	if f.passed++; f.passed < n {
		return
	}
	if err := os.Remove(kill); err != nil {
		panic(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}
