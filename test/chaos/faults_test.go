// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2"
)

// kind is one sort of fault.
type kind struct {
	name string
	// attacks is the promise that should break if it can.
	attacks string
	// needs names what two faults cannot have at the same time.
	needs []string
	// often is how many times it comes in one round: once if 0, and more where it
	// takes luck to hit the moment that counts.
	often int
	// It lasts between shortest and longest.
	shortest, longest time.Duration
	// run inflicts it, waits, and heals it. It heals early when ctx ends.
	run func(ctx context.Context, w *world, f fault) error
}

// What faults have hold of.
const (
	aFlusher     = "flusher"
	aGuest       = "guest"
	aRedisWay    = "way to Redis"
	aPostgresWay = "way to PostgreSQL"
	theRedis     = "Redis"
	thePostgres  = "PostgreSQL"
	theConfig    = "config"
	theWriters   = "writers"
)

// several says how many there are of what is not there once; a fault has hold of its
// target's alone.
var several = map[string]int{aFlusher: members, aGuest: guests, aRedisWay: members, aPostgresWay: members}

// diskFull is the kind that not every machine can have.
const diskFull = "postgres-disk-full"

// kinds are all kinds of faults.
var kinds = []kind{
	{
		name: "flusher-killed", attacks: "a flusher killed at any instruction loses nothing and writes nothing twice",
		often: 2, needs: []string{aFlusher}, shortest: 100 * time.Millisecond, longest: 3 * time.Second, run: flusherKilled,
	},
	{
		name: "flusher-stopped", attacks: "a flusher that wakes up long after its lease writes nothing over its successor",
		often: 2, needs: []string{aFlusher}, shortest: leaseTime + time.Second, longest: 2 * leaseTime, run: flusherStopped,
	},
	{
		name: "flusher-leaves", attacks: "partitions are handed over at once, and nothing is dropped on the way out",
		needs: []string{aFlusher}, shortest: 0, longest: 2 * time.Second, run: flusherLeaves,
	},
	{
		name: "flusher-joins", attacks: "partitions are shared anew while they are being flushed",
		needs: []string{aGuest}, shortest: 2 * time.Second, longest: 6 * time.Second, run: flusherJoins,
	},
	{
		name: "redis-cut", attacks: "an acknowledgement applies once, however often it is cut off",
		needs: []string{aRedisWay}, shortest: 100 * time.Millisecond, longest: 3 * time.Second, run: redisWay(func(fault) []toxic { return cut() }),
	},
	{
		name: "redis-slow", attacks: "a claim that comes late is not taken for the one that is out",
		needs: []string{aRedisWay}, shortest: time.Second, longest: 4 * time.Second, run: redisWay(slow),
	},
	{
		name: "redis-half-open", attacks: "a flusher that cannot reach Redis loses its leases, and knows it",
		needs: []string{aRedisWay}, shortest: time.Second, longest: 2 * leaseTime, run: redisWay(halfOpen),
	},
	{
		name: "redis-answer-lost", attacks: "an acknowledgement whose answer is lost neither repeats nor loses what it said",
		needs: []string{aRedisWay}, shortest: 500 * time.Millisecond, longest: 2 * leaseTime, run: redisWay(answerLost),
	},
	{
		name: "postgres-cut", attacks: "a batch that was cut off is written once",
		needs: []string{aPostgresWay}, shortest: 100 * time.Millisecond, longest: 3 * time.Second, run: postgresWay(func(fault) []toxic { return cut() }),
	},
	{
		name: "postgres-slow", attacks: "statements that come late stay in order",
		needs: []string{aPostgresWay}, shortest: time.Second, longest: 4 * time.Second, run: postgresWay(slow),
	},
	{
		name: "postgres-half-open", attacks: "a stuck connection neither blocks a partition for ever nor lets two write it",
		needs: []string{aPostgresWay}, shortest: time.Second, longest: 2 * leaseTime, run: postgresWay(halfOpen),
	},
	{
		name: "postgres-answer-lost", attacks: "a COMMIT whose answer is lost is neither forgotten nor repeated in its epoch",
		often: 2, needs: []string{aPostgresWay}, shortest: 500 * time.Millisecond, longest: 2 * leaseTime, run: postgresWay(answerLost),
	},
	{
		name: "postgres-too-late", attacks: "a transaction that arrives after the successor's takes no effect",
		often: 3, needs: []string{aFlusher, aPostgresWay}, shortest: leaseTime + 2*time.Second, longest: 2*leaseTime + time.Second, run: postgresTooLate,
	},
	{
		name: "postgres-stopped", attacks: "a database that goes away loses and repeats nothing",
		needs: []string{thePostgres}, shortest: 0, longest: 3 * time.Second, run: postgresDown(syscall.SIGQUIT),
	},
	{
		name: "postgres-killed", attacks: "a database that crashes in the middle of a commit loses and repeats nothing",
		needs: []string{thePostgres}, shortest: 0, longest: 3 * time.Second, run: postgresDown(syscall.SIGKILL),
	},
	{
		name: "sessions-terminated", attacks: "an administrator's pg_terminate_backend is one more lost answer",
		needs: []string{thePostgres}, shortest: 0, longest: 0, run: sessionsTerminated,
	},
	{
		name: "table-locked", attacks: "a locked table is waited for, and nothing is dead-lettered because of it",
		needs: []string{thePostgres}, shortest: time.Second, longest: 5 * time.Second, run: tableLocked("items"),
	},
	{
		name: "ledger-locked", attacks: "no row takes effect before the ledger has moved, and no take-over hangs for ever",
		needs: []string{thePostgres}, shortest: time.Second, longest: 5 * time.Second, run: tableLocked("writebehind.ledger"),
	},
	{
		name: diskFull, attacks: "a database that cannot write keeps what it confirmed, and the queue waits",
		needs: []string{thePostgres}, shortest: time.Second, longest: 4 * time.Second, run: postgresDiskFull,
	},
	{
		name: "redis-killed", attacks: "under appendfsync always a crash of Redis loses nothing that was acknowledged",
		needs: []string{theRedis}, shortest: 0, longest: 2 * time.Second, run: redisKilled,
	},
	{
		name: "redis-stopped", attacks: "a Redis that stands still longer than the leases does not give one partition to two",
		needs: []string{theRedis}, shortest: time.Second, longest: leaseTime + 3*time.Second, run: redisStopped,
	},
	{
		name: "functions-flushed", attacks: "the function library comes back by itself, and the journal is as it was",
		needs: []string{theRedis}, shortest: 0, longest: 0, run: functionsFlushed,
	},
	{
		name: "clients-killed", attacks: "calls whose answers are lost, all at once",
		needs: []string{theRedis}, shortest: 0, longest: 0, run: clientsKilled,
	},
	{
		name: "redis-memory-full", attacks: "a refused capture changes nothing, and the queue drains though memory is full",
		needs: []string{theRedis}, shortest: time.Second, longest: 3 * time.Second, run: redisMemoryFull,
	},
	{
		name: "queue-full", attacks: "a full queue refuses new keys, takes dirty ones, and never holds more than its capacity",
		needs: []string{theConfig}, shortest: 500 * time.Millisecond, longest: 3 * time.Second, run: queueFull,
	},
	{
		name: "poison", attacks: "rows that the table refuses are set aside alone, and the newest one wins",
		needs: []string{theWriters}, shortest: time.Second, longest: 5 * time.Second, run: rowsPoisoned,
	},
	{
		name: "partial-documents", attacks: "a document that names some columns changes the row that is there, whatever the others demand",
		needs: []string{theWriters}, shortest: time.Second, longest: 5 * time.Second, run: documentsPartial,
	},
	{
		name: "row-ends-session", attacks: "a row that ends its session is set aside, and the others flow",
		needs: []string{thePostgres}, shortest: 2 * time.Second, longest: 10 * time.Second, run: rowTrapped("PERFORM pg_terminate_backend(pg_backend_pid())"),
	},
	{
		name: "row-raises", attacks: "a row is its own, whatever SQLSTATE it is refused with",
		needs: []string{thePostgres}, shortest: 2 * time.Second, longest: 8 * time.Second,
		run: rowTrapped("08001", "40001", "25006", "55P03", "57014", "53200", "P0001"),
	},
	{
		name: "every-row-refused", attacks: "a table that takes no row pauses its mapping, and makes no dead letter",
		needs: []string{thePostgres, theWriters}, shortest: time.Second, longest: 6 * time.Second, run: everyRowRefused,
	},
	{
		name: "table-altered", attacks: "the transaction that writes knows the table as it is then",
		often: 3, needs: []string{thePostgres}, shortest: 0, longest: time.Second, run: tableAltered,
	},
	{
		name: "unique-chain", attacks: "rows that pass a unique value on find their order, and none is a dead letter",
		needs: []string{thePostgres}, shortest: 0, longest: 0, run: uniqueChain,
	},
}

