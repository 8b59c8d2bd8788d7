#!/bin/sh
# Node and npm, of Debian unless this host has others that will do, and the packages
# that the package-lock.json of each named directory names:
#
#   deps-node.sh DIRECTORY...
#
# Their install scripts do not run.
set -eu
cd "$(dirname "$0")/.."

# What Vite and Vitest need: 20.19 of Debian 13, not 18 of Debian 12.
enough() {
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}
if ! enough || ! command -v npm >/dev/null; then
	tools/deps.sh nodejs npm
	if ! enough; then
		echo "The browser's side is built with Node 20.19 or newer; this host has $(node --version)." >&2
		echo "Debian 13 has it; on Debian 12 install Node 20 or newer from nodejs.org or NodeSource." >&2
		exit 1
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
