#!/bin/sh
# Fills the file on descriptor 3 with an ext4 file system: a cached tree, with
# files of the host put in and a script run in it.
#
#   image.sh TREE SCRIPT [FROM TO]...
#
# Run in mount and pid namespaces of its own: mounts, and what the script
# starts, end with it.
set -eu
tree=$1 script=$2
shift 2

mount --make-rprivate /
# All that is changed is kept in memory until it is in the file.
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/lower /run/upper /run/work /run/root
# Relative paths: commas and colons in a cache's path mean something to mount.
mount --bind "$tree" /run/lower
cd /run
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work left4med root

while [ $# -gt 0 ]; do
	install -D "$1" "root$2"
	shift 2
done
mount -t proc proc root/proc
chroot root /usr/bin/env --ignore-environment PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -euc "$script"
umount root/proc
# Initialized whole, so that the kernel need not do it during the first boot.
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0,nodiscard -d root /proc/self/fd/3
