#!/bin/sh
# Installs those of the given Debian packages that this host lacks, in one
# apt-get call, and says so. Does nothing, also without root, when all are here.
# Two at once take turns, as apt-get itself does not.
#
#   deps.sh PACKAGE...
set -eu
look() {
	missing=
	for package; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
		installed) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || exit 0
}
look "$@"
if [ "$(id -u)" != 0 ]; then
	echo "These Debian packages are missing:$missing" >&2
	echo "Install them as root with: apt-get install$missing" >&2
	exit 1
fi
exec 9>/run/left4med-deps.lock
flock 9
look "$@" # what another one installed meanwhile
export DEBIAN_FRONTEND=noninteractive
echo "Installing from Debian, since they are missing here:$missing"
# shellcheck disable=SC2086 # one word for each package
install() { apt-get install --yes --quiet --no-install-recommends $missing </dev/null 9<&-; }
# Package lists that are absent or too old make the first try fail.
if ! install; then
	echo "Fetching newer package lists and trying again."
	apt-get update --quiet
	install
fi
