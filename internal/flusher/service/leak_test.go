// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/programs"
)

// sharedServer waits for the end of the PostgreSQL that all tests share, which ends
// with the process.
const sharedServer = "github.com/writebehind/operator/internal/flusher/postgres/postgrestest.(*Server).launch.func1"

// awayServer is what the Redis client leaves for a second when it is closed while a server
// or Sentinel is away.
const awayServer = "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"

// TestMain makes sure that nothing which was started goes on after it was stopped.
func TestMain(m *testing.M) {
	journal.Quiet()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(sharedServer), goleak.IgnoreAnyFunction(awayServer))
}

// served runs a flusher until it says of itself what is expected, stops it, and
// waits for its end.
func served(t *testing.T, file, address, path, want string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, file, flusher.Options{}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve ends with %v", err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() string {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(response.StatusCode, " ", string(body))
	}
	programs.Usual.Eventually(t, path, func() error {
		if answer := ask(); !strings.Contains(answer, want) {
			return fmt.Errorf("it does not tell %q but %s", want, answer)
		}
		return nil
	})
}

// TestTenStartsAndEndsLeaveNothingRunning starts and stops the whole flusher while
// its servers are well, and while one of them is away.
func TestTenStartsAndEndsLeaveNothingRunning(t *testing.T) {
	nobody := programs.FreeAddress(t)
	redis, db := journaltest.New(t), postgrestest.New(t)
	db.Exec(t, "CREATE TABLE items (id bigint PRIMARY KEY, name text)")
	c := config.Default()
	c.ListenAddress = nobody
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "items", "item:", "items", "id"
	c.Mappings = []config.Mapping{m}
	for name, world := range map[string]struct {
		redis, url string
		path, want string
	}{
		"both are well":      {redis.Addr(), db.URL(), "/readyz", "200 "},
		"Redis is away":      {"127.0.0.1:1", db.URL(), "/readyz", "Redis cannot be reached"},
		"PostgreSQL is away": {redis.Addr(), "postgres://x:y@127.0.0.1:1/z", "/readyz", "ConnectionFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			c.Redis.External.Addresses = []string{world.redis}
			c.Database.Postgres.URLFile = postgrestest.WriteURL(t, world.url)
			data, err := c.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			before := goleak.IgnoreCurrent()
			for range 10 {
				served(t, file, nobody, world.path, world.want)
			}
			// A Redis client that was closed while it could not connect notices so
			// within a second.
			programs.Usual.Eventually(t, "nothing is left running", func() error { return goleak.Find(before) })
		})
	}
}
