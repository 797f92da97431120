// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package chaos

import "errors"

func mountMemory(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
