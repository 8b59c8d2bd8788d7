package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// program is something the host must have, and the package it comes in.
type program struct{ name, pkg string }

// buildPrograms are what a base tree is built with.
func buildPrograms() []program {
	return []program{{"mmdebstrap", "mmdebstrap"}, {"unshare", "util-linux"}}
}

// bootPrograms are what a machine is booted and entered with.
func bootPrograms() []program {
	return []program{
		{"systemd-nspawn", "systemd-container"},
		{"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"mount", "mount"},
	}
}

// checkHost says what this host lacks, and the command that cures it.
func checkHost(programs []program) error {
	if os.Geteuid() != 0 {
		return errors.New("throw-away machines need root (mounts, namespaces, cgroups): run this as root")
	}
	var names, pkgs []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			names, pkgs = append(names, p.name), append(pkgs, p.pkg)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		slices.Sort(pkgs)
		names, pkgs = slices.Compact(names), slices.Compact(pkgs)
		return fmt.Errorf("not on this host: %s; install with: apt-get install %s",
			strings.Join(names, ", "), strings.Join(pkgs, " "))
	}
	return nil
}

// cgroupRoot is where the host's cgroup v2 tree is mounted: /sys/fs/cgroup, or
// /sys/fs/cgroup/unified where the v1 controllers have the first place.
func cgroupRoot() (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("cannot look for the cgroup v2 tree: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// proc_pid_mountinfo(5): six fields, optional ones, " - ", the type.
		mount, filesystem, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(mount); len(fields) >= 6 && strings.HasPrefix(filesystem, "cgroup2 ") {
			return fields[4], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("cannot look for the cgroup v2 tree: %w", err)
	}
	return "", errors.New("no cgroup v2 tree is mounted: mount one with: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
}

// CheckHost says whether this host can build base trees and boot machines. Its
// error names what is missing and how to install it.
func CheckHost() error {
	if err := checkHost(append(buildPrograms(), bootPrograms()...)); err != nil {
		return err
	}
	_, err := cgroupRoot()
	return err
}
