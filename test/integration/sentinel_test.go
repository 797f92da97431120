// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// watched is a stack whose Redis has two replicas and three Sentinels. Its client is an
// application's, which asks the Sentinels by itself.
type watched struct {
	*stack
	trio *journaltest.Trio
}

func newWatched(t *testing.T, options ...journaltest.Option) *watched {
	t.Helper()
	trio := journaltest.NewTrio(t, append(options, journaltest.AppendOnly("everysec"))...)
	p := servers.Join(t, trio.Servers[0], postgrestest.New(t))
	p.Database.Exec(t, productsTable)
	s := &watched{&stack{t: t, redis: p.Redis, rdb: trio.Client(t), db: p.Database, config: p.Config, file: p.File}, trio}
	s.config.Flush.IntervalMilliseconds = 100
	s.config.Mappings[0].TimeToLiveSeconds = 0
	s.config.Redis.External = config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: trio.Addresses(), PasswordFile: s.secret(trio.Password()),
	}
	s.write()
	return s
}

func (s *watched) secret(text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "secret")
	s.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// put writes keys from..from+n-1, as soon as there is a primary that takes them.
func (s *watched) put(from, n, stock int64) {
	s.t.Helper()
	q := writebehind.NewQueue(s.rdb, "products")
	for id := from; id < from+n; id++ {
		s.eventually(fmt.Sprint("a primary takes key ", id), func() error {
			_, err := q.Set(s.t.Context(), fmt.Sprintf("product:%d", id), document(stock))
			return err
		})
	}
}

// load is an application's that writes one new key after the other, whatever becomes of
// them.
type load struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	next  atomic.Int64
	mu    sync.Mutex
	// acknowledged are the ids of the writes that Redis has confirmed.
	acknowledged []int64
}

