// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

var peakMemory = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// collecting is a flusher that collects garbage as it does in a Pod, and not as seldom as
// hack/go-test.sh lets every program of the tests do.
func collecting(program, file string) *exec.Cmd {
	command := exec.Command(program, "--config", file)
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GOGC=") })
	return command
}

// TestAFlusherOfLargeDocumentsStaysSmall looks at the most memory that the process ever
// had: that of what may be in flight and of what the collector lets stand beside it, and
// the program itself.
func TestAFlusherOfLargeDocumentsStaysSmall(t *testing.T) {
	// The race detector takes several times the memory.
	folder := t.TempDir()
	if err := programs.Build(t.Context(), folder, nil, "cmd/flusher"); err != nil {
		t.Fatal(err)
	}
	for mebibytes, most := range map[int]int{64: 230_000, 8: 80_000} {
		t.Run(fmt.Sprint(mebibytes, " MiB in flight"), func(t *testing.T) {
			s := newStack(t)
			s.config.Flush.Concurrency = 8
			s.config.Flush.MaxInFlightMebibytes = mebibytes
			s.write()
			// Three times what may be in flight: no more is held at a time, however much waits.
			s.fillLarge(200, 1_000_000)
			s.write()
			p := s.run(collecting(filepath.Join(folder, "flusher"), s.file))
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

var collections = regexp.MustCompile(`go_gc_duration_seconds_count (\d+)`)

// TestALargeDocumentDoesNotBusyTheCollector has documents that take three times what may be in
// flight: a limit that they cannot keep would make the collector run without a pause.
func TestALargeDocumentDoesNotBusyTheCollector(t *testing.T) {
	folder := t.TempDir()
	if err := programs.Build(t.Context(), folder, nil, "cmd/flusher"); err != nil {
		t.Fatal(err)
	}
	const documents, mostEach = 8, 12
	s := newStack(t)
	s.config.Flush.MaxInFlightMebibytes = 8
	s.write()
	s.fillLarge(documents, 24_000_000)
	s.write()
	p := s.run(collecting(filepath.Join(folder, "flusher"), s.file))
	s.drained()
	_, metrics := s.get(p, "/metrics")
	n, err := strconv.Atoi(collections.FindStringSubmatch(metrics)[1])
	s.must(err)
	t.Logf("%d collections", n)
	if n > documents*mostEach {
		t.Errorf("%d documents take %d collections, more than %d each", documents, n, mostEach)
	}
}
