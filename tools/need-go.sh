#!/bin/sh
# Fails, and says how to get it, when the Go that go.mod asks for is not here.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}"
want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
if ! command -v "$GO" >/dev/null; then
	have="no Go here"
else
	# Go from 1.21 on may fetch the toolchain it needs by itself, and says here
	# which one it would run; an older one only says what it is.
	version=$("$GO" env GOVERSION 2>&1) || true
	have=${version#go}
	case $have in
	[0-9]*.[0-9]*)
		if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ]; then
			exit 0
		fi
		;;
	esac
	have="Go here is: $version"
fi
cat >&2 <<END
left4med needs Go $want or newer; $have.
Debian 12 and 13 have older ones. Get the Linux archive from the download page of the Go project,
unpack it to /usr/local/go, and run make again: /usr/local/go/bin is found by itself.
Any Go from 1.21 on that may use the network fetches the right one, too.
END
exit 1
