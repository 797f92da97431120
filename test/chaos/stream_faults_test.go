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
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
)

// everyFlusher is what a fault needs that has hold of all of them.
var everyFlusher = []string{"flusher0", "flusher1", "flusher2", "guest0", "guest1"}

// ofBoth are the kinds that are as with capture Functions.
var ofBoth = []string{
	"flusher-killed", "flusher-stopped", "flusher-leaves", "flusher-joins", "redis-cut", "redis-slow", "redis-half-open", "redis-answer-lost",
	"postgres-cut", "postgres-slow", "postgres-half-open", "postgres-answer-lost", "postgres-too-late", "postgres-stopped", "postgres-killed",
	"sessions-terminated", "ledger-locked", diskFull, "redis-stopped", "clients-killed",
}

// kinds are all kinds of faults with capture Replication.
func (s *streamed) kinds() []kind {
	var all []kind
	for _, k := range kinds {
		if slices.Contains(ofBoth, k.name) {
			all = append(all, k)
		}
	}
	own := func(run func(context.Context, fault) error) func(context.Context, *world, fault) error {
		return func(ctx context.Context, _ *world, f fault) error { return run(ctx, f) }
	}
	if s.trio != nil {
		all = append(withoutWays(all), s.electionKinds()...)
	} else {
		all = append(all, []kind{
			{
				name: "redis-killed", attacks: "under appendfsync always a crash of Redis loses nothing that was acknowledged, and the stream begins anew",
				needs: []string{theRedis}, longest: 2 * time.Second, run: own(s.redisKilled(false)),
			},
			{
				name: "redis-loses-a-second", attacks: "what Redis lost with appendfsync everysec is told, and the tables follow Redis",
				needs: []string{theRedis}, shortest: 300 * time.Millisecond, longest: time.Second, run: own(s.redisKilled(true)),
			},
			{
				name: "fail-over", attacks: "a replica that takes over goes on with the history, or all keys are read again",
				needs: []string{theRedis}, longest: time.Second, run: own(s.failOver(false)),
			},
			{
				name: "fail-over-behind", attacks: "a replica that takes over without what was flushed is found out",
				needs: []string{theRedis}, shortest: 200 * time.Millisecond, longest: time.Second, run: own(s.failOver(true)),
			},
		}...)
	}
	return append(all, []kind{
		{
			name: "replicas-killed", attacks: "a stream that is cut off is read on where it was",
			needs: []string{theRedis}, run: own(s.replicasKilled),
		},
		{
			name: "backlog-overrun", attacks: "what the backlog does not hold any more is read from the keys, and told",
			needs: append([]string{theRedis}, everyFlusher...), shortest: 500 * time.Millisecond, longest: 3 * time.Second, run: own(s.backlogOverrun),
		},
		{
			name: "everybody-away", attacks: "the backlog holds what is written while no flusher is there",
			needs: everyFlusher, shortest: 500 * time.Millisecond, longest: 6 * time.Second, run: own(s.everybodyAway),
		},
		{
			name: "redis-memory-full", attacks: "an evicted key keeps its row, and a refused write changes nothing",
			needs: []string{theRedis}, shortest: 200 * time.Millisecond, longest: 2 * time.Second, run: own(s.memoryFull),
		},
		{
			name: "flush-all", attacks: "FLUSHALL deletes no row, and is told",
			needs: []string{theRedis}, run: own(s.flushAll),
		},
		{
			name: "mapping-comes-and-goes", attacks: "a mapping that is added is carried with the keys that were there",
			needs: append([]string{theConfig}, everyFlusher...), shortest: time.Second, longest: 4 * time.Second, run: own(s.mappingToggled),
		},
		{
			name: "table-locked", attacks: "a locked table is waited for, and nothing is dead-lettered because of it",
			needs: []string{thePostgres}, shortest: time.Second, longest: 5 * time.Second, run: tableLocked(products),
		},
		{
			name: "mapping-paused", attacks: "a table that takes no row holds up no other, though its keys fill memory and backlog",
			needs: []string{thePostgres, theRedis}, shortest: 3 * time.Second, longest: 10 * time.Second, run: own(s.mappingPaused),
		},
	}...)
}

func (s *streamed) replicasKilled(ctx context.Context, _ fault) error {
	return s.rdb.ClientKillByFilter(context.WithoutCancel(ctx), "TYPE", "replica").Err()
}

