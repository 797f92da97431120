// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// elected is replicated with a Redis that has two replicas and three Sentinels. Its application
// asks the Sentinels by itself.
type elected struct {
	*replicated
	trio *journaltest.Trio
}

func startElected(t testing.TB, options ...journaltest.Option) *elected {
	t.Helper()
	trio := journaltest.NewTrio(t, append(options, journaltest.AppendOnly("everysec"), forReaders)...)
	pair := servers.Join(t, trio.Servers[0], postgrestest.New(t))
	pair.Database.Exec(t, replicatedSchema)
	pair.Config.Redis.External = config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: trio.Addresses(),
		PasswordFile: secretFiles(t)("password", trio.Password()),
	}
	return &elected{replicatedOf(t, pair, trio.Client(t)), trio}
}

// updates is an application that writes the same keys over and over, whatever becomes of the
// primary.
type updates struct {
	stop      context.CancelFunc
	group     sync.WaitGroup
	confirmed atomic.Int64
}

// update writes so many times a second, in pipelines of every encoding's commands.
func (s *elected) update(perSecond int) *updates {
	ctx, stop := context.WithCancel(s.t.Context())
	u := &updates{stop: stop}
	const workers, ticks = 4, 100
	for worker := range workers {
		u.group.Go(func() {
			ticker := time.NewTicker(time.Second / ticks)
			defer ticker.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				some, err := s.app.Pipelined(ctx, func(p redis.Pipeliner) error {
					for i := range max(1, perSecond/workers/ticks) {
						n, key := n+i, fmt.Sprintf("u%d.%d", worker, (n+i)%50)
						switch n % 5 {
						case 0:
							p.Set(ctx, "product:"+key, fmt.Sprintf(`{"name":"x","price":%d}`, n), 0)
						case 1:
							p.HIncrBy(ctx, "session:"+key, "visits", 1)
						case 2:
							p.Incr(ctx, "views:"+key)
						case 3:
							p.ZIncrBy(ctx, "board:u", 1, key)
						case 4:
							p.XAdd(ctx, &redis.XAddArgs{Stream: "events:all", Values: []any{"kind", key}})
						}
					}
					return nil
				})
				if err == nil {
					u.confirmed.Add(int64(len(some)))
				}
				<-ticker.C
			}
		})
	}
	s.t.Cleanup(u.end)
	return u
}

func (u *updates) end() {
	u.stop()
	u.group.Wait()
}

