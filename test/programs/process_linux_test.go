// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestAProgramOutlivesTheThreadThatAskedForIt: the kernel would end it together with
// the thread.
func TestAProgramOutlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	command := script("read line; echo $line")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	asked, thread := make(chan *Process), 0
	var ask func()
	ask = func() {
		runtime.LockOSThread()
		if thread = syscall.Gettid(); thread == os.Getpid() {
			// The first thread never ends; while it is taken there is another.
			defer runtime.UnlockOSThread()
			ended := make(chan struct{})
			go func() { defer close(ended); ask() }()
			<-ended
			return
		}
		// The thread ends with the goroutine, since it is never unlocked.
		p, err := Start(command)
		if err != nil {
			t.Error(err)
		}
		asked <- p
	}
	go ask()
	p := <-asked
	if p == nil {
		return
	}
	defer p.Kill()
	Usual.Eventually(t, "the thread is gone", func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("thread %d is there", thread)
		}
		return nil
	})
	if _, err := fmt.Fprintln(input, "alive"); err != nil {
		t.Error(err)
	}
	<-p.Ended()
	if err := said(p, "alive\n"); err != nil {
		t.Errorf("%v, and ended with %v", err, p.Err())
	}
}

// childVariable turns a run of the test binary into a process that starts a program,
// says its process id and waits to be killed.
const childVariable = "PROGRAMS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	p, err := Start(exec.Command("cat", os.Getenv(childVariable)))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	select {}
}

func TestAProgramEndsWithAKilledTest(t *testing.T) {
	t.Parallel()
	// Whoever reads a pipe without a writer waits.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+pipe)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !alive(pid) {
		t.Errorf("the child says %q, and alive is %v", line, alive(pid))
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	Usual.Eventually(t, "the program is gone", func() error {
		if alive(pid) {
			return fmt.Errorf("process %d has outlived the one that started it", pid)
		}
		return nil
	})
}

// alive reports whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
