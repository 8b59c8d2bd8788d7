#!/bin/sh
# Keeps one throw-away machine: mounts its tree, runs its systemd-nspawn, and
# leaves nothing behind however the process that asked for it ends.
#
#   supervise.sh keep  SCRATCH BASE LAYER CGROUP NAME NOTIFY
#   supervise.sh serve SCRATCH BASE LAYER CGROUP NAME NOTIFY    (run by keep)
#
# Descriptors: 0 is the control pipe: each line "boot" starts the machine, its
# end (also when the owner was killed) ends everything. 3 takes a line
# "off STATUS" each time the machine is off for good. 4 holds the lock that
# tells a live machine from what an unclean death left behind, 5 the one that
# keeps LAYER, which may be empty, from being swept.
#
# keep has a mount namespace of its own, so the tree is never mounted on the
# host. serve is PID 1 of a pid namespace below it: when it ends, or is
# killed, the kernel kills whatever runs in the machine and waits for it.
set -eu
# Only the end of the control pipe ends a machine, not a Ctrl-C meant for others.
trap '' PIPE HUP INT TERM
role=$1 scratch=$2 base=$3 layer=$4 cgroup=$5 name=$6 notify=$7
cd "$scratch"

keep() {
	trap tidy EXIT
	mount --make-rprivate /
	# Relative paths: commas and colons in a cache's path mean something to mount.
	mount --bind "$base" lower
	below=lower
	if [ -n "$layer" ]; then
		mount --bind "$layer" layer
		below=layer:lower
	fi
	mount -t overlay -o "lowerdir=$below,upperdir=upper,workdir=work" left4med root
	# nspawn keeps its locks and sockets in /run: a private one goes with us.
	mount -t tmpfs -o mode=0755 tmpfs /run
	mkdir /run/varlib
	mount --bind varlib /run/varlib

	mkdir "$cgroup" "$cgroup/control"
	echo 0 >"$cgroup/control/cgroup.procs"
	# What the host hands down we hand down.
	for controller in $(cat "$cgroup/cgroup.controllers"); do
		echo "+$controller" >"$cgroup/cgroup.subtree_control" || true
	done

	unshare --mount-proc --pid --fork --kill-child \
		sh supervise.sh serve "$scratch" "$base" "$layer" "$cgroup" "$name" "$notify"
}

# tidy removes the traces of the machine and keeps the status that led here.
tidy() {
	status=$?
	if [ -d "$cgroup" ]; then
		echo 0 >"${cgroup%/*}/cgroup.procs"
		# The kernel refuses while the last of the killed has not quite left.
		tries=0
		until find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null; do
			tries=$((tries + 1))
			[ "$tries" -lt 500 ] || { echo "supervise.sh: cannot remove $cgroup" >&2; status=1; break; }
			sleep 0.02
		done
	fi
	for mounted in root layer lower; do
		! mountpoint --quiet "$mounted" || umount "$mounted" || status=1
	done
	cd /
	rm -rf "$scratch" || status=1
	exit "$status"
}

serve() {
	while read -r word; do
		case $word in
		boot) run </dev/null 4<&- 5<&- & ;;
		*) echo "supervise.sh: unknown word: $word" >&2 ;;
		esac
	done
	# The end of this process is the end of every process in the namespace.
}

# run starts the machine, and again after each reboot: with --keep-unit nspawn
# leaves that to its caller and says so with status 133.
run() {
	while :; do
		status=0
		start || status=$?
		[ "$status" = 133 ] || break
	done
	echo "off $status" >&3
}

# CAP_BPF and CAP_PERFMON, which nspawn leaves out, are what PID 1 needs for
# IPAddressDeny= and SocketBindDeny=; without them it ignores both in silence.
start() (
	# A cgroup of its own: nspawn puts the payload below the one it runs in, and
	# two systemds that share one would fight over the same units' cgroups. A new
	# one for each boot: what the last one left may hold controllers, and then
	# the kernel lets no process in.
	place=$(mktemp -d "$cgroup/boot-XXXXXX") && echo 0 >"$place/cgroup.procs" || exit 1
	exec 3>&-
	NOTIFY_SOCKET=$notify SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn \
		--quiet --directory=root --machine="$name" --bind=/run/varlib:/var/lib \
		--private-network --register=no --keep-unit --notify-ready=yes \
		--capability=CAP_BPF,CAP_PERFMON --system-call-filter=bpf \
		--resolv-conf=off --timezone=off --link-journal=no \
		--console=read-only --boot
)

"$role"