// more waits until so many more writes are confirmed.
func (u *updates) more(t testing.TB, n int64) {
	t.Helper()
	want := u.confirmed.Load() + n
	programs.Usual.Eventually(t, "writes get through", func() error {
		if got := u.confirmed.Load(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// follows waits until the server is a replica that has everything.
func (s *elected) follows(server *journaltest.Server) {
	s.t.Helper()
	client := server.Client(s.t)
	programs.Usual.Eventually(s.t, server.Addr()+" is a replica", func() error {
		info, err := client.InfoMap(s.t.Context(), "replication").Result()
		if err == nil && (info["Replication"]["role"] != "slave" || info["Replication"]["master_link_status"] != "up") {
			err = fmt.Errorf("it says %v", info["Replication"])
		}
		return err
	})
}

// carried waits until the tables have all that Redis has. What they have beyond are rows of
// entries of streams that Redis has lost, which it returns.
func (s *elected) carried() (lost []string) {
	s.t.Helper()
	programs.Usual.Eventually(s.t, "rows as the keys are", func() error {
		lacking, surplus := s.differences()
		if len(lacking) > 0 || slices.ContainsFunc(surplus, func(row string) bool { return !strings.HasPrefix(row, "events: ") }) {
			return fmt.Errorf("rows are lacking:\n%.2000q, and are too many:\n%.2000q", lacking, surplus)
		}
		lost = surplus
		return nil
	})
	return lost
}

// reads waits until the flusher's replica is attached to the server, and to no other one.
func (s *elected) reads(primary *journaltest.Server) {
	s.t.Helper()
	programs.Usual.Eventually(s.t, "the flusher reads "+primary.Addr(), func() error {
		for _, server := range s.trio.Servers {
			list, err := server.Client(s.t).Do(s.t.Context(), "ROLE").Slice()
			if err != nil || list[0] != "master" {
				continue
			}
			// No other replica names that port.
			if reads := strings.Contains(fmt.Sprint(list[2]), "65536"); reads != (server == primary) {
				return fmt.Errorf("at %s the replicas are %v", server.Addr(), list[2])
			}
		}
		return nil
	})
}

func lossesOf(f *flusher.Flusher) (events int64) {
	status := f.Status()
	for i := range status.Queues {
		events = max(events, status.Queues[i].DataLossEvents)
	}
	return events
}

// TestAFailOverIsCarried has the primary go in two ways while an application writes that knows
// nothing of a flusher, and come back as a primary of old.
func TestAFailOverIsCarried(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*elected, *journaltest.Server){
		"it is killed": func(s *elected, primary *journaltest.Server) {
			primary.MustKill(s.t)
			s.trio.Elected(primary)
			// It begins as a primary, since nobody has told it otherwise.
			primary.MustRestart(s.t)
		},
		"it is told to": func(s *elected, _ *journaltest.Server) { s.trio.FailOver() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startElected(t)
			f, _ := s.flush()
			s.writes(0)
			s.equal()
			u := s.update(1000)
			u.more(t, 1000)
			before := s.trio.Primary()
			s.reads(before)
			fail(s, before)
			u.more(t, 1000)
			s.follows(before)
			u.more(t, 500)
			u.end()
			primary := s.trio.Primary()
			if primary == before {
				t.Fatal("the primary is the one of before, so this shows nothing")
			}
			s.reads(primary)
			lost := s.carried()
			s.writes(100)
			if again := s.carried(); len(again) != len(lost) {
				t.Errorf("%d rows are too many, which were %d", len(again), len(lost))
			}
			events, said := lossesOf(f), f.Status().Replication
			t.Logf("%d writes were confirmed; history %d; %d rows of what Redis lost; %d data-loss events; notice %q",
				u.confirmed.Load(), said.History, len(lost), events, said.Notice)
			if len(lost) > 0 && events == 0 {
				t.Error("what Redis lost is not counted")
			}
			if len(lost) > 0 && !strings.Contains(said.Notice, "lost data that was already flushed") {
				t.Errorf("what Redis lost is told as %q", said.Notice)
			}
			if events > 0 != (said.Notice != "") {
				t.Errorf("%d data-loss events are told as %q", events, said.Notice)
			}
			programs.Usual.Eventually(t, "the flusher is well", func() error {
				if check := f.Status().Redis; !check.OK {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
		})
	}
}

// TestTwoFailOversInARowAreCarried has another primary go before the flusher may have come to
// it, and both go while no flusher runs: the last one does not know the history then.
func TestTwoFailOversInARowAreCarried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away bool
	}{"beside a flusher": {}, "while no flusher runs": {away: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startElected(t)
			f, stop := s.flush()
			s.writes(0)
			s.equal()
			u := s.update(500)
			u.more(t, 500)
			if c.away {
				stop()
			}
			s.trio.FailOver()
			primary := s.trio.FailOver()
			u.more(t, 500)
			for _, server := range s.trio.Servers {
				if server != primary {
					s.follows(server)
				}
			}
			u.end()
			if c.away {
				f, _ = s.flush()
			}
			s.reads(primary)
			lost := s.carried()
			s.writes(100)
			s.carried()
			events, said := lossesOf(f), f.Status().Replication
			t.Logf("%d writes were confirmed; history %d; %d rows of what Redis lost; %d data-loss events; notice %q",
				u.confirmed.Load(), said.History, len(lost), events, said.Notice)
			if events > 0 != (said.Notice != "") || events == 0 && (c.away || len(lost) > 0) {
				t.Errorf("%d data-loss events are told as %q, and %d rows are of what Redis lost", events, said.Notice, len(lost))
			}
		})
	}
}

// TestAnOldPrimaryThatIsCutOffIsNotReadOn has a primary go on taking writes that its replicas
// do not get, and then another primary beside it.
func TestAnOldPrimaryThatIsCutOffIsNotReadOn(t *testing.T) {
	t.Parallel()
	s := startElected(t)
	old := s.trio.Primary()
	beyond := old.Client(t)
	set := func(client *redis.Client, from int, price string) {
		t.Helper()
		for i := range 20 {
			s.must(client.Set(t.Context(), "product:"+strconv.Itoa(from+i), `{"name":"x","price":`+price+`}`, 0).Err())
		}
	}
	rows := func(from int, price string) string {
		t.Helper()
		return s.Database.Value(t, "SELECT count(*) FROM products WHERE id::int >= $1 AND id::int < $1::int + 20 AND price = $2::numeric", from, price)
	}
	f, _ := s.flush()
	set(beyond, 0, "1")
	s.equal()
	s.must(beyond.Wait(t.Context(), 3, programs.Usual.Limit).Err())

	s.trio.CutFromReplicas(old)
	set(beyond, 0, "2") // which the replicas never hear of
	set(beyond, 100, "2")
	programs.Usual.Eventually(t, "what the replicas lack is flushed", func() error {
		if updated, made := rows(0, "2"), rows(100, "2"); updated != "20" || made != "20" {
			return fmt.Errorf("%s and %s rows", updated, made)
		}
		return nil
	})
	s.trio.CutFromSentinels(old)
	primary := s.trio.Elected(old)
	s.reads(primary)
	// Both sides take writes now.
	set(beyond, 200, "3")
	programs.Usual.Eventually(t, "the new primary takes writes", func() error {
		return s.app.Set(t.Context(), "product:300", `{"name":"x","price":1}`, 0).Err()
	})
	set(s.app, 300, "3")
	programs.Usual.Eventually(t, "rows as the keys of the new primary are", func() error {
		lacking, surplus := s.differences()
		if len(lacking) > 0 || len(surplus) != 20 || !strings.HasPrefix(surplus[0], "products: 100|") {
			return fmt.Errorf("rows are lacking:\n%q, and are too many:\n%q", lacking, surplus)
		}
		return nil
	})
	if role := beyond.Do(t.Context(), "ROLE").Val(); !strings.Contains(fmt.Sprint(role), "master") {
		t.Fatalf("the old primary is none any more: %v", role)
	}
	if got := rows(200, "3"); got != "0" {
		t.Errorf("%s rows of writes that the old primary took when there was a new one", got)
	}
	if got := rows(0, "1"); got != "20" {
		t.Errorf("%s rows went back to what Redis has", got)
	}
	const told = "lost data that was already flushed"
	if events, notice := lossesOf(f), f.Status().Replication.Notice; events != 1 || !strings.Contains(notice, told) {
		t.Errorf("%d data-loss events are told as %q", events, notice)
	}

	s.trio.Join(old)
	s.follows(old)
	s.reads(primary)
	set(s.app, 100, "4")
	s.must(s.app.Del(t.Context(), "product:300").Err())
	s.equal()
	if events := lossesOf(f); events != 1 {
		t.Errorf("%d data-loss events, want 1", events)
	}
}

// aReader is the user of a flusher, with the rights that the documents give, and fewer.
func aReader(fewer ...string) string {
	user := "writebehind on >secret ~product:* ~session:* ~views:* ~board:* ~events:* ~wb:witness:* +psync +replconf +ping +info +command " +
		"+config|get +scan +multi +exec +get +set +mget +type +pttl +hgetall +hmget +hlen +zscore +zrange +xrange"
	for _, right := range fewer {
		user = strings.Replace(user, " "+right, "", 1)
	}
	return user
}

// TestAFailOverIsCarriedWithTLSAndUsers has all six speak TLS with certificates of clients,
// and the flusher log in as a user with few rights at servers and at Sentinels.
func TestAFailOverIsCarriedWithTLSAndUsers(t *testing.T) {
	t.Parallel()
	s := startElected(t, journaltest.RequireClientCertificate(), journaltest.Password("watcher"), journaltest.User(aReader()))
	for _, sentinel := range s.trio.Sentinels {
		s.must(sentinel.Client(t).Do(t.Context(), "ACL", "SETUSER", "flusher", "on", ">hears", "+sentinel|master", "+sentinel|get-master-addr-by-name",
			"+subscribe", "&+promoted-slave", "&+switch-master").Err())
	}
	file, files, external := secretFiles(t), s.trio.Servers[0].TLS(), &s.Config.Redis.External
	external.TLS = &config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: files.ClientKey}
	external.UsernameFile, external.PasswordFile = file("username", "writebehind"), file("password", "secret")
	external.SentinelUsernameFile, external.SentinelPasswordFile = file("sentinel", "flusher"), file("word", "hears")
	f, _ := s.flush()
	s.writes(0)
	s.equal()
	before := s.trio.Primary()
	before.MustKill(t)
	s.trio.Elected(before)
	s.writes(100)
	s.equal()
	if events := lossesOf(f); events != 0 {
		t.Errorf("%d data-loss events", events)
	}
}

// TestARightThatAReaderLacksIsNamed, of the user at the servers and of the one at Sentinels.
func TestARightThatAReaderLacksIsNamed(t *testing.T) {
	t.Parallel()
	called := func(name, user string) journaltest.Option {
		return journaltest.User(strings.Replace(user, "writebehind", name, 1))
	}
	server := journaltest.New(t, called("mute", aReader("+psync")), called("blind", aReader("+scan")), called("idle", aReader("~wb:witness:*")), called("able", aReader()), forReaders)
	programs.Must(t, server.Client(t).Set(t.Context(), "product:1", `{"name":"x"}`, 0).Err())
	sentinel := journaltest.NewSentinel(t, server, 1)
	s := sentinel.Client(t)
	programs.Must(t, s.Do(t.Context(), "ACL", "SETUSER", "deaf", "on", ">hears", "+subscribe", "&+promoted-slave", "&+switch-master").Err())
	file := secretFiles(t)
	for name, c := range map[string]struct {
		user, sentinel string
		says           []string
	}{
		"to replicate": {"mute", "", []string{"Redis user mute lacks a right (command psync)", "ACL SETUSER mute +psync", "at every server"}},
		"to list keys": {"blind", "", []string{"Redis user blind lacks a right (command scan)", "ACL SETUSER blind +psync", "at every server"}},
		"to a witness": {"idle", "", []string{"Redis user idle lacks a right (a key)", "at every server"}},
		"to be told of": {"able", "deaf", []string{
			"the user at Sentinel " + sentinel.Addr(), "lacks a right", "+sentinel|master +sentinel|get-master-addr-by-name +subscribe",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, products, func(settings *config.Config) {
				quick(settings)
				settings.Capture = config.CaptureReplication
				external := &settings.Redis.External
				external.Mode, external.MasterName, external.Addresses = config.ModeSentinel, journaltest.MasterName, []string{sentinel.Addr()}
				external.UsernameFile, external.PasswordFile = file(c.user, c.user), file(c.user+"-password", "secret")
				if c.sentinel != "" {
					external.SentinelUsernameFile, external.SentinelPasswordFile = file(c.sentinel, c.sentinel), file(c.sentinel+"-password", "hears")
				}
			})
			check := r.oneWord(cachev1alpha1.ReasonPrivilegeMissing, redisOf)
			for _, want := range c.says {
				if !strings.Contains(check.Message, want) {
					t.Errorf("it says %q, which lacks %q", check.Message, want)
				}
			}
		})
	}
}

