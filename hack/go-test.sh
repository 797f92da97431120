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

# Those that take longest begin first, or each of them would be alone at the end.
longest=(internal/controller test/integration test/chaos internal/flusher/service internal/flusher/postgres internal/flusher/journal)
"$go" list "${longest[@]/#/./}" >/dev/null
listed=$("$go" list "${patterns[@]}")
alone=$(hack/without-race.sh "${patterns[@]}")
beside=$({
	for package in "${longest[@]}"; do
		grep -x "github.com/writebehind/operator/$package" <<<"$listed" || true
	done
	echo "$listed"
} | awk '!seen[$0]++' | grep -vxF "$alone" || true)

# Those without the detector have a processor's time beside the others, and their say at the
# end: what two programs write would be mixed within a line.
failed=0
said=$(mktemp)
beginner=
trap '[ -z "$beginner" ] || kill "$beginner" 2>/dev/null || true; rm -f "$said"' EXIT
# shellcheck disable=SC2086 # a word a package
if [ -n "$alone" ]; then
	"$go" test "$@" -p 1 $alone >"$said" 2>&1 &
	beginner=$!
fi
# shellcheck disable=SC2086 # a word a package
[ -z "$beside" ] || "$go" test -race "$@" $beside || failed=1
if [ -n "$beginner" ]; then
	wait "$beginner" || failed=1
	beginner=
	cat "$said"
fi
exit $failed
