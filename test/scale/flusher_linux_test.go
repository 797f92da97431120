// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/programs"
)

// addresses gives every Pod an address of its own. Every address in 127.0.0.0/8 is
// this machine.
type addresses struct {
	second int
	given  int
}

// newAddresses takes a second byte whose first address nobody serves at the
// flushers' port, so that two runs do not meet.
func newAddresses(t *testing.T) *addresses {
	t.Helper()
	var err error
	for second := 16; second < 240; second++ {
		a := &addresses{second: second}
		var listener net.Listener
		if listener, err = net.Listen("tcp", endpoint(a.next())); err == nil {
			t.Cleanup(func() { listener.Close() })
			return a
		}
	}
	t.Fatalf("somebody serves port %d of every address of this machine: %v", resources.FlusherPort, err)
	return nil
}

func (a *addresses) next() string {
	const lastBytes = 250
	ip := fmt.Sprintf("127.%d.%d.%d", a.second, a.given/lastBytes, 1+a.given%lastBytes)
	a.given++
	return ip
}

func endpoint(ip string) string { return net.JoinHostPort(ip, strconv.Itoa(resources.FlusherPort)) }

// played is a flusher that answers as one that runs the settings in its ConfigMap
// and finds everything right.
type played struct {
	polls atomic.Int64
	began time.Time

	mu       sync.Mutex
	settings *config.Config
	depth    int64
	silent   bool
}

// listen serves the flusher at its Pod's address until the test ends.
func (f *played) listen(t *testing.T, ip string) {
	t.Helper()
	f.began = time.Now()
	listener, err := net.Listen("tcp", endpoint(ip))
	programs.Must(t, err)
	server := &http.Server{Handler: f}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
}

// run takes new settings, as a flusher does whose file has changed.
func (f *played) run(settings *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settings = settings
}

// hold sets how many entries the first queue holds.
func (f *played) hold(depth int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.depth = depth
}

// silence makes it accept and never answer, or ends that.
func (f *played) silence(silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = silent
}

func (f *played) isSilent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent
}

func (f *played) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	f.mu.Lock()
	settings, depth, silent := f.settings, f.depth, f.silent
	f.mu.Unlock()
	switch {
	case silent:
		<-request.Context().Done()
		return
	case settings == nil:
		http.Error(response, "no settings yet", http.StatusServiceUnavailable)
		return
	}
	f.polls.Add(1)
	_ = json.NewEncoder(response).Encode(f.answer(settings, depth))
}

func (f *played) answer(settings *config.Config, depth int64) *config.Status {
	right := config.Check{OK: true}
	document := &config.Status{
		Instance: "played", Owner: settings.Owner, Revision: settings.Revision, ObservedTime: time.Now(),
		Redis: right, Database: right, Durability: config.Durability{Persistence: right, Eviction: right, Ledger: right}, Circuit: "closed",
	}
	for i, m := range settings.Mappings {
		q := config.QueueStatus{
			Name: m.Name, Journal: "journal-of-" + m.Name, State: config.StateOpen,
			Writes: 1200, Flushed: 1000, Coalesced: 200, LastFlushTime: f.began, Ready: right, Durable: right,
		}
		if i == 0 {
			q.Depth = depth
		}
		for p := range m.Partitions {
			q.Partitions = append(q.Partitions, p)
		}
		document.Queues = append(document.Queues, q)
	}
	return document
}

// startReal runs the flusher's program on a real Redis and a real PostgreSQL until the
// test ends, with the settings of its ConfigMap but for what only a Pod has: an address
// and mounted Secrets.
func startReal(t *testing.T, program, ip, urlFile string, settings *config.Config) {
	t.Helper()
	own := *settings
	own.ListenAddress, own.Database.Postgres.URLFile = endpoint(ip), urlFile
	text, err := own.Marshal()
	programs.Must(t, err)
	file := filepath.Join(t.TempDir(), "config.yaml")
	programs.Must(t, os.WriteFile(file, text, 0o600))
	programs.Run(t, exec.Command(program, "--config", file)).KeepLast(mostSaid)
}
