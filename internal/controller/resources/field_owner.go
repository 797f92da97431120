// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import "sigs.k8s.io/controller-runtime/pkg/client"

const (
	// FieldOwner is the field manager that owns every field that this package builds.
	FieldOwner = client.FieldOwner("writebehind-operator")
	// SettingsOwner is the field manager that owns the annotation of new settings on
	// flusher Pods. It is another than FieldOwner, so that neither apply removes the
	// other's fields.
	SettingsOwner = client.FieldOwner("writebehind-operator-settings")
)
