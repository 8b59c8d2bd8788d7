package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// capacity reads what a host has, below root: MemTotal of proc_meminfo(5), and
// the processors that are online (cpu/online, Documentation/ABI/stable of the
// kernel). What cannot be read is unknown.
func capacity(root string) (c server.Capacity) {
	if text, err := os.ReadFile(filepath.Join(root, "proc/meminfo")); err == nil {
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) == 3 && fields[0] == "MemTotal:" {
				kib, _ := strconv.ParseUint(fields[1], 10, 53)
				c.Memory = kib << 10
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "sys/devices/system/cpu/online")); err == nil {
		c.CPUs, _ = server.ParseCPUs(strings.TrimSpace(string(text)))
	}
	return c
}
