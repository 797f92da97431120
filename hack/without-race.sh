#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Prints those of the packages named as arguments that are tested without the race detector, which
# takes up to ten times the time. There are two kinds. In the tests of the first nothing runs
# beside anything else, so that it can find nothing: neither the package with its tests, nor what
# they link of this project, has a word that starts a goroutine or guards against one. Whoever
# writes such a word takes the package off the list.
set -euo pipefail
cd "$(dirname "$0")/.."

# The second work the product from outside, as processes, and link none of it that runs. Races of
# the product are in those: the flushers of integration and chaos are built with the detector, and
# what the operator does is tested with it in packages of its own. Races of what works the
# product from outside are not looked for.
outside=(test/{chaos,install,integration,monitoring,scale})

# A go statement, Go of a group, tests side by side, what the runtime calls from a goroutine of
# its own, and the packages that are for goroutines or start some.
words='^[^/]*\<go[[:space:]]+(func\(|[A-Za-z_.]+\()|\.Go\(|\.(Parallel|AfterFunc|SetFinalizer|AddCleanup)\('
imports='^(import)?[[:space:]]*([A-Za-z_.]+ )?"(sync|sync/atomic|testing/synctest|os/exec|os/signal|net/http|net/http/httptest|golang.org/x/sync/.*|github.com/(onsi|redis|jackc)/.*|k8s.io/client-go/(rest|kubernetes|tools/.*)|sigs.k8s.io/controller-runtime(/pkg/(manager|envtest))?)"$'

# Prints the folders of files that have any of those; $@ tells grep which files to look at.
having() {
	grep -rlE --include='*.go' "$@" "$words|$imports" api cmd hack internal test | xargs -n1 dirname | sort -u
}
module=github.com/writebehind/operator
{
	having | sed "s|^|any $module/|"
	having --exclude='*_test.go' | sed "s|^|code $module/|"
	"${GO:-go}" list "${outside[@]/#/./}" | sed 's/^/outside /'
	"${GO:-go}" list -test -f '{{if .ForTest}}test {{.ForTest}} {{join .Deps " "}}{{end}}' "$@"
} | awk '
	$1 == "any" { any[$2] }
	$1 == "code" { code[$2] }
	$1 == "outside" { outside[$2] }
	$1 == "test" { tested[$2]; if ($2 in any) beside[$2]; for (i = 3; i <= NF; i++) if ($i in code) beside[$2] }
	END { for (p in tested) if (!(p in beside) || p in outside) print p }' | sort
