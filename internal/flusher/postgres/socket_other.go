// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package postgres

// setSocket does nothing here: keep-alive and deadlines find a dead peer.
func setSocket(uintptr) {}
