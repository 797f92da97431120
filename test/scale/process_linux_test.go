// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/test/programs"
)

// mostSaid is how much of the operator's log is kept for whoever looks into a failure:
// with many resources the whole is more than anybody reads.
const mostSaid = 4 << 10

// manager is the operator's program.
type manager struct {
	*programs.Process
	metrics string
}

// startManager runs the operator as its manifest does, but for the addresses.
func (w *world) startManager(t *testing.T) *manager {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	programs.Must(t, os.WriteFile(kubeconfig, w.kubeconfig, 0o600))
	m := &manager{metrics: programs.FreeAddress(t)}
	command := exec.Command(filepath.Join(w.programs, "manager"),
		"--kubeconfig="+kubeconfig, "--leader-elect", "--leader-election-namespace="+operatorNamespace,
		"--metrics-bind-address="+m.metrics, "--metrics-secure=false", "--health-probe-bind-address=0",
		"--flusher-image=operator.test/writebehind:1")
	command.Env = append(os.Environ(), deployedEnvironment(t)...)
	m.Process = programs.Run(t, command)
	m.KeepLast(mostSaid)
	return m
}

// reconciles is how many passes the operator has made.
func (m *manager) reconciles(t *testing.T) float64 {
	t.Helper()
	response, err := http.Get("http://" + m.metrics + "/metrics")
	programs.Must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	programs.Must(t, err)
	total, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "controller_runtime_reconcile_total{") {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			programs.Must(t, err)
			total, found = total+n, true
		}
	}
	if !found {
		t.Fatal("the operator's metrics do not count its passes")
	}
	return total
}

// usage is what a process takes of the machine.
type usage struct {
	cpu time.Duration
	// resident and peak are in bytes.
	resident, peak int64
}

// clockTick is the unit of the times in /proc, the same on every architecture.
const clockTick = 10 * time.Millisecond

func (m *manager) usage(t *testing.T) usage {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(m.PID()))
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	programs.Must(t, err)
	// The name, in parentheses, may hold anything; user and system time are the
	// twelfth and the thirteenth field behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var u usage
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		programs.Must(t, err)
		u.cpu += time.Duration(ticks) * clockTick
	}
	text, err = os.ReadFile(filepath.Join(dir, "status"))
	programs.Must(t, err)
	u.resident, err = kilobytes(text, "VmRSS:")
	programs.Must(t, err)
	u.peak, err = kilobytes(text, "VmHWM:")
	programs.Must(t, err)
	return u
}

// kilobytes reads one line of a file in /proc.
func kilobytes(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}
