// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// Warnings are what a person should know of servers that work. They stop nothing. They are
// words that operator and flusher share, and no text: who reads them finds the remedy.
type Warnings struct {
	Redis    []string `json:"redis,omitempty"`
	Database []string `json:"database,omitempty"`
}

// The words of Warnings.
const (
	// WarningUnencrypted means that the connection goes over a network in clear, with its
	// password. One within the machine, by loopback or a socket, does not.
	WarningUnencrypted = "Unencrypted"
	// WarningAdministrator means that the flusher's user may do everything in the server: a
	// superuser of PostgreSQL, an administrator of Redis.
	WarningAdministrator = "Administrator"
)

// KnownWarnings are those of the words that are known here, each once.
func KnownWarnings(words []string) []string {
	var known []string
	for _, word := range []string{WarningUnencrypted, WarningAdministrator} {
		if slices.Contains(words, word) {
			known = append(known, word)
		}
	}
	return known
}