func flusherKilled(ctx context.Context, w *world, f fault) error {
	victim := w.flushers[f.target%members]
	victim.kill()
	hold(ctx, f.duration)
	return victim.start()
}

func flusherStopped(ctx context.Context, w *world, f fault) error {
	victim := w.flushers[f.target%members]
	victim.signal(syscall.SIGSTOP)
	hold(ctx, f.duration)
	victim.signal(syscall.SIGCONT)
	return nil
}

func flusherLeaves(ctx context.Context, w *world, f fault) error {
	victim := w.flushers[f.target%members]
	victim.leave()
	hold(ctx, f.duration)
	return victim.start()
}

func flusherJoins(ctx context.Context, w *world, f fault) error {
	guest := w.flushers[members+f.target%guests]
	if err := guest.start(); err != nil {
		return err
	}
	hold(ctx, f.duration)
	guest.leave()
	return nil
}

// redisWay and postgresWay put toxics on one flusher's way.
func redisWay(toxics func(fault) []toxic) func(context.Context, *world, fault) error {
	return way(func(f *flusher) *toxiproxy.Proxy { return f.toRedis }, toxics)
}

func postgresWay(toxics func(fault) []toxic) func(context.Context, *world, fault) error {
	return way(func(f *flusher) *toxiproxy.Proxy { return f.toPostgres }, toxics)
}

