// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// redisFailure is a way of Redis to fail that loses nothing.
type redisFailure struct {
	options      []journaltest.Option
	broken, mend func(*stack)
	reason       string
	message      string
}

const (
	rotated   = "the new password"
	firstPass = "the first password"
)

var redisFailures = map[string]redisFailure{
	"it restarts with its append-only file": {
		options: []journaltest.Option{journalAlways},
		broken:  func(s *stack) { s.redis.MustKill(s.t) },
		mend:    func(s *stack) { s.redis.MustRestart(s.t) },
		reason:  "ConnectionFailed", message: "refused",
	},
	"it does not answer": {
		broken: func(s *stack) { s.redis.Pause() },
		mend:   func(s *stack) { s.redis.Resume() },
		reason: "ConnectionFailed", message: "in time",
	},
	"it is a replica by now": {
		// Of a primary that nobody reaches, so that it keeps its data.
		broken: func(s *stack) { s.must(s.rdb.ReplicaOf(s.t.Context(), "127.0.0.1", "1").Err()) },
		mend:   func(s *stack) { s.must(s.rdb.ReplicaOf(s.t.Context(), "NO", "ONE").Err()) },
		reason: "ReadOnlyReplica", message: "primary",
	},
	"it cannot save": {
		options: []journaltest.Option{journaltest.Config("enable-protected-configs yes", "save 3600 1")},
		broken: func(s *stack) {
			s.must(s.rdb.ConfigSet(s.t.Context(), "dir", "/proc").Err())
			s.save("err")
		},
		mend: func(s *stack) {
			s.must(s.rdb.ConfigSet(s.t.Context(), "dir", s.redis.Dir()).Err())
			s.save("ok")
		},
		reason: "PersistenceFailing", message: "cannot persist",
	},
	"it is loading": {
		// 20 ms a key, for 20 s unless the test has seen it before.
		options: []journaltest.Option{journaltest.Config("key-load-delay 20000", "loading-process-events-interval-bytes 1024")},
		broken: func(s *stack) {
			s.must(s.rdb.Eval(s.t.Context(), "for key = 1, 1000 do redis.call('SET', 'other:' .. key, string.rep(math.random(), 10)) end return 1", nil).Err())
			// Nothing is written between the snapshot and the end, which would be lost.
			s.must(s.rdb.Do(s.t.Context(), "CLIENT", "PAUSE", "600000", "WRITE").Err())
			s.must(s.rdb.Save(s.t.Context()).Err())
			s.redis.MustKill(s.t)
			go func() { _ = s.redis.Restart(context.WithoutCancel(s.t.Context())) }()
		},
		mend:   func(s *stack) { s.must(s.rdb.ConfigSet(s.t.Context(), "key-load-delay", "0").Err()) },
		reason: "ConnectionFailed", message: "loading its data",
	},
	"it is busy with a script": {
		options: []journaltest.Option{journaltest.Config("busy-reply-threshold 50")},
		broken: func(s *stack) {
			// Sent once, however long it takes.
			options := s.redis.Options()
			options.MaxRetries, options.ReadTimeout = -1, -1
			go s.redis.ClientWith(s.t, options).Eval(context.WithoutCancel(s.t.Context()), "while true do end", nil)
		},
		mend:   func(s *stack) { s.must(s.rdb.ScriptKill(s.t.Context()).Err()) },
		reason: "ConnectionFailed", message: "SCRIPT KILL",
	},
	"its password is rotated": {
		options: []journaltest.Option{journaltest.Password(firstPass)},
		broken: func(s *stack) {
			s.must(s.rdb.ConfigSet(s.t.Context(), "requirepass", rotated).Err())
			options := s.redis.Options()
			options.Password = rotated
			s.rdb = s.redis.ClientWith(s.t, options)
			// Connections that are there stay authenticated.
			s.must(s.rdb.Do(s.t.Context(), "CLIENT", "KILL", "TYPE", "normal").Err())
		},
		mend: func(s *stack) {
			path := s.config.Redis.External.PasswordFile
			s.must(programs.PutFile(path, []byte(rotated)))
		},
		reason: "AuthenticationFailed", message: "password",
	},
	"its user lacks a right": {
		broken: func(s *stack) { s.must(s.rdb.Do(s.t.Context(), "ACL", "SETUSER", "default", "-fcall").Err()) },
		mend:   func(s *stack) { s.must(s.rdb.Do(s.t.Context(), "ACL", "SETUSER", "default", "+@all").Err()) },
		reason: "PrivilegeMissing", message: "lacks a right",
	},
}

