#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Prints a folder of config/ as kustomize builds it, with the image in IMG: for
# the operator itself and for the flushers it starts, which are in the same image.
# The folder is laid over, not edited, so that a build leaves no change behind.
set -euo pipefail

if [ $# -ne 1 ] || [ -z "${IMG:-}" ] || [ -z "${KUSTOMIZE:-}" ]; then
	echo "usage: IMG=name:tag KUSTOMIZE=program $0 FOLDER-OF-CONFIG" >&2
	exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -f "$root/config/$1/kustomization.yaml" ]; then
	echo "config/$1 has no kustomization.yaml" >&2
	exit 2
fi
# kustomize wants a relative path from the overlay, so it has to be in the project.
mkdir -p "$root/bin"
overlay=$(mktemp -d "$root/bin/overlay.XXXXXX")
trap 'rm -rf "$overlay"' EXIT
cat >"$overlay/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../../config/$1
images:
- name: controller
  newName: ${IMG%:*}
  newTag: ${IMG##*:}
YAML
"$KUSTOMIZE" build "$overlay"
