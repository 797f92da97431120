#!/bin/sh
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Makes sure that the Debian packages named as arguments are installed. Silent when they are.
# As root on Debian it installs the missing ones; elsewhere it names them and the command to run.
set -eu

if [ $# -eq 0 ]; then
	echo "usage: $0 PACKAGE..." >&2
	exit 2
fi

missing_packages() {
	for package in "$@"; do
		state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
		if [ "$state" != installed ]; then
			printf '%s ' "$package"
		fi
	done
}

if command -v dpkg-query >/dev/null 2>&1; then
	missing=$(missing_packages "$@")
	if [ -z "$missing" ]; then
		exit 0
	fi
else
	missing="$* "
fi
missing=${missing% }

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing: $missing. This machine has no apt-get: install what corresponds to these Debian packages." >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "missing Debian packages: $missing. Run: sudo apt-get install --no-install-recommends $missing" >&2
	exit 1
fi

# Two callers at once would save each other's policy-rc.d, so the second waits for the first.
exec 9<"$0"
flock 9
missing=$(missing_packages "$@")
missing=${missing% }
if [ -z "$missing" ]; then
	exit 0
fi

# Debian's maintainer scripts start a package's services unless this file says no. The packages are
# wanted for their programs: a service would take ports and outlive whoever asked for the program.
policy=/usr/sbin/policy-rc.d
saved=
log=$(mktemp)
restore() {
	if [ -n "$saved" ]; then
		mv -f "$saved" "$policy"
	else
		rm -f "$policy"
	fi
	rm -f "$log"
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
	saved=$policy.saved.$$
	mv "$policy" "$saved"
fi
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

started=$(date +%s)
printf '  installing Debian packages %s ... ' "$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# $missing is a list of package names: it has to split into words.
# shellcheck disable=SC2086
if ! { apt-get update && apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing; } >"$log" 2>&1 </dev/null; then
	echo failed >&2
	tail -n 15 "$log" >&2
	exit 1
fi
echo "$(($(date +%s) - started))s" >&2
