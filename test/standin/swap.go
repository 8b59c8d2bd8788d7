package standin

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// swapped are the paths that are swapped, below the working directory: what a
// root that works in a game's tree would be most likely to touch. The two lists
// are swapped beside each other, so that a directory goes while somebody works
// below it.
var swapped = [2][]string{
	{"left4dead2", "left4dead2/addons", "bin"},
	{"left4dead2/cfg", "left4dead2/cfg/server.cfg", "left4dead2/logs", "platform"},
}

// swap replaces directories and files of the tree by links that lead out, to
// target among others, by hard links and pipes, and puts them back, as fast as
// it can for as long as the process lives.
func (s *Server) swap(target string) {
	// Behind all others it shall race with them and not keep them from running: all
	// games together are to the kernel about one of those they race with. Where no
	// controller divides the CPU, that goes by sessions (sched(7), autogroup), of
	// which each unit is one, and a thread's own niceness counts in its own alone.
	for range 10 { // only so often is it let through, over all processes
		if err := os.WriteFile("/proc/self/autogroup", []byte("10"), 0); !errors.Is(err, syscall.EAGAIN) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.writeGameFile("../swapped", "to be linked to\n", os.O_TRUNC)
	for _, names := range swapped {
		go s.swapAll(names, target)
	}
	s.printf("swapping")
}

func (s *Server) swapAll(names []string, target string) {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) // of this thread
	const up = "../../../../../../../../../.."
	leads := []string{
		target, filepath.Join(target, "left4dead2"), filepath.Join(target, "file"), up + target, up, "../../..", "..", ".",
		"/etc", "/etc/passwd", up + "/etc", "/var/lib/left4me/instances", "/nowhere",
	}
	for _, name := range names {
		// A directory of a lower layer cannot be renamed; one of the own layer can.
		_ = os.RemoveAll(s.path(name))
		_ = os.MkdirAll(s.path(name+"/inner"), 0o755)
	}
	for {
		for _, name := range names {
			s.swapOne(s.path(name), leads)
		}
	}
}

// swapOne swaps one path. The directories that it lies in may be swapped
// meanwhile, so that every step may fail; the next one is tried all the same.
func (s *Server) swapOne(path string, leads []string) {
	away := path + ".away"
	_ = os.Rename(path, away)
	switch n := rand.IntN(len(leads) + 3); {
	case n < len(leads):
		_ = os.Symlink(leads[n], path)
	case n == len(leads):
		_ = syscall.Mkfifo(path, 0o666)
	case n == len(leads)+1:
		_ = os.Link(s.path("swapped"), path)
	default:
		_ = os.WriteFile(path, []byte("a file where a directory was\n"), 0o666)
	}
	_ = os.Remove(path)
	if os.Rename(away, path) != nil {
		_ = os.MkdirAll(filepath.Join(path, "inner"), 0o755)
	}
}
