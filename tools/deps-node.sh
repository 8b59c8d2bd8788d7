#!/bin/sh
# What test/interop needs: node and npm, of Debian unless this host has others that
# will do, and the packages that package-lock.json names. Their install scripts do
# not run.
set -eu
cd "$(dirname "$0")/.."
node=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
if [ "${node:-0}" -lt 18 ] || ! command -v npm >/dev/null; then
	tools/deps.sh nodejs npm
fi
cd test/interop
# npm leaves a list of what it put there.
if [ node_modules/.package-lock.json -nt package-lock.json ]; then
	exit 0
fi
npm ci --ignore-scripts --no-audit --no-fund
touch node_modules/.package-lock.json
