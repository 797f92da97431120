#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Runs `go test` on packages, with the flags behind them: hack/go-test.sh ./... -- -count=1.
# All are tested with the race detector but those in which it can find nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

patterns=()
while [ "$1" != -- ]; do
	patterns+=("$1")
	shift
done
shift
go=${GO:-go}

# Each of these takes a minute and more: they begin first, or one would be alone at the end.
longest=(internal/controller test/integration internal/flusher/{service,postgres} test/install test/chaos cmd/flusher internal/flusher/journal)
"$go" list "${longest[@]/#/./}" >/dev/null
listed=$("$go" list "${patterns[@]}")
alone=$(hack/without-race.sh "${patterns[@]}")
beside=$({
	for package in "${longest[@]}"; do
		grep -x "github.com/writebehind/operator/$package" <<<"$listed" || true
	done
	echo "$listed"
} | awk '!seen[$0]++' | grep -vxF "$alone" || true)

# A program with the detector sleeps for a second at its end, for races of what still runs then;
# hundreds of flushers end in a run.
export GORACE="${GORACE:-atexit_sleep_ms=50}"
# Garbage is collected a quarter as often: the collector took up to a sixth of the processor time.
export GOGC="${GOGC:-400}"

failed=0
# shellcheck disable=SC2086 # a word a package
{
	[ -z "$beside" ] || "$go" test -race "$@" $beside || failed=1
	[ -z "$alone" ] || "$go" test "$@" $alone || failed=1
}
exit $failed
