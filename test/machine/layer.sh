#!/bin/sh
# Makes a layer that machines stand on: a base tree, with files of the host put
# in and a script run in it.
#
#   layer.sh BASE DIR SCRIPT [FROM TO]...
#
# What is changed goes to DIR/upper, and below /var/lib to DIR/varlib, a copy of
# the base's with its changes. Run in mount and pid namespaces of its own: mounts,
# and what the script starts, end with it.
set -eu
base=$1 dir=$2 script=$3
shift 3

mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/lower /run/layer /run/root
# Relative paths: commas and colons in a cache's path mean something to mount.
mount --bind "$base" /run/lower
mount --bind "$dir" /run/layer
cd /run
cp -a lower/var/lib/. layer/varlib
mount -t overlay -o lowerdir=lower,upperdir=layer/upper,workdir=layer/work left4med root
mount --bind layer/varlib root/var/lib
# What is put below these is not meant to stay.
mount -t tmpfs -o mode=0755 tmpfs root/run
mount -t tmpfs -o mode=1777 tmpfs root/tmp

while [ $# -gt 0 ]; do
	mkdir -p "root${2%/*}"
	cp --preserve=mode "$1" "root$2"
	shift 2
done
mount -t proc proc root/proc
chroot root /usr/bin/env --ignore-environment PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -euc "$script" </dev/null
umount --recursive root
rm -rf layer/work