// BenchmarkFailOver has the Sentinels replace a primary at 5,000 writes a second: one that is
// killed, which they notice after two seconds, and one that is told to go. "unflushed-s" is the
// longest time without a flush, "lost-rows" are rows of what Redis itself has lost, and
// "events" is how often that was told.
func BenchmarkFailOver(b *testing.B) {
	for name, fail := range map[string]func(*elected, *journaltest.Server){
		"killed":  func(s *elected, primary *journaltest.Server) { primary.MustKill(s.t) },
		"told to": func(s *elected, _ *journaltest.Server) { s.trio.FailOver() },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				failOver(b, fail)
			}
		})
	}
}

func failOver(b *testing.B, fail func(*elected, *journaltest.Server)) {
	const writesPerSecond = 5000
	s := startElected(b)
	s.Config.Flush.BatchSize, s.Config.Flush.Concurrency = 1000, 4
	f, stop := s.flush()
	defer stop()
	u := s.update(writesPerSecond)
	u.more(b, 2*writesPerSecond)
	before := s.trio.Primary()
	longest, ended := watchFlushes(b.Context(), f)
	fail(s, before)
	s.trio.Elected(before)
	u.more(b, 2*writesPerSecond)
	gap := longest()
	<-ended
	u.end()
	lost := s.carried()
	status := f.Status()
	b.ReportMetric(gap.Seconds(), "unflushed-s")
	b.ReportMetric(float64(len(lost)), "lost-rows")
	b.ReportMetric(float64(lossesOf(f)), "events")
	b.ReportMetric(0, "ns/op")
	b.Logf("%d writes were confirmed; history %d; notice %q", u.confirmed.Load(), status.Replication.History, status.Replication.Notice)
	if len(lost) > 0 && lossesOf(f) == 0 {
		b.Error("what Redis lost is not counted")
	}
}

// watchFlushes looks for the longest time between two batches, until longest is called.
func watchFlushes(ctx context.Context, f *flusher.Flusher) (longest func() time.Duration, ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var gap time.Duration
	go func() {
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		var flushed int64
		for last := time.Now(); ctx.Err() == nil; <-ticker.C {
			var now int64
			status := f.Status()
			for i := range status.Queues {
				now += status.Queues[i].Flushed
			}
			if gap = max(gap, time.Since(last)); now != flushed {
				flushed, last = now, time.Now()
			}
		}
	}()
	return func() time.Duration {
		cancel()
		<-done
		return gap
	}, done
}