// save makes Redis write a snapshot and waits for the outcome.
func (s *stack) save(outcome string) {
	s.t.Helper()
	s.must(s.rdb.BgSave(s.t.Context()).Err())
	s.eventually("the snapshot is "+outcome, func() error {
		info := s.rdb.Info(s.t.Context(), "persistence").Val()
		if !strings.Contains(info, "rdb_last_bgsave_status:"+outcome) || !strings.Contains(info, "rdb_bgsave_in_progress:0") {
			return errors.New(info)
		}
		return nil
	})
}

// redisIs waits until status and readiness say of Redis what they should.
func (s *stack) redisIs(p *programs.Flusher, reason, message string) {
	s.t.Helper()
	s.eventually("the trouble with Redis is named", func() error {
		if check := s.status(p).Redis; check.OK || check.Reason != reason || !strings.Contains(check.Message, message) {
			return fmt.Errorf("check is %+v", check)
		}
		if code, body := s.get(p, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
			return fmt.Errorf("readyz answers %d %s", code, body)
		}
		return nil
	})
	if code, _ := s.get(p, "/healthz"); code != http.StatusOK {
		s.t.Errorf("healthz answers %d: a restart would not help", code)
	}
}

func (s *stack) heals(p *programs.Flusher) {
	s.t.Helper()
	s.eventually("it heals", func() error {
		if code, body := s.get(p, "/readyz"); code != http.StatusOK {
			return fmt.Errorf("readyz answers %d %s", code, body)
		}
		return nil
	})
}

// setAll writes count keys from first.
func (s *stack) setAll(first, count, stock int64) {
	s.t.Helper()
	for id := first; id < first+count; id++ {
		s.set(id, document(stock))
	}
}

// hold makes entries wait, release flushes them.
func (s *stack) hold() { s.every(3_600_000) }

func (s *stack) release() { s.every(usualInterval) }

func (s *stack) every(milliseconds int) {
	s.t.Helper()
	s.config.Flush.IntervalMilliseconds = milliseconds
	s.config.Revision++
	s.write()
}

func (s *stack) count(stock int64, want int64) {
	s.t.Helper()
	if got := s.db.Value(s.t, "SELECT count(*) FROM products WHERE stock = $1", stock); got != fmt.Sprint(want) {
		s.t.Errorf("%s rows with stock %d, want %d", got, stock, want)
	}
}

// TestFailuresOfRedisAreNamedAndHealWithoutLoss has entries wait through every
// failure, and a flusher that is never restarted.
func TestFailuresOfRedisAreNamedAndHealWithoutLoss(t *testing.T) {
	t.Parallel()
	for name, failure := range redisFailures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, failure.options...)
			s.config.Redis.External.PasswordFile = s.passwordFile()
			s.hold()
			p := s.startReady()
			s.setAll(1, 100, 1)
			before := s.stats()
			failure.broken(s)
			s.redisIs(p, failure.reason, failure.message)
			failure.mend(s)
			s.heals(p)
			s.setAll(101, 20, 2)
			s.release()
			s.drained()
			s.count(1, 100)
			s.count(2, 20)
			if stats := s.stats(); stats.DataLoss != 0 || stats.Dead != 0 || stats.Refused != 0 || stats.Incarnation != before.Incarnation ||
				stats.Flushed != 120 || stats.Coalesced != 0 {
				t.Errorf("stats are %+v", stats)
			}
		})
	}
}

// TestWhatAFlusherCannotSeeItDoesNotShow: another one may hold its partitions by now.
func TestWhatAFlusherCannotSeeItDoesNotShow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.hold()
	p := s.startReady()
	s.setAll(1, 5, 1)
	shows := func(size string) func() error {
		return func() error {
			if _, body := s.get(p, "/metrics"); !strings.Contains(body, `writebehind_queue_size{queue="products"} `+size) {
				return errors.New("it shows something else")
			}
			return nil
		}
	}
	s.eventually("five entries are shown", shows("5"))
	s.redis.Pause()
	s.eventually("none is shown", shows("0"))
	s.redis.Resume()
	s.eventually("five entries are shown again", shows("5"))
}

