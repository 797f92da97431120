// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/test/programs"
)

// figures are what a run came to. Times are in seconds, memory is the operator's.
type figures struct {
	Resources int     `json:"resources"`
	Real      int     `json:"realFlushers"`
	Silent    int     `json:"silentFlushers"`
	Large     int     `json:"largeConfigMaps"`
	Seed      uint64  `json:"seed"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memoryGiB"`

	CreateSeconds      float64  `json:"createSeconds"`
	ConvergeSeconds    float64  `json:"convergeSeconds"`
	ConvergeCPUSeconds float64  `json:"convergeCPUSeconds"`
	Converging         requests `json:"requestsWhileConverging"`

	QuietSeconds        float64  `json:"quietSeconds"`
	Quiet               requests `json:"requestsWhileQuiet"`
	PassesPerMinute     float64  `json:"reconcilesPerMinute"`
	PollsPerMinute      float64  `json:"pollsPerMinute"`
	CPUSecondsPerMinute float64  `json:"cpuSecondsPerMinute"`
	ResidentMiB         float64  `json:"residentMiB"`
	PeakMiB             float64  `json:"peakMiB"`

	DelayBefore     delay `json:"statusDelay"`
	DelayWithSilent delay `json:"statusDelayWithSilentFlushers"`

	RestartSeconds float64  `json:"restartSeconds"`
	Restarting     requests `json:"requestsAfterRestart"`
	RestartPeakMiB float64  `json:"restartPeakMiB"`
}

// delay is how long changes took to be in the status, in seconds.
type delay struct {
	Changes int     `json:"changes"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
}

func delayOf(all []time.Duration) delay {
	slices.Sort(all)
	at := func(share float64) float64 { return seconds(all[int(math.Ceil(share*float64(len(all))))-1]) }
	return delay{Changes: len(all), P50: at(0.50), P99: at(0.99), Max: at(1)}
}

func (d delay) String() string {
	return fmt.Sprintf("p50 %.2f s, p99 %.2f s, max %.2f s (%d changes)", d.P50, d.P99, d.Max, d.Changes)
}

func rounded(n float64) float64 { return math.Round(n*100) / 100 }

func seconds(d time.Duration) float64 { return rounded(d.Seconds()) }

func mebibytes(bytes int64) float64 { return rounded(float64(bytes) / (1 << 20)) }

func (r *requests) plus(more requests) {
	r.Reads += more.Reads
	r.Writes += more.Writes
	r.Present += more.Present
	r.Recounts += more.Recounts
	r.Renewals += more.Renewals
	r.what = append(r.what, more.what...)
}

func (r requests) String() string {
	return fmt.Sprintf("%d writes, %d reads, %d creates of what is there, %d recounts of events, %d renewals of the Lease",
		r.Writes, r.Reads, r.Present, r.Recounts, r.Renewals)
}

// about notes what is measured, and on what machine.
func (f *figures) about(o options) {
	f.Resources, f.Real, f.Silent, f.Large, f.Seed, f.Cores = o.resources, o.real, o.silent, o.large, o.seed, runtime.NumCPU()
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if total, err := kilobytes(text, "MemTotal:"); err == nil {
			f.MemoryGiB = rounded(float64(total) / (1 << 30))
		}
	}
}

func (f *figures) print() {
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "  %-30s "+format+"\n", append([]any{name}, values...)...)
	}
	perMinute := func(n int) float64 { return float64(n) / f.QuietSeconds * 60 }
	fmt.Fprintf(&b, "\n%d resources, %d of them with real flushers; %d ConfigMaps of 1 MB; %d cores, %.1f GiB; seed %d\n", f.Resources, f.Real, f.Large, f.Cores, f.MemoryGiB, f.Seed)
	fmt.Fprintln(&b, "from nothing")
	line("all are created after", "%.1f s", f.CreateSeconds)
	line("all are ready after", "%.1f s, for which the operator took %.1f s of processor time", f.ConvergeSeconds, f.ConvergeCPUSeconds)
	line("API requests", "%v", f.Converging)
	fmt.Fprintf(&b, "nothing changes, for %.0f s\n", f.QuietSeconds)
	line("API writes", "%.1f/min", perMinute(f.Quiet.Writes))
	line("  creates of what is there", "%.1f/min", perMinute(f.Quiet.Present))
	line("  recounts of past events", "%.1f/min", perMinute(f.Quiet.Recounts))
	line("  renewals of the Lease", "%.1f/min", perMinute(f.Quiet.Renewals))
	line("API reads", "%.1f/min", perMinute(f.Quiet.Reads))
	line("reconciles", "%.1f/min", f.PassesPerMinute)
	line("looks at flushers", "%.0f/min", f.PollsPerMinute)
	line("processor time", "%.1f s/min", f.CPUSecondsPerMinute)
	line("resident memory", "%.0f MiB, the most since the start %.0f MiB", f.ResidentMiB, f.PeakMiB)
	fmt.Fprintln(&b, "another operator takes over, and nothing is to be done")
	line("every flusher was asked after", "%.1f s", f.RestartSeconds)
	line("API requests", "%v", f.Restarting)
	line("resident memory", "at most %.0f MiB", f.RestartPeakMiB)
	fmt.Fprintln(&b, "a queue crosses a mark, until its resource's status says so")
	line("all flushers answer", "%v", f.DelayBefore)
	line(fmt.Sprintf("%d never answer, of the others", f.Silent), "%v", f.DelayWithSilent)
	fmt.Println(b.String())
}

// save writes the figures as JSON, if a file is given.
func (f *figures) save(t *testing.T, file string) {
	t.Helper()
	if file == "" {
		return
	}
	text, err := json.MarshalIndent(f, "", "  ")
	programs.Must(t, err)
	programs.Must(t, os.WriteFile(file, append(text, '\n'), 0o644))
}
