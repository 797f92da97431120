// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is short against the second or so that a component takes to come up.
const pollInterval = 100 * time.Millisecond

// process is a recorded process. The kernel reuses ids, so an id names a process only together with the
// time at which it started.
type process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, as in /proc/PID/stat
	Log   string `json:"log,omitempty"`
}

func (p process) alive() bool {
	start, running := processStart(p.PID)
	return running && start == p.Start
}

// kill ends the process if it is still the one that was recorded.
func (p process) kill() {
	if p.alive() {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

// processStart reads when a process started, and whether it still runs: a zombie does not.
func processStart(pid int) (uint64, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field is the name in parentheses, which may itself hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const stateField, startField = 0, 19
	if len(fields) <= startField || fields[stateField] == "Z" || fields[stateField] == "X" {
		return 0, false
	}
	start, err := strconv.ParseUint(fields[startField], 10, 64)
	return start, err == nil
}

// component is a process that this command started and watches while the cluster comes up.
type component struct {
	process
	exited chan struct{}
	err    error // set before exited is closed
}

// start runs a component in the node's namespaces, with its output in a log of its own, and records it.
// It outlives this command: ending it is `down`'s task.
func (c *cluster) start(name string, argv ...string) (*component, error) {
	holder, err := c.holder()
	if err != nil {
		return nil, err
	}
	return c.spawn(name, nsenter(holder, argv...), nil)
}

func (c *cluster) spawn(name string, argv []string, attributes *syscall.SysProcAttr) (*component, error) {
	log, err := os.Create(c.path("logs", name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if attributes == nil {
		attributes = &syscall.SysProcAttr{}
	}
	// A session of its own keeps a Ctrl-C in the terminal away from the components.
	attributes.Setsid = true
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives this command and its context
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + systemPath, "HOME=" + c.dir}
	cmd.SysProcAttr = attributes
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	start, _ := processStart(cmd.Process.Pid)
	started := &component{
		process: process{Name: name, PID: cmd.Process.Pid, Start: start, Log: log.Name()},
		exited:  make(chan struct{}),
	}
	go func() {
		if started.err = cmd.Wait(); started.err == nil {
			started.err = errors.New("exit status 0")
		}
		close(started.exited)
	}()
	c.state.Processes = append(c.state.Processes, started.process)
	return started, c.save()
}

// systemPath is the PATH of the components, whoever starts them.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// await polls until the probe succeeds. It fails at once when the component ends, and says what its log
// ended with.
func (p *component) await(ctx context.Context, probe func(context.Context) error) error {
	err := poll(ctx, startupTimeout, p.exited, probe)
	if err == nil || errors.Is(err, errInterrupted) {
		return err
	}
	content, _ := os.ReadFile(p.Log)
	if errors.Is(err, errEnded) {
		err = fmt.Errorf("%s ended: %w", p.Name, p.err)
	} else {
		err = fmt.Errorf("%s did not come up: %w", p.Name, err)
	}
	return fmt.Errorf("%w; its log is %s and ends with:\n%s", err, p.Log, lastLines(content, 12))
}

// startupTimeout is generous: a component needs one to five seconds on two idle cores, and the cores may
// be busy with a build.
const startupTimeout = 2 * time.Minute

var (
	errEnded       = errors.New("the process ended")
	errInterrupted = errors.New("interrupted")
)

// poll runs the probe until it succeeds, the time is over, or ended is closed.
func poll(ctx context.Context, timeout time.Duration, ended <-chan struct{}, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errInterrupted
			}
			return fmt.Errorf("after %s: %w", shortDuration(timeout), err)
		case <-ticker.C:
		}
	}
}

// run runs a short command and takes its output into the error.
func run(ctx context.Context, argv ...string) error {
	output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, lastLines(output, 3))
	}
	return nil
}

func lastLines(text []byte, count int) string {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