// passwordFile holds the server's first password, if it has one.
func (s *stack) passwordFile() string {
	s.t.Helper()
	password := s.redis.Options().Password
	if password == "" {
		return ""
	}
	path := filepath.Join(s.t.TempDir(), "password")
	s.must(os.WriteFile(path, []byte(password), 0o600))
	return path
}

// TestARedisThatLosesEverythingIsADataLossEvent restarts a Redis that keeps nothing.
func TestARedisThatLosesEverythingIsADataLossEvent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.hold()
	p := s.startReady()
	s.setAll(1, 20, 1)
	before := s.stats().Incarnation
	s.redis.MustKill(t)
	s.redisIs(p, "ConnectionFailed", "refused")
	s.redis.MustRestart(t)
	s.heals(p)
	s.eventually("a new journal has begun", func() error {
		q := s.status(p).Queues[0]
		if q.Journal == before || q.Journal == "" || q.DataLossEvents != 1 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	if q := s.status(p).Queues[0]; !strings.Contains(q.LastError, "Redis lost the queue") {
		t.Errorf("lastError is %q", q.LastError)
	}
	if _, body := s.get(p, "/metrics"); !strings.Contains(body, `writebehind_data_loss_events_total{queue="products"} 1`) {
		t.Error("the metric does not tell of the event")
	}
	s.setAll(1, 20, 2)
	s.release()
	s.drained()
	s.count(2, 20)
	if stats := s.stats(); stats.DataLoss != 1 || stats.Flushed != 20 {
		t.Errorf("stats are %+v", stats)
	}
}

var libraryLine = regexp.MustCompile(`(?m)^local LIBRARY = \d+$`)

// TestAnOlderLibraryIsReplaced is an older flusher's or a restored backup's.
func TestAnOlderLibraryIsReplaced(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	loaded, err := s.rdb.FunctionList(t.Context(), redis.FunctionListQuery{LibraryNamePattern: "writebehind", WithCode: true}).Result()
	s.must(err)
	older := libraryLine.ReplaceAllString(loaded[0].Code, "local LIBRARY = 1")
	s.must(s.rdb.FunctionLoadReplace(t.Context(), older).Err())
	if version := s.stats().Library; version != 1 {
		t.Fatalf("the library has version %d", version)
	}
	s.setAll(1, 20, 1)
	s.eventually("the library is the flusher's own again", func() error {
		if version := s.stats().Library; version != journal.LibraryVersion {
			return fmt.Errorf("it has version %d", version)
		}
		return nil
	})
	s.setAll(21, 20, 1)
	s.drained()
	s.count(1, 40)
	s.eventually("Redis is well", func() error {
		if status := s.status(p); !status.Redis.OK {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
}

// TestADirtyKeyWithoutItsValueIsALossAndADeadLetter deletes a dirty key by hand.
func TestADirtyKeyWithoutItsValueIsALossAndADeadLetter(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.hold()
	p := s.startReady()
	s.setAll(1, 20, 1)
	version := s.set(7, document(2))
	s.must(s.rdb.Del(t.Context(), "product:7").Err())
	s.release()
	s.drained()
	s.count(1, 19)
	letters := s.deadLetters()
	letter := letters["product:7"]
	if len(letters) != 1 || letter == nil || letter.Cause != entry.CauseValueLost || letter.Version != version ||
		letter.Payload != "" || letter.Operation != "set" {
		t.Fatalf("the dead letters are %+v", letters)
	}
	if stats := s.stats(); stats.DataLoss != 1 || stats.Flushed != 19 || stats.Dead != 1 || stats.Writes != stats.Flushed+stats.Coalesced+stats.Dead {
		t.Errorf("stats are %+v", stats)
	}
	s.eventually("the status tells of it", func() error {
		if q := s.status(p).Queues[0]; q.DataLossEvents != 1 || q.DeadLetters != 1 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	s.set(7, document(3))
	s.drained()
	s.count(3, 1)
	if n := len(s.deadLetters()); n != 0 {
		t.Errorf("%d dead letters after a newer write", n)
	}
}
