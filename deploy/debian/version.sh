#!/bin/sh
# Prints the version of what is checked out, as dpkg understands and orders it:
#
#   v1.2.3 itself            1.2.3
#   5 commits after it       1.2.3+5.g0123abc
#   v1.3.0-rc1               1.3.0~rc1
#   before any tag           0.1.0~git42.g0123abc   (42 commits)
#   no git at all            0.1.0~unknown
set -eu
cd "$(dirname "$0")"
if described=$(git describe --tags --match 'v[0-9]*' --abbrev=7 2>/dev/null); then
	echo "$described" | sed -E 's/^v//; s/-([0-9]+)-(g[0-9a-f]+)$/+\1.\2/; s/-/~/g'
elif count=$(git rev-list --count HEAD 2>/dev/null); then
	echo "0.1.0~git$count.g$(git rev-parse --short=7 HEAD)"
else
	echo 0.1.0~unknown
fi
