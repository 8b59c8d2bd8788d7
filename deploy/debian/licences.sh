#!/bin/sh
# Prints the licences of all Go modules that the given packages are built from, and
# of the npm packages that parts of are in the page, which left4med-web embeds:
#
#   licences.sh PACKAGE...
set -eu
: "${GO:=go}"
# Go itself, then each module once.
modules=$("$GO" list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "$@" | sort -u)
printf 'go %s %s\n%s\n' "$("$GO" env GOVERSION)" "$("$GO" env GOROOT)" "$modules" |
	while read -r path version dir; do
		found=
		for file in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
			[ -f "$file" ] || continue
			found=1
			printf '======== %s %s: %s\n\n' "$path" "$version" "${file##*/}"
			cat "$file"
			echo
		done
		if [ -z "$found" ]; then
			echo "licences.sh: $path $version has no licence file in $dir" >&2
			exit 1
		fi
	done
# What the page imports, and what that does; the rest of web/package.json only builds it.
for name in svelte clsx devalue esm-env uplot; do
	dir=web/node_modules/$name
	version=$(sed -n 's/^[[:space:]]*"version": "\(.*\)".*/\1/p' "$dir/package.json" | head -n 1)
	found=
	for file in "$dir"/LICENSE* "$dir"/license*; do
		[ -f "$file" ] || continue
		found=1
		printf '======== npm %s %s: %s\n\n' "$name" "$version" "${file##*/}"
		cat "$file"
		echo
	done
	if [ -z "$found" ]; then
		echo "licences.sh: $name $version has no licence file in $dir" >&2
		exit 1
	fi
done
