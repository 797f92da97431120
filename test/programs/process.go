// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a program that was started. Its methods may be called from several
// goroutines.
type Process struct {
	command *exec.Cmd
	output  output
	ended   chan struct{}
	err     error
}

// Start starts a program that cannot outlive this process, even one that is killed,
// and that an interrupt from the keyboard does not reach. What it says is kept, unless
// the command already names who takes it.
//
// The kernel ends a child when the *thread* that started it ends, not the process; so
// one thread is kept for each child, and waits for it.
func Start(command *exec.Cmd) (*Process, error) {
	p := &Process{command: command, ended: make(chan struct{})}
	if command.Stdout == nil && command.Stderr == nil {
		command.Stdout, command.Stderr = &p.output, &p.output
	}
	command.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			p.err = command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Run runs a program until the test ends. The test fails if the race detector found anything
// in it. When the test has failed, what the program said is printed.
func Run(t testing.TB, command *exec.Cmd) *Process {
	t.Helper()
	p, err := Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if strings.Contains(p.Said(), "WARNING: DATA RACE") {
			t.Errorf("%s %d has a data race", p.name(), p.PID())
		}
		if t.Failed() {
			t.Logf("%s %d said:\n%s", p.name(), p.PID(), p.Said())
		}
	})
	return p
}

func (p *Process) name() string { return filepath.Base(p.command.Path) }

// PID is the process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Said is all that the program has said so far, or the end of it after KeepLast.
func (p *Process) Said() string { return p.output.String() }

// KeepLast bounds what is kept of what the program says to so many bytes at the end.
func (p *Process) KeepLast(bytes int) { p.output.keepLast(bytes) }

// Ended is closed when the process has ended and all that it said is kept.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err is how the process ended, as exec.Cmd.Wait tells it. It is to be asked for after
// Ended.
func (p *Process) Err() error { return p.err }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends a signal. One that comes too late is of no interest.
func (p *Process) Signal(signal syscall.Signal) { _ = p.command.Process.Signal(signal) }

// Kill ends the process at once and waits until it has ended.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop asks the process to end, waits until it has, and returns its exit code. The
// test fails if it had ended by itself, or does not end in time.
func (p *Process) Stop(t testing.TB, within time.Duration) int {
	t.Helper()
	if !p.Running() {
		t.Fatalf("%s was to be stopped and has ended by itself (%v)", p.name(), p.Err())
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s does not end within %v of being asked to", p.name(), within)
	}
	return p.command.ProcessState.ExitCode()
}
