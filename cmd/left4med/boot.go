package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/left4med/left4med/internal/authz"
)

// bootID tells this boot of the host from all others. The kernel's own id is
// half of it (random(4)). In a container it may be that of the kernel below:
// systemd-nspawn mounts another file over it for each boot, and systemd 252
// hides that mount again from a unit with ProtectKernelTunables=. So the start
// time of process 1 is the other half (proc_pid_stat(5), field 22), which
// outlives a re-execution of systemd and no boot.
func bootID(proc string) (string, error) {
	id, err := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("cannot tell which boot of the host this is: %w", err)
	}
	began, err := authz.StartTime(proc, 1)
	if err != nil {
		return "", fmt.Errorf("cannot tell when process 1 began: %w", err)
	}
	return fmt.Sprintf("%s-%d", strings.TrimSpace(string(id)), began), nil
}
