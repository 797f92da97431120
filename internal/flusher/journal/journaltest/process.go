// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"io"
	"os/exec"
	"runtime"
	"syscall"
)

// process is one run of the server program.
type process struct {
	cmd    *exec.Cmd
	pid    int
	exited chan struct{}
	// err is how it ended; to be read after exited is closed.
	err error
}

// startProcess starts the server so that it cannot outlive this process, even
// one that is killed. The kernel sends the parent's death signal when the
// *thread* that started the child ends, not the process; so one thread is kept
// for each child, and waits for it.
func startProcess(binary, config, dir string, output io.Writer) (*process, error) {
	p := &process{cmd: exec.Command(binary, config), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout = output
	p.cmd.Stderr = output
	p.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		if err == nil {
			p.pid = p.cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.exited)
		}
	}()
	return p, <-started
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal; one that comes too late is of no interest.
func (p *process) signal(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
}