func (s *watched) startLoad() *load {
	ctx, stop := context.WithCancel(s.t.Context())
	l := &load{stop: stop}
	q := writebehind.NewQueue(s.rdb, "products")
	for range 4 {
		l.group.Go(func() {
			ticker := time.NewTicker(2 * time.Millisecond)
			defer ticker.Stop()
			for ctx.Err() == nil {
				id := l.next.Add(1)
				if _, err := q.Set(ctx, fmt.Sprintf("product:%d", id), document(id)); err == nil {
					l.mu.Lock()
					l.acknowledged = append(l.acknowledged, id)
					l.mu.Unlock()
				}
				<-ticker.C
			}
		})
	}
	s.t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.group.Wait()
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// more waits until so many more writes are confirmed.
func (s *watched) more(l *load, n int) {
	s.t.Helper()
	want := l.count() + n
	s.eventually("writes get through", func() error {
		if got := l.count(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// emptied waits until the queue is, whoever is the primary.
func (s *watched) emptied() {
	s.t.Helper()
	s.eventually("the queue is empty", func() error {
		stats, err := s.numbers()
		if err == nil && stats.Depth != 0 {
			err = fmt.Errorf("stats are %+v", stats)
		}
		return err
	})
}

func (s *watched) numbers() (entry.Stats, error) {
	return journal.New(s.rdb).Stats(context.WithoutCancel(s.t.Context()), "products")
}

// becomesReplica waits until the server follows another one.
func (s *watched) becomesReplica(server *journaltest.Server) {
	s.t.Helper()
	client := server.Client(s.t)
	s.eventually(server.Addr()+" is a replica that has everything", func() error {
		info, err := client.InfoMap(s.t.Context(), "replication").Result()
		if err == nil && (info["Replication"]["role"] != "slave" || info["Replication"]["master_link_status"] != "up") {
			err = fmt.Errorf("it says %v", info["Replication"])
		}
		return err
	})
}

// agree holds the table against Redis, and both against what was confirmed. Rows that only
// the table has are of writes that Redis has lost after they were flushed: they have to be
// counted.
func (s *watched) agree(l *load) {
	s.t.Helper()
	inRedis, rows := map[int64]int64{}, map[int64]int64{}
	keys, err := s.rdb.Keys(s.t.Context(), "product:*").Result()
	s.must(err)
	for _, key := range keys {
		text, err := s.rdb.Get(s.t.Context(), key).Result()
		s.must(err)
		var id int64
		var document struct{ Stock int64 }
		_, err = fmt.Sscanf(key, "product:%d", &id)
		s.must(errors.Join(err, json.Unmarshal([]byte(text), &document)))
		inRedis[id] = document.Stock
	}
	for _, row := range s.db.Column(s.t, "SELECT format('%s %s', id, stock) FROM products") {
		var id, stock int64
		_, err := fmt.Sscan(row, &id, &stock)
		s.must(err)
		rows[id] = stock
	}
	for id, stock := range inRedis {
		if got, ok := rows[id]; !ok || got != stock {
			s.t.Errorf("key %d is %d in Redis, and %d (%t) in the table", id, stock, got, ok)
		}
	}
	lost, flushed := 0, 0
	for _, id := range l.acknowledged {
		_, there := inRedis[id]
		_, row := rows[id]
		if !there {
			lost++
			if row {
				flushed++
			}
		}
	}
	stats, err := s.numbers()
	s.must(err)
	s.t.Logf("%d writes were confirmed, %d of them lost by Redis, of which %d had been flushed; %d data-loss events",
		len(l.acknowledged), lost, flushed, stats.DataLoss)
	if flushed > 0 && stats.DataLoss == 0 {
		s.t.Error("what Redis lost is not counted")
	}
}

// TestAFailOverUnderLoad has the primary go in two ways while an application writes, and
// come back as a primary of old.
func TestAFailOverUnderLoad(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*watched, *journaltest.Server){
		"it is killed": func(s *watched, primary *journaltest.Server) {
			primary.MustKill(s.t)
			s.trio.Elected(primary)
			// It begins as a primary, since nobody has told it otherwise.
			primary.MustRestart(s.t)
		},
		"it is told to": func(s *watched, _ *journaltest.Server) { s.trio.FailOver() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatched(t)
			p := s.startReady()
			l := s.startLoad()
			s.more(l, 200)
			before := s.trio.Primary()
			fail(s, before)
			s.more(l, 200)
			s.becomesReplica(before)
			s.more(l, 100)
			l.end()
			s.emptied()
			s.eventually("the flusher is well", func() error {
				if check := s.status(p).Redis; !check.OK {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			if now := s.trio.Primary(); now == before {
				t.Fatal("the primary is the one of before, so this shows nothing")
			}
			s.agree(l)
		})
	}
}

// TestWritesOfAnOldPrimaryThatIsCutOff has a primary go on taking writes that its replicas
// do not get, and then a second primary beside it.
func TestWritesOfAnOldPrimaryThatIsCutOff(t *testing.T) {
	t.Parallel()
	for name, waiting := range map[string]bool{"and were flushed": false, "and wait": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatched(t)
			old := s.trio.Primary()
			p := s.startReady()
			s.put(1, 20, 1)
			s.emptied()

			s.trio.CutFromReplicas(old)
			if waiting {
				s.suspend(p)
			}
			s.put(100, 50, 1) // which the replicas never hear of
			if waiting {
				s.compared(p)
			} else {
				s.emptied()
			}
			s.trio.CutFromSentinels(old)
			elected := s.trio.Elected(old)
			// Both sides take writes now.
			beyond := old.Client(t)
			for id := range int64(50) {
				s.must(beyond.FCall(t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", 1000+id)}, "products", document(1)).Err())
			}
			s.put(2000, 50, 1)
			if waiting {
				s.resume()
			}
			s.emptied()
			s.eventually("the loss is counted", func() error {
				stats, err := s.numbers()
				if err == nil && stats.DataLoss == 0 {
					err = errors.New("no data-loss event")
				}
				return err
			})
			says := "Redis came back with older data"
			if waiting {
				says = "at least 50 writes are lost"
			}
			s.eventually("the log tells of it", func() error {
				if !strings.Contains(p.Said(), says) {
					return errors.New(says)
				}
				return nil
			})
			rows := func(from int64) string {
				return s.db.Value(t, "SELECT count(*) FROM products WHERE id >= $1 AND id < $1 + 50", from)
			}
			if got := rows(2000); got != "50" {
				t.Errorf("%s rows of the new primary's writes, want 50", got)
			}
			if role := beyond.Do(t.Context(), "ROLE").Val(); !strings.Contains(fmt.Sprint(role), "master") {
				t.Fatalf("the old primary is none any more: %v", role)
			}
			if got := rows(1000); got != "0" {
				t.Errorf("%s rows of writes that the old primary took when there was a new one", got)
			}
			if want := map[bool]string{true: "0", false: "50"}[waiting]; rows(100) != want {
				t.Errorf("%s rows of what Redis lost, want %s", rows(100), want)
			}

			s.trio.Join(old)
			s.becomesReplica(old)
			// What Redis has lost and is written again is as in Redis.
			s.put(100, 50, 3)
			s.put(1, 20, 3)
			s.emptied()
			if now := s.trio.Primary(); now != elected {
				t.Errorf("the primary is %s, want %s", now.Addr(), elected.Addr())
			}
			s.agree(&load{})
			if check := s.status(p).Redis; !check.OK {
				t.Errorf("the check is %+v", check)
			}
		})
	}
}

// TestOfTwoPrimariesNoneIsStoppedForGood gives two flushers Sentinels that never agree, one
// of them with an older copy of Redis: as if one had not heard of a fail-over. When it is
// gone, the other one goes on by itself, though its Redis was the one behind.
func TestOfTwoPrimariesNoneIsStoppedForGood(t *testing.T) {
	t.Parallel()
	s := newStack(t, journalAlways)
	by := func(server *journaltest.Server) config.RedisExternal {
		return config.RedisExternal{
			Mode: config.ModeSentinel, MasterName: journaltest.MasterName,
			Addresses: []string{journaltest.NewSentinel(t, server, 1).Addr()},
		}
	}
	s.config.Redis.External = by(s.redis)
	s.write()
	ahead := s.startReady()
	s.setAll(1, 100, 1)
	s.drained()
	s.suspend(ahead)
	s.setAll(1, 100, 2)
	copied := s.aside()
	s.resume()
	s.drained()
	s.setAll(1, 100, 3)
	s.drained()

	older := *s
	folder := t.TempDir()
	s.must(os.CopyFS(filepath.Join(folder, "appendonlydir"), os.DirFS(copied)))
	older.redis = journaltest.New(t, journalAlways, func(o *journaltest.Options) { o.Dir = folder })
	older.rdb = older.redis.Client(t)
	c := *s.config
	older.config, older.file = &c, filepath.Join(t.TempDir(), "older.yaml")
	older.config.Redis.External = by(older.redis)
	older.write()
	behind := older.start()
	const waits = "as at a primary that Sentinels have replaced"
	older.eventually("the two sides meet", func() error {
		if queues := older.status(behind).Queues; len(queues) != 1 || !strings.Contains(queues[0].LastError, waits) {
			return fmt.Errorf("status is %+v", queues)
		}
		return nil
	})
	if depth := older.stats().Depth; depth != 100 {
		t.Errorf("the older copy holds %d entries, want all 100, while there is another primary", depth)
	}
	s.stop(ahead)
	older.setAll(1, 100, 4)
	older.drained()
	s.count(4, 100)
	if check := older.status(behind).Redis; !check.OK {
		t.Errorf("the check is %+v", check)
	}
}

// TestAFailOverWithTLSAndUsers has all six speak TLS with certificates of clients, and the
// flusher log in as a user of its own at servers, and with another password at Sentinels.
func TestAFailOverWithTLSAndUsers(t *testing.T) {
	t.Parallel()
	s := newWatched(t, journaltest.RequireClientCertificate(), journaltest.Password("watcher"),
		journaltest.User("writebehind on >secret ~product:* ~wb:* +@all -@admin -@dangerous +info +function|load +function|list"))
	files, external := s.trio.Servers[0].TLS(), &s.config.Redis.External
	external.TLS = &config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: files.ClientKey}
	external.UsernameFile, external.PasswordFile = s.secret("writebehind"), s.secret("secret")
	external.SentinelPasswordFile = s.secret("watcher")
	s.write()
	p := s.startReady()
	s.put(1, 20, 1)
	s.emptied()
	before := s.trio.Primary()
	before.MustKill(t)
	s.trio.Elected(before)
	s.put(1, 40, 2)
	s.emptied()
	s.agree(&load{})
	if said := p.Said(); strings.Contains(said, "watcher") || strings.Contains(said, `"secret"`) {
		t.Error("the log has a password")
	}
}

// TestDeadLettersAreThereAfterAFailOver, by the same config.
func TestDeadLettersAreThereAfterAFailOver(t *testing.T) {
	t.Parallel()
	s := newWatched(t)
	s.config.Flush.MaxRetries = 0
	s.write()
	s.startReady()
	s.put(1, 20, 1)
	s.put(99, 1, -1)
	s.eventually("it is a dead letter", func() error {
		if _, out, problems := s.dlq("list"); !strings.Contains(out, "product:99") {
			return errors.New(out + problems)
		}
		return nil
	})
	primary := s.trio.Primary().Client(t)
	programs.Must(t, primary.Wait(t.Context(), 2, time.Minute).Err())
	s.trio.FailOver()
	s.eventually("it is still there", func() error {
		if code, out, problems := s.dlq("list"); code != 0 || !strings.Contains(out, "product:99") {
			return errors.New(out + problems)
		}
		return nil
	})
	if code, out, problems := s.dlq("discard", "--all"); code != 0 {
		t.Errorf("discard ends with %d: %s%s", code, out, problems)
	}
	if n := s.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:99"}, "products").Err(); n != nil && !errors.Is(n, redis.Nil) {
		t.Error(n)
	}
}
