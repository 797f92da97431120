// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Flusher is the data plane's program as it runs.
type Flusher struct {
	*Process
	// Address is where it serves metrics, probes and its status.
	Address string
}

// RunFlusher runs a flusher as Run does, and waits until it serves. Its config may
// leave the port to the system.
func RunFlusher(t testing.TB, patience Patience, command *exec.Cmd) *Flusher {
	t.Helper()
	f := &Flusher{Process: Run(t, command)}
	f.Eventually(t, patience, "the flusher listens", func() error {
		for line := range strings.Lines(f.Said()) {
			if f.Address = ServingAddress([]byte(line)); f.Address != "" {
				return nil
			}
		}
		return errors.New("no address in its log yet")
	})
	return f
}

// ServingAddress is where a flusher serves according to a line of its log; empty when
// the line is about something else.
func ServingAddress(line []byte) string {
	var entry struct{ Msg, Address string }
	if json.Unmarshal(line, &entry) != nil || !strings.HasPrefix(entry.Msg, "Serving") {
		return ""
	}
	return entry.Address
}

// PutFile puts a file that a flusher watches in place as the kubelet does with those of
// a ConfigMap or a Secret, whole or not at all.
func PutFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
