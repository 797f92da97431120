// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shared is a buffer that one writes and another reads.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const module = "github.com/writebehind/operator/"

func TestEventsAreHandedOnAndSilenceIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		ticker := time.NewTicker(silence)
		defer ticker.Stop()
		var out shared
		over := make(chan struct{})
		go func() {
			defer close(over)
			follow(reader, &out, time.Now(), ticker.C, func() { ticker.Reset(silence) })
		}()
		var sent strings.Builder
		say := func(text string) {
			sent.WriteString(text)
			_, _ = io.WriteString(writer, text)
			synctest.Wait()
		}
		added := func() string {
			synctest.Wait()
			var lines []string
			for line := range strings.Lines(out.String()) {
				if !strings.HasPrefix(line, "{") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			return strings.Join(lines, "|")
		}

		time.Sleep(silence)
		want := "15s: 0 packages and 0 tests done; building"
		if got := added(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		say(`{"Action":"start","Package":"` + module + `internal/controller"}` + "\n")
		say(`{"Action":"run","Package":"` + module + `internal/controller","Test":"TestA"}` + "\n")
		say(`{"Action":"pass","Package":"` + module + `internal/controller","Test":"TestA"}` + "\n")
		say(`{"Action":"fail","Package":"` + module + `internal/controller","Test":"TestB"}` + "\n")
		want += "|failed: internal/controller TestB"
		if got := added(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		say(`{"Action":"start","Package":"` + module + `api/v1alpha1"}` + "\n")
		time.Sleep(silence - time.Second)
		say(`{"Action":"pass","Package":"` + module + `api/v1alpha1"}` + "\n")
		time.Sleep(silence - time.Second)
		if got := added(); got != want {
			t.Errorf("a package has ended %s ago, and it is said: %q", silence-time.Second, got)
		}
		time.Sleep(time.Second)
		want += "|44s: 1 packages and 2 tests done, 1 failed; at work: internal/controller (2)"
		if got := added(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		_ = writer.Close()
		<-over
		for line := range strings.Lines(sent.String()) {
			if !strings.Contains(out.String(), line) {
				t.Errorf("%q is not handed on", line)
			}
		}
	})
}
