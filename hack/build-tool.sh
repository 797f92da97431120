#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Builds a tool of hack/tools: build-tool.sh PROGRAM PACKAGE FOLDER. What was built
# once is kept beside the binaries of Kubernetes (WRITEBEHIND_CACHE), under all that
# decides what it is, so that a second clone, or one after `make clean`, builds none.
set -euo pipefail

program=$1 package=$2
name=$(basename "$program")
cd "$(dirname "$0")/tools/$3"

cache=${WRITEBEHIND_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set: name a folder in WRITEBEHIND_CACHE}/.cache}/writebehind-operator}/tools
go=${GO:-go}
key=$({ "$go" env GOVERSION GOOS GOARCH CGO_ENABLED; cat go.mod go.sum; } | sha256sum | cut -c1-16)
kept=$cache/$name-$key

mkdir -p "$cache" "$(dirname "$program")"
if [ ! -x "$kept" ]; then
	printf '  building %s ... ' "$name" >&2
	"$go" build -trimpath -ldflags '-s -w' -o "$kept.$$" "$package"
	mv "$kept.$$" "$kept"
	echo "${SECONDS}s" >&2
fi
cp "$kept" "$program.$$"
mv "$program.$$" "$program"
