// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// atOnce makes a server begin a full resync without waiting for a second replica.
var atOnce = journaltest.Config("repl-diskless-sync-delay 0")

func settingsOf(server *journaltest.Server) config.RedisExternal {
	return config.RedisExternal{Addresses: []string{server.Addr()}}
}

func newLink(t *testing.T, settings config.RedisExternal) *Link {
	t.Helper()
	client := journal.Dial(settings, 2)
	t.Cleanup(func() { _ = client.Close() })
	return NewLink(settings, client)
}

// follower reads the stream of a server.
type follower struct {
	*Stream
	last Batch
}

func attach(t *testing.T, l *Link, id string, at Point) *follower {
	t.Helper()
	s, err := l.Attach(t.Context(), id, at)
	programs.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	s.Watch(Interest{Prefixes: []string{"k"}})
	return &follower{Stream: s, last: Batch{Safe: s.Start(), Read: s.Start().Offset}}
}

// upTo reads up to the offset, and returns the effects.
func (f *follower) upTo(t *testing.T, offset int64) []string {
	t.Helper()
	var all []string
	for f.last.Read < offset {
		batch, err := f.Next()
		programs.Must(t, err)
		for _, e := range batch.Effects {
			if e.Before.Offset >= e.Offset || e.Offset > batch.Read {
				t.Errorf("%s begins at %v and ends at %d, of what was read to %d", says(e), e.Before, e.Offset, batch.Read)
			}
			all = append(all, says(e))
		}
		batch.Effects = nil
		f.last = batch
	}
	return all
}

// now reads what the server has told so far.
func (f *follower) now(t *testing.T, client *redis.Client) []string {
	t.Helper()
	return f.upTo(t, offsetOf(t, client))
}

// infoNumber is a field of INFO that is a number, or -1 where it is not there.
func infoNumber(t *testing.T, client *redis.Client, pattern string) int64 {
	t.Helper()
	info, err := client.Info(t.Context(), "server", "replication").Result()
	programs.Must(t, err)
	match := regexp.MustCompile(pattern).FindStringSubmatch(info)
	if match == nil {
		return -1
	}
	n, err := strconv.ParseInt(match[1], 10, 64)
	programs.Must(t, err)
	return n
}

func offsetOf(t *testing.T, client *redis.Client) int64 {
	t.Helper()
	return infoNumber(t, client, `master_repl_offset:(\d+)`)
}

func run(t *testing.T, client *redis.Client, commands ...string) {
	t.Helper()
	for _, command := range commands {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := client.Do(t.Context(), words...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatalf("%.100s: %v", command, err)
		}
	}
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	programs.Must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
