#!/bin/sh
# Makes sure that there is Prometheus' own checker, and prints where it is: the
# one on the path, or that of Debian's package, which is unpacked beside the other
# caches and not installed, since installing it would start a service here.
set -eu
if command -v promtool; then
	exit 0
fi
# As test/machine places its cache.
parent=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
cache=${LEFT4MED_CACHE:-${parent:-/var/cache}/left4med}
. /etc/os-release
tool=$cache/promtool-${VERSION_ID:-debian}
if ! [ -x "$tool" ]; then
	mkdir -p "$cache"
	dir=$(mktemp -d "$cache/promtool.XXXXXX")
	trap 'rm -rf "$dir"' EXIT
	download() { (cd "$dir" && apt-get download --quiet prometheus) >&2; }
	echo "Fetching promtool from Debian, since it is missing here." >&2
	# Package lists that are absent or too old make the first try fail.
	if ! download; then
		echo "Fetching newer package lists and trying again." >&2
		apt-get update --quiet >&2
		download
	fi
	dpkg-deb --fsys-tarfile "$dir"/prometheus_*.deb | tar -x -C "$dir" ./usr/bin/promtool
	mv "$dir/usr/bin/promtool" "$tool" # beside and renamed: others may do the same
fi
echo "$tool"
