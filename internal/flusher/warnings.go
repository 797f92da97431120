// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"slices"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Warned is a server that knows more than whether it works: what a person should know of the
// way to it, and of the rights there. A Source or a Database may be one.
type Warned interface {
	// Warnings are what the last look found, in words of package config. A look that could
	// not be made leaves what the one before has found.
	Warnings() []string
}

// watchWarnings logs what is new of a server's warnings: who runs a flusher alone reads no
// condition.
func (f *Flusher) watchWarnings(server string, of any, at *[]string) {
	warned, ok := of.(Warned)
	if !ok {
		return
	}
	found := warned.Warnings()
	f.mu.Lock()
	known := *at
	*at = found
	f.mu.Unlock()
	if len(found) > 0 && !slices.Equal(known, found) {
		f.log.Warn("Server works, and is less safe than it could be: see docs/security.md", "server", server, "warnings", found)
	}
}

// shownWarnings are those of both servers. The caller holds f.mu.
func (f *Flusher) shownWarnings() config.Warnings {
	return config.Warnings{Redis: slices.Clone(f.redisWarnings), Database: slices.Clone(f.databaseWarnings)}
}
