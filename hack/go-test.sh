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

alone=$(hack/without-race.sh "${patterns[@]}")
beside=$("$go" list "${patterns[@]}" | grep -vxF "$alone" || true)

failed=0
# shellcheck disable=SC2086 # a word a package
{
	[ -z "$alone" ] || "$go" test "$@" $alone || failed=1
	[ -z "$beside" ] || "$go" test -race "$@" $beside || failed=1
}
exit $failed
