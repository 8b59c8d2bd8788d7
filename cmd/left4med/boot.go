package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	stat, err := os.ReadFile(filepath.Join(proc, "1/stat"))
	if err != nil {
		return "", fmt.Errorf("cannot tell when process 1 began: %w", err)
	}
	// The name in parentheses may hold anything, also spaces and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const startTime = 22 - 3 // the first field behind the name is the third
	if len(fields) <= startTime {
		return "", fmt.Errorf("cannot tell when process 1 began: %s has %d fields", filepath.Join(proc, "1/stat"), len(fields)+2)
	}
	return strings.TrimSpace(string(id)) + "-" + fields[startTime], nil
}
