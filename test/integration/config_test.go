// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
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
	s.eventually("it moves when the address is free", func() error {
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
	s.db.Exec(t, "CREATE TABLE others (LIKE products INCLUDING ALL)")
	s.config.Mappings[0].Table = "public.others"
	s.write()
	s.eventually("the new flusher shows itself at the same address", func() error {
		_, body := s.get(p, "/readyz")
		if !strings.Contains(p.Said(), "starts anew") || !strings.Contains(body, `"ok": true`) {
			return fmt.Errorf("readyz answers %s", body)
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

// TestAListenAddressMayOverlapTheOneBefore: the flusher itself holds the port that
// it is to listen on.
func TestAListenAddressMayOverlapTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	_, port, err := net.SplitHostPort(p.Address)
	s.must(err)
	s.config.ListenAddress = ":" + port
	s.write()
	s.eventually("it listens on every address", func() error {
		code, body := s.get(p, "/readyz")
		if strings.Count(p.Said(), "Serving metrics") != 2 || code != http.StatusOK {
			return fmt.Errorf("readyz answers %d: %s", code, body)
		}
		return nil
	})
}
