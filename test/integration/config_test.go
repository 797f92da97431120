// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// TestABackupOfTheConfigMovedInPlaceTakesEffect: what the flusher says is in force
// must be what the capture functions do, whatever the file's modification time.
func TestABackupOfTheConfigMovedInPlaceTakesEffect(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Suspend = true
	s.write()
	p := s.startReady()
	s.config.Backpressure.MaxQueueDepth = 7
	data, err := s.config.Marshal()
	s.must(err)
	s.must(os.WriteFile(s.file+".backup", data, 0o600))
	old := time.Now().Add(-24 * time.Hour)
	s.must(os.Chtimes(s.file+".backup", old, old))
	s.must(os.Rename(s.file+".backup", s.file))
	s.eventually("the capture functions have the settings", func() error {
		status, stats := s.status(p), s.stats()
		if stats.Max != 7 || stats.Revision != status.Revision {
			return fmt.Errorf("status is %+v, stats are %+v", status, stats)
		}
		return nil
	})
}

func TestABusyListenAddressLeavesTheLastGoodConfigInForce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	s.must(err)
	defer busy.Close()
	s.config.ListenAddress = busy.Addr().String()
	s.write()
	s.eventually("the problem is in the log", func() error {
		for line := range strings.Lines(p.Said()) {
			if strings.Contains(line, "last good one stays in force") && strings.Contains(line, "address already in use") {
				return nil
			}
		}
		return fmt.Errorf("the log is %s", p.Said())
	})
	if code, body := s.get(p, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz answers %d: %s", code, body)
	}
	s.set(1, `{"name":"on","price":1,"stock":1}`)
	s.eventuallyRow(1, "on|1.00|1")
	busy.Close()
	p.Address = s.config.ListenAddress
	s.config.Flush.BatchSize++
	s.write()
	s.eventually("it moves with the next change, now that the address is free", func() error {
		if code, body := s.get(p, "/readyz"); code != http.StatusOK {
			return fmt.Errorf("readyz answers %d: %s", code, body)
		}
		return nil
	})
	if code := s.stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestTheListenerOutlivesAFlusherThatStartsAnew: with port 0 another listener would
// have another port.
func TestTheListenerOutlivesAFlusherThatStartsAnew(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	before := s.status(p).Instance
	s.db.Exec(t, "CREATE TABLE others (LIKE products INCLUDING ALL)")
	s.config.Mappings[0].Table = "public.others"
	s.write()
	// Until it has ended, the flusher before flushes to the table before.
	s.eventually("the new flusher shows itself at the same address", func() error {
		now := s.status(p).Instance
		if code, body := s.get(p, "/readyz"); now == "" || now == before || code != http.StatusOK {
			return fmt.Errorf("flusher %s follows %s, readyz answers %s", now, before, body)
		}
		return nil
	})
	s.set(1, `{"name":"other","price":1,"stock":1}`)
	s.eventually("it flushes to the other table", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM others"); got != "1" {
			return fmt.Errorf("%s rows", got)
		}
		return nil
	})
	if n := strings.Count(p.Said(), "Serving metrics"); n != 1 {
		t.Errorf("it has begun to serve %d times, want once", n)
	}
}

func TestLiveSettingsNeedNoRestart(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.config.Owner, s.config.Revision = "resource", 1
	s.write()
	p := s.startReady()
	s.set(1, `{"name":"waits","price":1,"stock":1}`)
	s.config.Flush.IntervalMilliseconds = 50
	s.config.Backpressure.MaxQueueDepth = 7
	s.config.Revision = 2
	s.write()
	s.eventuallyRow(1, "waits|1.00|1")
	s.eventually("the settings are in force", func() error {
		if status, stats := s.status(p), s.stats(); status.Revision != 2 || status.Owner != "resource" || stats.Max != 7 || stats.Revision != 2 {
			return fmt.Errorf("status is %+v, stats are %+v", status, stats)
		}
		return nil
	})
	s.suspend(p)
	s.set(2, `{"name":"suspended","price":1,"stock":1}`)
	s.config.Suspend, s.config.Draining, s.config.Revision = false, true, 4
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.write()
	s.eventuallyRow(2, "suspended|1.00|1")
	err := s.rdb.FCall(t.Context(), "wb_set", []string{"product:3"}, "products", "{}").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WBPAUSED ") {
		t.Errorf("a write while draining answers %v", err)
	}
	if strings.Contains(p.Said(), "the flusher restarts") {
		t.Error("live settings have made the flusher start anew")
	}
}

func TestAChangedMappingMakesTheFlusherStartAnew(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, "CREATE TABLE items (id text PRIMARY KEY, document jsonb)")
	p := s.startReady()
	s.set(1, `{"name":"one","price":1,"stock":1}`)
	items := config.DefaultMapping()
	items.Name, items.KeyPrefix, items.Table, items.KeyColumn = "items", "item:", "public.items", "id"
	items.Columns = []config.Column{{Field: "$", Column: "document"}}
	s.config.Mappings = append(s.config.Mappings, items)
	s.write()
	s.eventually("the new queue takes writes", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"item:a/b"}, "items", `{"any": ["thing"]}`).Err()
	})
	s.eventually("the document arrives", func() error {
		if got := s.db.Value(t, `SELECT document->'any'->>0 FROM items WHERE id = 'a/b'`); got != "thing" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	s.eventuallyRow(1, "one|1.00|1")
	if !p.Running() {
		t.Error("the process has ended")
	}
}

func TestAnUnusableConfigIsOneLineAndExitCode2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, c := range map[string]struct {
		args []string
		text string
		want string
	}{
		"no file":       {[]string{"--config", dir + "/none"}, "", "no such file"},
		"no flag":       {nil, "", "--config"},
		"unknown flag":  {[]string{"--fast"}, "", "--fast"},
		"bad value":     {[]string{"--config", dir + "/bad"}, "flush: {batchSize: 0}", "flush.batchSize"},
		"unknown field": {[]string{"--config", dir + "/bad"}, "flushes: {}", "flushes"},
		"no such port":  {[]string{"--config", dir + "/bad"}, "listenAddress: 127.0.0.1:99999", "0 to 65535"},
		"a busy port":   {[]string{"--config", dir + "/bad"}, "listenAddress: " + busy.Addr().String(), "address already in use"},
		"bad log":       {[]string{"--config", dir + "/bad", "--log-format", "xml"}, "", "json or text"},
		"argument":      {[]string{"now"}, "", "now"},
	} {
		t.Run(name, func(t *testing.T) {
			document := "redis: {external: {addresses: ['127.0.0.1:1']}}\ndatabase: {postgres: {urlFile: /x}}\n" +
				"mappings: [{name: p, keyPrefix: 'p:', table: t, keyColumn: k}]\n" + c.text
			if err := os.WriteFile(filepath.Join(dir, "bad"), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			command := exec.CommandContext(ctx, program, c.args...)
			output, err := command.CombinedOutput()
			text := strings.TrimSpace(string(output))
			if command.ProcessState.ExitCode() != 2 || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 0 {
				t.Errorf("exit %d, %v, output:\n%s\nwant exit 2 and one line with %q", command.ProcessState.ExitCode(), err, text, c.want)
			}
		})
	}
}
