#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Prints a folder of config/ as kustomize builds it, with the image in IMG: for
# the operator itself and for the flushers it starts, which are in the same image.
# The folder is laid over, not edited, so that a build leaves no change behind.
set -euo pipefail

if [ $# -ne 1 ] || [ -z "${IMG:-}" ] || [ -z "${KUSTOMIZE:-}" ]; then
	echo "usage: IMG=name[:tag][@digest] KUSTOMIZE=program $0 FOLDER-OF-CONFIG" >&2
	exit 2
fi
# The name ends at the digest, or at a colon behind the last slash: one before it
# belongs to the registry's port.
name=${IMG%%@*}
digest=${IMG#"$name"}
digest=${digest#@}
tag=
last=${name##*/}
if [[ $last == *:* ]]; then
	tag=${last#*:}
	name=${name%:"$tag"}
fi
if [ -n "$digest" ]; then
	version="digest: \"$digest\""
else
	version="newTag: \"${tag:-latest}\""
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
  newName: "$name"
  $version
YAML
"$KUSTOMIZE" build "$overlay"