func way(of func(*flusher) *toxiproxy.Proxy, toxics func(fault) []toxic) func(context.Context, *world, fault) error {
	return func(ctx context.Context, w *world, f fault) error {
		heal, err := poisonProxy(of(w.flushers[f.target%members]), toxics(f))
		if err == nil {
			hold(ctx, f.duration)
		}
		if err := heal(); err != nil {
			return err
		}
		return err
	}
}

func slow(f fault) []toxic {
	milliseconds := int64(5 + 5*(f.target/members))
	return []toxic{delayed(upstream, milliseconds, milliseconds), delayed(downstream, milliseconds, milliseconds)}
}

func halfOpen(fault) []toxic { return []toxic{swallowed(upstream), swallowed(downstream)} }

func answerLost(fault) []toxic { return []toxic{swallowed(downstream)} }

// postgresTooLate holds a flusher's transactions up beyond its lease and takes the
// flusher out meanwhile, by killing or by stopping it: its successors write, and then
// its own transactions arrive.
func postgresTooLate(ctx context.Context, w *world, f fault) error {
	victim := w.flushers[f.target%members]
	late := f.duration - 500*time.Millisecond
	heal, err := poisonProxy(victim.toPostgres, []toxic{delayed(upstream, late.Milliseconds(), 0)})
	if err != nil {
		return err
	}
	// Long enough for a batch to be on its way.
	hold(ctx, f.duration/10)
	if f.target/members%2 == 0 {
		victim.kill()
	} else {
		victim.signal(syscall.SIGSTOP)
	}
	hold(ctx, f.duration)
	err = heal()
	victim.signal(syscall.SIGCONT)
	if startErr := victim.start(); startErr != nil {
		return startErr
	}
	return err
}
