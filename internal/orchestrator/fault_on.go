//go:build faults

package orchestrator

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// faults kills the daemon where a test says so, as SIGKILL from outside would,
// only at a place that can be named. It is told by files in the daemon's own
// state directory (STATE_DIRECTORY, as systemd.exec(5) sets it), so that the
// unit need not be restarted:
//
//	fault.kill   "POINT:N": die when the Nth job passes that point from now on.
//	             The file is removed first, so the next daemon lives.
//	fault.trace  when it is there, each point passed is added to it, a line each.
type faults struct {
	mu     sync.Mutex
	armed  string
	passed int
}

func (f *faults) pass(point string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := os.Getenv("STATE_DIRECTORY")
	if trace, err := os.OpenFile(filepath.Join(dir, "fault.trace"), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(trace, point)
		trace.Close()
	}
	kill := filepath.Join(dir, "fault.kill")
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
