// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// trioReplicas is how many replicas Redis has with Sentinels.
const trioReplicas = 2

// elect has Sentinels say which of three servers is the primary. They tell its own address, so
// that nothing is between it and a flusher.
func (s *streamed) elect() {
	s.t.Helper()
	s.trio = journaltest.NewTrio(s.t, journaltest.Config(redisSettings...))
	s.app = &application{keys: s.keys, rate: *rate, server: s.trio.Servers[0]}
	s.app.replicas.Store(trioReplicas)
	s.redis = s.trio.Servers[0]
}

// bySentinels are the settings of a flusher that asks them.
func (s *streamed) bySentinels() config.RedisExternal {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "password")
	programs.Must(s.t, os.WriteFile(file, []byte(s.trio.Password()), 0o600))
	return config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: s.trio.Addresses(), PasswordFile: file,
	}
}

// notBySentinels are kinds that need something between a flusher and Redis, or a Redis that
// stays the primary.
var notBySentinels = []string{"redis-cut", "redis-slow", "redis-half-open", "redis-answer-lost", "redis-stopped"}

// electionKinds are the faults in place of those of one Redis.
func (s *streamed) electionKinds() []kind {
	own := func(happens func(old *journaltest.Server) error, heals func(old *journaltest.Server) error) func(context.Context, *world, fault) error {
		return func(ctx context.Context, _ *world, f fault) error { return s.anotherElected(ctx, f, happens, heals) }
	}
	return []kind{
		{
			name: "primary-killed", attacks: "who is elected goes on with the history, or all keys are read again",
			needs: []string{theRedis}, longest: 2 * time.Second,
			run: own((*journaltest.Server).Kill, func(old *journaltest.Server) error { return old.Restart(context.WithoutCancel(s.t.Context())) }),
		},
		{
			name: "sentinel-failover", attacks: "what the old primary took while another one was made is told",
			needs: []string{theRedis}, longest: 2 * time.Second,
			run: own(func(*journaltest.Server) error {
				s.trio.FailOver()
				return nil
			}, func(*journaltest.Server) error { return nil }),
		},
		{
			name: "primary-cut-off", attacks: "a primary that nobody else holds for one is not written from, and what it took is told",
			needs: []string{theRedis}, shortest: time.Second, longest: 3 * time.Second,
			run: own(func(old *journaltest.Server) error {
				s.trio.CutFromReplicas(old)
				s.trio.CutFromSentinels(old)
				return nil
			}, func(old *journaltest.Server) error {
				s.trio.Join(old)
				return nil
			}),
		},
	}
}

// anotherElected has another server elected by what happens. The application goes on with the
// old one until the time is over, and then with the new one.
func (s *streamed) anotherElected(ctx context.Context, f fault, happens, heals func(old *journaltest.Server) error) error {
	server := context.WithoutCancel(ctx)
	old := s.app.current()
	if err := await(server, time.Minute, func(ctx context.Context) error { return s.hasReplicas(ctx, old) }); err != nil {
		return fmt.Errorf("wait for the replicas of %s: %w", old.Addr(), err)
	}
	s.breaks()
	s.keys.hold()
	defer s.keys.release()
	if err := happens(old); err != nil {
		return err
	}
	next := s.trio.Elected(old)
	hold(ctx, f.duration)
	s.app.gate.Lock()
	s.redis = next
	s.app.serve(next)
	err := s.cameBack(ctx)
	s.breaks()
	s.app.gate.Unlock()
	return errors.Join(err, heals(old))
}

// hasReplicas tells whether a server is the primary of both others.
func (s *streamed) hasReplicas(ctx context.Context, of *journaltest.Server) error {
	client := redis.NewClient(of.Options())
	defer client.Close()
	info, err := client.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	for _, other := range s.trio.Servers {
		if other != of && !strings.Contains(info, fmt.Sprintf("port=%d,state=online", other.Port())) {
			return fmt.Errorf("it has not %s", other.Addr())
		}
	}
	return nil
}

// withoutWays leaves the kinds out that Sentinels make impossible.
func withoutWays(all []kind) []kind {
	return slices.DeleteFunc(all, func(k kind) bool { return slices.Contains(notBySentinels, k.name) })
}
