// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs is the folder of those that are built, which TestMain makes and removes.
var programs string

// build builds one of the programs, once.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(programs, name)
	if _, err := os.Stat(program); err != nil {
		run(t, exec.CommandContext(t.Context(), "go", "build", "-o", program, root("cmd", name)))
	}
	return program
}

// process is a program that runs.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error

	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes what the program says.
func (p *process) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(data)
}

// log is all that it has said.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start runs a program until the test ends. When the test has failed, what it said
// is printed.
func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = p, p
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, command.Start())
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(command.Path), p.log())
		}
	})
	return p
}

// stop asks the program to end, and waits until it has.
func (p *process) stop(t *testing.T) {
	t.Helper()
	must(t, p.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		t.Errorf("the program ended with %v", exit)
	}
}
