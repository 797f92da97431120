#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Runs `go test` on packages, with the flags behind them: hack/go-test.sh ./... -- -count=1.
# All are tested with the race detector but those that hack/without-race.sh prints.
set -euo pipefail
cd "$(dirname "$0")/.."

patterns=()
while [ "$1" != -- ]; do
	patterns+=("$1")
	shift
done
shift
go=${GO:-go}

# Each of these takes most of a minute and more: they begin first, or one would be alone at the end.
longest=(internal/controller test/{integration,chaos,install} internal/flusher/{service,postgres} cmd/flusher test/{scale,monitoring} internal/flusher/{journal,replica})
"$go" list "${longest[@]/#/./}" >/dev/null
listed=$("$go" list "${patterns[@]}")
listed=$({
	for package in "${longest[@]}"; do
		grep -x "github.com/writebehind/operator/$package" <<<"$listed" || true
	done
	echo "$listed"
} | awk '!seen[$0]++')
without=$(hack/without-race.sh "${patterns[@]}")
with=$(grep -vxF "$without" <<<"$listed" || true)
without=$(grep -xF "$without" <<<"$listed" || true)

# A program with the detector sleeps for a second at its end, for races of what still runs then;
# hundreds of flushers end in a run.
export GORACE="${GORACE:-atexit_sleep_ms=50}"
# With the detector the compiler also checks unsafe pointers. That takes a sixth of the processor
# time, and no code here has any. What tests build with the detector has the same flags
# (test/programs), so that Go compiles it once.
race=(-race -gcflags=all=-d=checkptr=0)
# Garbage is collected a quarter as often: the collector took up to a sixth of the processor time.
export GOGC="${GOGC:-400}"

# Most tests wait for a server most of the time, and some packages test one thing after the other.
packages=$(($(nproc) + 1)) parallel=$(($(nproc) > 8 ? $(nproc) : 8))

# Servers make and remove tens of thousands of files, which costs a fifth of the processor time on a
# disk's file system. They are in memory where there is enough of it and TMPDIR is not set. The
# folder has one name, since a result that Go has kept is of one TMPDIR; a second run at the same
# time goes to the disk.
memory=/dev/shm/writebehind-test-$(id -u)
in_memory() {
	[ -z "${TMPDIR:-}" ] && [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || return 1
	[ "$(df --output=avail -k /dev/shm | tail -n 1)" -ge 4000000 ] || return 1
	[ "$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)" -ge 8000000 ] || return 1
	local most
	most=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) || most=max
	[ "$most" = max ] || [ "$most" -ge 8000000000 ] || return 1
	# The user of PostgreSQL goes through it.
	mkdir -m 755 "$memory" 2>/dev/null || [ -O "$memory" ] && [ ! -L "$memory" ] || return 1
	exec 9<"$memory" && flock -n 9 || return 1
	trap clean_up EXIT
	clean_up
	# Programs run that are built in it.
	cp "$(type -P true)" "$memory/true" && "$memory/true" 2>/dev/null
}
# A server that ends with its test's process removes its own files meanwhile.
clean_up() {
	local _
	for _ in {1..50}; do
		find "$memory" -mindepth 1 -delete 2>/dev/null && return
		sleep 0.1
	done
	echo "files are left in $memory" >&2
}
# What Go builds stays on the disk.
if in_memory; then export TMPDIR=$memory GOTMPDIR="${GOTMPDIR:-/tmp}"; fi

# Who interrupts the first of the two does not want the second.
trap 'exit 130' INT
trap 'exit 143' TERM

failed=0
# shellcheck disable=SC2086 # a word a package
{
	[ -z "$with" ] || "$go" test "${race[@]}" -p $packages -parallel $parallel "$@" $with 9<&- || failed=1
	[ -z "$without" ] || "$go" test -p $packages -parallel $parallel "$@" $without 9<&- || failed=1
}
exit $failed