// redisKilled kills Redis, and takes the end of its append-only file away if it is to lose
// what it wrote within the time given.
func (s *streamed) redisKilled(loses bool) func(context.Context, fault) error {
	return func(ctx context.Context, f fault) error {
		server := s.app.current()
		var file string
		var size int64
		if loses {
			file, size = appendOnlyFile(server.Dir())
			hold(ctx, f.duration)
		}
		s.breaks()
		s.keys.hold()
		defer s.keys.release()
		if err := server.Kill(); err != nil {
			return err
		}
		if now, _ := appendOnlyFile(server.Dir()); loses && now == file && file != "" {
			if err := os.Truncate(file, size); err != nil {
				return err
			}
		}
		if !loses {
			hold(ctx, f.duration)
		}
		s.app.gate.Lock()
		defer s.app.gate.Unlock()
		if err := server.Restart(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		return s.cameBack(ctx)
	}
}

// appendOnlyFile is the file that Redis appends to, and how long it is.
func appendOnlyFile(dir string) (name string, size int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && file > name {
			name, size = file, info.Size()
		}
	}
	return name, size
}

// cameBack takes note of what Redis has. The gate is closed.
func (s *streamed) cameBack(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var t *truth
	err := await(ctx, time.Minute, func(ctx context.Context) error {
		var err error
		t, err = readTruth(ctx, s.rdb)
		return err
	})
	if err != nil {
		return fmt.Errorf("read what Redis has: %w", err)
	}
	s.app.comeBacks.Add(1)
	s.app.lostByRedis.Add(int64(s.reconcile(t)))
	return nil
}

// failOver promotes a replica in place of the primary, which is killed. One that is behind
// lacks what was written within the time given.
func (s *streamed) failOver(behind bool) func(context.Context, fault) error {
	return func(ctx context.Context, f fault) error {
		server := context.WithoutCancel(ctx)
		old := s.app.current()
		next, err := s.newServer()
		if err != nil {
			return err
		}
		link := newProxy(s.t, "replica", old.Addr())
		defer link.Stop()
		client, replica := redis.NewClient(old.Options()), redis.NewClient(next.Options())
		defer client.Close()
		defer replica.Close()
		s.app.replicas.Add(1)
		defer s.app.replicas.Add(-1)
		host, port, _ := strings.Cut(link.Listen, ":")
		if err := replica.ReplicaOf(server, host, port).Err(); err != nil {
			return err
		}
		if err := await(server, time.Minute, func(ctx context.Context) error { return sameOffset(ctx, client, replica, 1<<20) }); err != nil {
			return fmt.Errorf("wait for a replica: %w", err)
		}
		if behind {
			if _, err := poisonProxy(link, halfOpen(f)); err != nil {
				return err
			}
		}
		hold(ctx, f.duration)
		if !behind {
			s.app.gate.Lock()
			err = await(server, serverTime, func(ctx context.Context) error { return sameOffset(ctx, client, replica, 0) })
			if err != nil {
				s.app.gate.Unlock()
				return fmt.Errorf("wait for a replica that has everything: %w", err)
			}
		}
		s.breaks()
		s.keys.hold()
		defer s.keys.release()
		err = old.Kill()
		if behind {
			s.app.gate.Lock()
		}
		defer s.app.gate.Unlock()
		if err := errors.Join(err, replica.ReplicaOf(server, "NO", "ONE").Err()); err != nil {
			return err
		}
		s.redis = next
		s.app.serve(next)
		for _, f := range s.flushers {
			if err := f.toRedis.Update(&toxiproxy.Proxy{Listen: f.toRedis.Listen, Upstream: next.Addr(), Enabled: true}); err != nil {
				return err
			}
		}
		old.Close()
		return s.cameBack(ctx)
	}
}

// everybodyAway stops all flushers, and lets them go on.
func (s *streamed) everybodyAway(ctx context.Context, f fault) error {
	for _, one := range s.flushers {
		one.signal(syscall.SIGSTOP)
	}
	hold(ctx, f.duration)
	for _, one := range s.flushers {
		one.signal(syscall.SIGCONT)
	}
	return nil
}

// backlogOverrun has more written while all flushers stand than Redis keeps, and ends the
// connection, whose buffer would hold it.
func (s *streamed) backlogOverrun(ctx context.Context, f fault) error {
	server := context.WithoutCancel(ctx)
	for _, one := range s.flushers {
		one.signal(syscall.SIGSTOP)
	}
	defer func() {
		for _, one := range s.flushers {
			one.signal(syscall.SIGCONT)
		}
	}()
	s.breaks()
	err := s.rdb.ConfigSet(server, "repl-backlog-size", "16384").Err()
	if err == nil {
		err = s.rdb.ClientKillByFilter(server, "TYPE", "replica").Err()
	}
	hold(ctx, f.duration)
	return errors.Join(err, s.rdb.ConfigSet(server, "repl-backlog-size", usualBacklog).Err())
}

