// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

var peakMemory = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// TestAFlusherOfLargeDocumentsStaysSmall looks at the most memory that the process ever
// had: that of what may be in flight and of what the collector lets stand beside it, and
// the program itself.
func TestAFlusherOfLargeDocumentsStaysSmall(t *testing.T) {
	// The race detector takes several times the memory.
	folder := t.TempDir()
	if err := programs.Build(t.Context(), folder, nil, "flusher"); err != nil {
		t.Fatal(err)
	}
	for mebibytes, most := range map[int]int{64: 230_000, 8: 80_000} {
		t.Run(fmt.Sprint(mebibytes, " MiB in flight"), func(t *testing.T) {
			s := newStack(t)
			s.config.Flush.Concurrency = 8
			s.config.Flush.MaxInFlightMebibytes = mebibytes
			s.write()
			s.fillLarge(600, 1_000_000)
			s.write()
			p := s.run(exec.Command(filepath.Join(folder, "flusher"), "--config", s.file))
			s.drained()
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
			s.must(err)
			peak, err := strconv.Atoi(string(peakMemory.FindSubmatch(status)[1]))
			s.must(err)
			t.Logf("the peak is %d MB", peak/1000)
			if peak > most {
				t.Errorf("the peak is %d kB, more than %d", peak, most)
			}
		})
	}
}
