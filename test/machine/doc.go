// Package machine boots throw-away Debian machines with a real systemd as PID 1,
// for end-to-end tests, benches and the demo. It needs root, and on Debian
//
//	apt-get install mmdebstrap systemd-container
//
// In a test:
//
//	machine.Each(t, func(t *testing.T, release machine.Release) {
//		m := machine.New(t, release)
//		m.MustRun(t, "systemctl", "enable", "--now", "x.service")
//		if err := m.Reboot(t.Context()); err != nil {
//			t.Fatal(err)
//		}
//	})
//
// Elsewhere Boot and Close do the same.
//
// # How it works
//
// A base tree for each release is built once by mmdebstrap and cached outside
// the repository (CacheDir, EnsureBase, the command in cmd/base), under the
// hash of its recipe. A machine's root is an overlayfs on it. Only /var/lib is a
// plain directory, a copy of the base's: an overlayfs cannot carry the upper
// layer of another one, and the product mounts its own below /var/lib/left4me.
//
// What many machines have installed can be a Layer between the two: made once in
// a chroot, and kept beside the base trees under the hash of all that goes into
// it. Where another one is made, those go that nobody used for an hour.
//
// systemd-nspawn runs that tree with namespaces and a cgroup of its own, from
// power-on to clean shutdown, reboot and power cut. It reports through
// sd_notify(3): the machine's first process when that starts, and that process'
// own READY=1 when start-up has finished, so nothing here waits by polling. All
// of this happens half a second after the tree is there. Commands enter with
// nsenter(1).
//
// # Nothing is left behind
//
// supervise.sh is the parent of it all. It has a private mount namespace, where
// the overlay and a /run for nspawn's locks are mounted, so the host never sees
// them; below it a pid namespace holds everything that runs. A pipe from the
// calling process is its only lifeline. When that ends (Close, a panic, a
// time-out, SIGINT, SIGKILL), so does the first process of the pid namespace,
// the kernel kills the rest, and the scratch tree and cgroup are removed. Should
// the supervisor itself be killed, its lock is free, and the next Boot sweeps.
//
// # What it cannot show
//
//   - The kernel is the host's, and so are clock and page cache: a power cut
//     loses processes, memory and /run, but not what was written and not synced;
//     that and a clock that jumps are for package vm.
//   - The boot id is fresh at every boot all the same (systemd-nspawn mounts one
//     over /proc/sys/kernel/random/boot_id), as are /run and the time stamps of
//     PID 1. The monotonic clock goes on over a reboot, where a real machine's
//     starts anew.
//   - Inside are the cgroup v2 controllers that the host's own cgroup v2 root
//     hands down (cgroup.subtree_control): none where they are mounted as
//     version 1. Then MemoryMax= and its like do nothing, and the memory and CPU
//     figures of units are unset.
//   - The only network is the loopback, up at boot.
//   - Commands that enter from outside stay in the caller's cgroup and have the
//     caller's capabilities; PID 1 and what it starts have those of
//     systemd-nspawn, with CAP_BPF and CAP_PERFMON added.
//   - Debian 12's systemd is built without BPF_FRAMEWORK: it ignores
//     SocketBindDeny= and RestrictFileSystems=, on a real machine too.
package machine
