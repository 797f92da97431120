// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rules lists every rule that this project has given itself, and the tests
// that fail when it is broken.
//
// The rules come from three places: forty-eight complaints that users of comparable
// systems have about losing, reordering, blocking or hiding data; the traps of designs
// like this one; and the design's own sections on the capture functions (2), the journal
// (5), ownership and the ledger (6), rows and errors (7), and the operator (8).
//
// A rule that nothing here can break says why it does not apply. A rule of a feature
// that is not there yet names the feature; it gets its tests together with it.
package rules