// memoryFull has Redis evict what it may, and refuse writes.
func (s *streamed) memoryFull(ctx context.Context, f fault) error {
	server := context.WithoutCancel(ctx)
	err := s.rdb.ConfigSet(server, "maxmemory", "1").Err()
	hold(ctx, f.duration)
	return errors.Join(err, s.rdb.ConfigSet(server, "maxmemory", "0").Err())
}

// flushAll empties Redis, and waits until that is told, unless a history begins or no flusher
// stays the reader.
func (s *streamed) flushAll(ctx context.Context, _ fault) error {
	server := context.WithoutCancel(ctx)
	s.app.gate.Lock()
	before, readErr := s.reading(server)
	err := s.rdb.FlushAll(server).Err()
	if err == nil {
		number := s.app.numbers.Add(1)
		s.app.comeBacks.Add(1)
		s.mu.Lock()
		s.emptied = microseconds()
		s.mu.Unlock()
		for _, k := range s.keys.list() {
			k.mu.Lock()
			k.vanished = number
			k.mu.Unlock()
		}
	}
	s.app.gate.Unlock()
	if err != nil || readErr != nil {
		return err
	}
	told := await(server, flowTime, func(ctx context.Context) error {
		now, err := s.reading(ctx)
		switch {
		case err != nil:
			return err
		case now.Instance != before.Instance, now.Replication.History != before.Replication.History:
			return nil
		case !strings.Contains(now.Replication.Notice, "FLUSHALL"):
			return fmt.Errorf("it says %q", now.Replication.Notice)
		}
		return nil
	})
	if told != nil {
		s.findings.add(unreported, "FLUSHALL: %v", told)
	}
	return nil
}

// mappingToggled takes the mapping late out of the config, or puts it in again.
func (s *streamed) mappingToggled(ctx context.Context, f fault) error {
	err := s.setLate(!s.lates)
	hold(ctx, f.duration)
	return err
}

func (s *streamed) setLate(on bool) error {
	if s.lates == on {
		return nil
	}
	s.configMu.Lock()
	defer s.configMu.Unlock()
	s.lates = on
	tables := []string{products, sessions, views, scores, events}
	if on {
		tables = append(tables, late)
	}
	s.config.Mappings = mappingsOf(tables...)
	s.config.Revision++
	for _, f := range s.flushers {
		if err := s.writeConfig(f); err != nil {
			return err
		}
	}
	return nil
}

// mappingPaused has one table take no row at all, and looks whether another one flows.
func (s *streamed) mappingPaused(ctx context.Context, f fault) error {
	server := context.WithoutCancel(ctx)
	table := []string{sessions, views, scores, events}[f.target%4]
	drop := "DROP FUNCTION IF EXISTS trap_" + table + " CASCADE"
	arm := fmt.Sprintf(`%[1]s;
CREATE FUNCTION trap_%[2]s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'none today' USING ERRCODE = '%[3]s'; END $$;
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON %[2]s FOR EACH ROW EXECUTE FUNCTION trap_%[2]s()`, drop, table, refusedAll)
	if err := s.exec(ctx, arm); err != nil {
		return err
	}
	// A smaller backlog has it give up waiting for the table within the time that there is.
	s.breaks()
	err := s.rdb.ConfigSet(server, "repl-backlog-size", "512kb").Err()
	began := time.Now()
	s.flowsOn(ctx, table+" takes no row")
	hold(ctx, f.duration-time.Since(began))
	if err == nil {
		err = s.rdb.ConfigSet(server, "repl-backlog-size", usualBacklog).Err()
	}
	s.breaks()
	return errors.Join(err, s.exec(ctx, drop))
}

// flowsOn waits until something that is written from now on is in the table products, and is
// found stuck otherwise.
func (s *streamed) flowsOn(ctx context.Context, what string) {
	from := s.app.numbers.Load()
	err := await(ctx, flowTime, func(ctx context.Context) error {
		var moved bool
		err := s.db.Pool().QueryRow(ctx, "SELECT EXISTS (SELECT FROM products p WHERE p.n > $1)", from).Scan(&moved)
		if err == nil && !moved {
			err = errors.New("no row of products was written")
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.findings.add(stuck, "%s: products do not flow within %v: %v", what, flowTime, err)
	}
}

// sameOffset tells whether a replica has all that the primary wrote, but for so many bytes.
func sameOffset(ctx context.Context, primary, replica *redis.Client, within int64) error {
	has, err := replica.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	wants, err := primary.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if missing := numberIn(wants, "master_repl_offset:") - numberIn(has, "slave_repl_offset:"); !strings.Contains(has, "master_link_status:up") || missing > within {
		return fmt.Errorf("%d bytes are missing", missing)
	}
	return nil
}

func numberIn(info, field string) (number int64) {
	_, after, _ := strings.Cut(info, field)
	_, _ = fmt.Sscan(after, &number)
	return number
}
