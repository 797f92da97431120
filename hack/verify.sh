#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Fails when something in the repository that is derived from something else is
# out of date. It regenerates in a copy, so that it changes nothing and says the
# same on a tree with uncommitted work.
set -euo pipefail

cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failures=0

complain() {
	echo "verify: $1" >&2
	failures=$((failures + 1))
}

# What git tracks or would track: ignored files are the build's own.
git ls-files --cached --others --exclude-standard -z |
	while IFS= read -r -d '' file; do
		if [ -e "$file" ]; then printf '%s\0' "$file"; fi
	done | tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$copy"

make --silent -C "$copy" manifests generate CONTROLLER_GEN="$CONTROLLER_GEN" KUSTOMIZE="$KUSTOMIZE" >/dev/null
for path in api config charts; do
	if ! diff --recursive --unified "$path" "$copy/$path"; then
		complain "$path/ is out of date: run make manifests generate"
	fi
done

for module in . api hack/cluster test/policies/judge hack/tools/helm hack/tools/github; do
	if ! (cd "$copy/$module" && go mod tidy -diff); then
		complain "$module/go.mod is not tidy: run go mod tidy there"
	fi
done

while IFS= read -r -d '' file; do
	if ! head -n 5 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
		complain "$file lacks the licence header of hack/boilerplate.go.txt"
	fi
done < <(cd "$copy" && find . -type f \( -name '*.go' -o -name '*.sh' -o -name '*.lua' -o -name Makefile -o -name Dockerfile \) -print0)

while IFS= read -r -d '' file; do
	bash -n "$file" || complain "$file is not valid shell"
done < <(cd "$copy" && find . -type f -name '*.sh' -print0)

if [ "$failures" -gt 0 ]; then
	echo "verify: $failures failed" >&2
	exit 1
fi
echo "verify: generated files, go.mod and licence headers are up to date"
