#!/bin/sh
# Makes sure that there is a program of Prometheus', promtool or prometheus itself,
# and prints where it is: the one on the path, or that of Debian's package, which is
# unpacked beside the other caches and not installed, since installing it would start
# a service here.
set -eu
program=${1:?promtool or prometheus}
if command -v "$program"; then
	exit 0
fi
# As test/machine places its cache.
parent=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
cache=${LEFT4MED_CACHE:-${parent:-/var/cache}/left4med}
. /etc/os-release
dir=$cache/prometheus-${VERSION_ID:-debian}
if ! [ -x "$dir/$program" ]; then
	mkdir -p "$cache"
	new=$(mktemp -d "$cache/prometheus.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	download() { (cd "$new" && apt-get download --quiet prometheus) >&2; }
	echo "Fetching Prometheus from Debian, since it is missing here." >&2
	if [ "$(id -u)" = 0 ]; then # in turn with deps.sh, which may fetch lists, too
		exec 9>/run/left4med-deps.lock
		flock 9
	fi
	# Package lists that are absent or too old make the first try fail.
	if ! download; then
		echo "Fetching newer package lists and trying again." >&2
		apt-get update --quiet >&2
		download
	fi
	dpkg-deb --fsys-tarfile "$new"/prometheus_*.deb | tar -x -C "$new" ./usr/bin/promtool ./usr/bin/prometheus
	mkdir -p "$dir"
	mv "$new/usr/bin/promtool" "$new/usr/bin/prometheus" "$dir" # beside and renamed: others may do the same
fi
echo "$dir/$program"
