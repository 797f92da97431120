// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package install tests what a user installs and copies: the manifest that make
// build-installer writes, the Helm chart, the operator's program under the rights
// that these give it, and the samples. It needs a real API server, kustomize and
// helm: make test brings them.
package install
