#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Prints those of the packages named as arguments whose tests start no server: none of the
# helpers that start one is among what they import, directly or not. So a test that needs a
# server takes its package off the list by what it imports, and nothing is skipped within a
# package. One that has to be there and is not ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."

starters=(
	github.com/writebehind/operator/internal/flusher/journal/journaltest
	github.com/writebehind/operator/internal/flusher/postgres/postgrestest
	github.com/writebehind/operator/test/kube
	sigs.k8s.io/controller-runtime/pkg/envtest
)
# What is decided without a server is tried without one.
expected=(
	internal/controller/{failure,observe,plan,resources,rivals,snapshot,verdict}
	internal/flusher internal/flusher/{config,enginetest}
)

# A helper that moved would let every package in.
"${GO:-go}" list "${starters[@]}" >/dev/null
packages=$("${GO:-go}" list -test -f '{{if .ForTest}}{{.ForTest}} {{.ImportPath}} {{join .Deps " "}}{{end}}' "$@" |
	awk -v starters="${starters[*]}" '
		BEGIN { split(starters, all); for (i in all) starts[all[i]] }
		NF { tested[$1]; for (i = 2; i <= NF; i++) if ($i in starts) served[$1] }
		END { for (p in tested) if (!(p in served)) print p }' | sort)
for package in "${expected[@]}"; do
	if ! grep -q "/operator/$package\$" <<<"$packages"; then
		echo "$package is not among the unit tests: it has none, or its tests import what starts a server (${starters[*]})" >&2
		exit 1
	fi
done
echo "$packages"
