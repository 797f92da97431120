// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs are the two that are built here.
type programs struct {
	dir   string
	built chan error
}

// buildPrograms begins to build both.
func buildPrograms(t *testing.T) *programs {
	t.Helper()
	p := &programs{dir: t.TempDir(), built: make(chan error, 1)}
	command := exec.CommandContext(t.Context(), "go", "build", "-o", p.dir, root("cmd", "manager"), root("cmd", "flusher"))
	go func() {
		said, err := command.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build the programs: %w\n%s", err, said)
		}
		p.built <- err
	}()
	return p
}

// wait ends when both are there.
func (p *programs) wait(t *testing.T) {
	t.Helper()
	must(t, <-p.built)
}

func (p *programs) path(name string) string { return filepath.Join(p.dir, name) }

// process is a program that runs.
type process struct {
	command *exec.Cmd
	ended   chan struct{}

	mu   sync.Mutex
	said bytes.Buffer
}

// mostSaid is how much of a program's log is kept for whoever looks into a failure.
const mostSaid = 4 << 10

// Write takes what the program says.
func (p *process) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if excess := p.said.Len() + len(data) - mostSaid; excess > 0 {
		p.said.Next(excess)
	}
	return p.said.Write(data)
}

// start runs a program until the test ends, and no longer whatever ends the test.
func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = p, p
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	must(t, command.Start())
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s said at last:\n%s", filepath.Base(command.Path), p.said.String())
		}
	})
	return p
}

// manager is the operator's program.
type manager struct {
	*process
	metrics string
}

// startManager runs the operator as its manifest does, but for the addresses.
func (w *world) startManager(t *testing.T) *manager {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, w.kubeconfig, 0o600))
	m := &manager{metrics: freeAddress(t)}
	command := exec.Command(w.programs.path("manager"),
		"--kubeconfig="+kubeconfig, "--leader-elect", "--leader-election-namespace="+operatorNamespace,
		"--metrics-bind-address="+m.metrics, "--metrics-secure=false", "--health-probe-bind-address=0",
		"--flusher-image=operator.test/writebehind:1")
	command.Env = append(os.Environ(), deployedEnvironment(t)...)
	m.process = start(t, command)
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// stop asks the operator to end, and waits until it has.
func (m *manager) stop(t *testing.T) {
	t.Helper()
	must(t, m.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-m.ended:
	case <-time.After(patience):
		t.Fatal("the operator does not end")
	}
}

// reconciles is how many passes the operator has made.
func (m *manager) reconciles(t *testing.T) float64 {
	t.Helper()
	response, err := http.Get("http://" + m.metrics + "/metrics")
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	total, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "controller_runtime_reconcile_total{") {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			must(t, err)
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

func (p *process) usage(t *testing.T) usage {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid))
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	must(t, err)
	// The name, in parentheses, may hold anything; user and system time are the
	// twelfth and the thirteenth field behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var u usage
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		must(t, err)
		u.cpu += time.Duration(ticks) * clockTick
	}
	text, err = os.ReadFile(filepath.Join(dir, "status"))
	must(t, err)
	u.resident, err = kilobytes(text, "VmRSS:")
	must(t, err)
	u.peak, err = kilobytes(text, "VmHWM:")
	must(t, err)
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
