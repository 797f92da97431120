#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Looks for known vulnerabilities in what our modules call: govulncheck.sh PROGRAM MODULE...
# The exit code is 0 when there are none, 3 when there are, and 1 when nobody could tell.
set -uo pipefail
cd "$(dirname "$0")/.."

program=$1
shift
worst=0
for module in "$@"; do
	echo "== $module"
	# Tests are ours to run, and link what no program does.
	(cd "$module" && "$program" ${GOVULNDB:+-db "$GOVULNDB"} ./...)
	code=$?
	case $code in
	0) ;;
	3) worst=3 ;;
	*)
		echo "govulncheck: nothing was checked in $module. If the database ${GOVULNDB:-https://vuln.go.dev} cannot be reached from here," >&2
		echo "govulncheck: run this where it can, or name a copy of it: make govulncheck GOVULNDB=file:///path" >&2
		exit 1
		;;
	esac
done
exit "$worst"
