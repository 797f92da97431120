// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/programs"
)

// flusher is a place for one flusher process: its config file, its ways to the
// servers, and the process that runs there now.
type flusher struct {
	number     int
	file       string
	toRedis    *toxiproxy.Proxy
	toPostgres *toxiproxy.Proxy
	findings   *findings
	// logs is a folder for whole logs; empty keeps none.
	logs string

	mu      sync.Mutex
	running *run
	started int
}

// run is one process.
type run struct {
	*programs.Process
	log *log
	// judged is closed when the process has ended and over has looked at how.
	judged chan struct{}
	// told means that the process was made to end.
	told bool
}

// start runs a process until it is told to end.
func (f *flusher) start() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		return nil
	}
	f.started++
	r := &run{log: &log{}, judged: make(chan struct{})}
	if f.logs != "" {
		file, err := os.Create(filepath.Join(f.logs, fmt.Sprintf("flusher-%d-%d.log", f.number, f.started)))
		if err != nil {
			return err
		}
		r.log.file = file
	}
	command := exec.Command(program, "--config", f.file, "--debug")
	command.Stderr, command.Stdout = r.log, r.log
	var err error
	if r.Process, err = programs.Start(command); err != nil {
		return fmt.Errorf("start flusher %d: %w", f.number, err)
	}
	go func() {
		<-r.Ended()
		f.over(r)
		close(r.judged)
	}()
	f.running = r
	return nil
}

// over judges the end of a process.
func (f *flusher) over(r *run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == r {
		f.running = nil
	}
	if !r.told {
		f.findings.add(process, "flusher %d ended by itself: %v; its log ends:\n%s", f.number, r.Err(), r.log.end())
	}
	if bad := r.log.bad(); bad != "" {
		f.findings.add(process, "flusher %d says %s", f.number, bad)
	}
	if r.log.file != nil {
		_ = r.log.file.Close()
	}
}

// tell sends a signal that is meant to end the process, if there is one.
func (f *flusher) tell(signal syscall.Signal) *run {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.running
	if r != nil {
		r.told = true
		// A stopped process would not see the signal.
		r.Signal(syscall.SIGCONT)
		r.Signal(signal)
	}
	return r
}

func (f *flusher) kill() {
	if r := f.tell(syscall.SIGKILL); r != nil {
		<-r.judged
	}
}

// graceTime bounds how long a flusher takes to end after SIGTERM: the grace period,
// and what the slowest server call takes.
const graceTime = time.Minute

// begun waits until the process that is there serves. Before that it has no ear for
// signals: one that was only just started ends as any program does.
func (f *flusher) begun() {
	f.mu.Lock()
	r := f.running
	f.mu.Unlock()
	if r == nil {
		return
	}
	// One that never serves is told to end all the same, and judged by how it does.
	_ = await(context.Background(), graceTime, func(context.Context) error {
		select {
		case <-r.judged:
			return nil
		default:
		}
		if r.log.address() == "" {
			return errNotRunning
		}
		return nil
	})
}

// leave asks the process to end and waits until it has, with exit code 0.
func (f *flusher) leave() {
	f.begun()
	r := f.tell(syscall.SIGTERM)
	if r == nil {
		return
	}
	timer := time.NewTimer(graceTime)
	defer timer.Stop()
	select {
	case <-r.judged:
		if r.Err() != nil {
			f.findings.add(process, "flusher %d was asked to end and said %v; its log ends:\n%s", f.number, r.Err(), r.log.end())
		}
	case <-timer.C:
		f.findings.add(process, "flusher %d does not end after SIGTERM; its log ends:\n%s", f.number, r.log.end())
		f.kill()
	}
}

// signal sends a signal that is not meant to end the process.
func (f *flusher) signal(signal syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		f.running.Signal(signal)
	}
}

var errNotRunning = errors.New("the flusher does not run")

// status asks the flusher what it knows.
func (f *flusher) status(ctx context.Context) (*config.Status, error) {
	f.mu.Lock()
	r := f.running
	f.mu.Unlock()
	if r == nil {
		return nil, errNotRunning
	}
	address := r.log.address()
	if address == "" {
		return nil, errNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var status config.Status
	return &status, json.Unmarshal(body, &status)
}

// logEnd is how much of the end of a log is kept for messages.
const logEnd = 8 << 10

// log reads what a process writes: where it listens, and whether it is broken.
type log struct {
	mu       sync.Mutex
	file     *os.File
	text     []byte
	line     []byte
	listens  string
	badLines []string
	// more counts lines after a bad one that belong to it.
	more int
}

func (l *log) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if _, err := l.file.Write(data); err != nil {
			return 0, err
		}
	}
	l.text = append(l.text, data...)
	if over := len(l.text) - logEnd; over > logEnd {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	l.line = append(l.line, data...)
	for {
		line, rest, found := bytes.Cut(l.line, []byte("\n"))
		if !found {
			break
		}
		l.look(line)
		l.line = append(l.line[:0], rest...)
	}
	return len(data), nil
}

func (l *log) look(line []byte) {
	if l.listens == "" {
		l.listens = programs.ServingAddress(line)
	}
	for _, word := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if bytes.HasPrefix(line, []byte(word)) {
			l.more = 30
		}
	}
	if l.more > 0 && len(l.badLines) < 100 {
		l.more--
		l.badLines = append(l.badLines, string(line))
	}
}

func (l *log) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listens
}

func (l *log) bad() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.badLines, "\n")
}

func (l *log) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
