// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

var _ flusher.Source = (*Source)(nil)

// Source is a source of entries in memory. Set and Delete are what an application calls.
type Source struct {
	mu     sync.Mutex
	queues map[string]*queue
	began  int64
}

// queue is one life of a queue.
type queue struct {
	settings    config.QueueSettings
	incarnation string
	// fresh is set until a term has begun, in a queue whose loss nobody would notice.
	fresh      bool
	members    map[string]time.Time
	partitions []*partition
	left       int64
	stats      entry.Stats
	onlooker   string
	onlooks    time.Time
}

type partition struct {
	holder string
	expiry time.Time
	// epoch, step and incarnation are those of the term that has begun.
	epoch, step int64
	incarnation string
	// order are the keys that are claimed next, due the times of those that wait aside.
	order   []string
	due     map[string]time.Time
	entries map[string]*entry.Entry
	letters map[string]*entry.DeadLetter
	// floor is the lowest version that may be given out, top the highest that was settled as
	// Done.
	floor, top int64
	// claim is the number given out last, out how many entries of it are not acknowledged.
	claim, acknowledged int64
	out                 int
}

// NewSource makes an empty source.
func NewSource() *Source {
	return &Source{queues: make(map[string]*queue), began: time.Now().UnixMicro()}
}

// Set writes a key as an application does, and returns the version.
func (s *Source) Set(name, key, value string) int64 {
	return s.write(name, entry.Entry{Key: key, Operation: entry.Set, Value: value})
}

// Delete deletes a key as an application does, and returns the version.
func (s *Source) Delete(name, key string) int64 {
	return s.write(name, entry.Entry{Key: key, Operation: entry.Delete})
}

func (s *Source) write(name string, e entry.Entry) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		panic("enginetest: there is no queue " + name)
	}
	p := q.partitions[partitionOf(e.Key, len(q.partitions))]
	p.floor = max(p.floor+1, time.Now().UnixMicro())
	e.Version, e.First, e.Writes = p.floor, p.floor, 1
	if before := p.entries[e.Key]; before != nil {
		e.First, e.Writes = before.First, before.Writes+1
		if _, aside := p.due[e.Key]; aside {
			delete(p.due, e.Key)
			p.order = append(p.order, e.Key)
		}
	} else {
		p.order = append(p.order, e.Key)
	}
	p.entries[e.Key] = &e
	q.stats.Writes++
	return e.Version
}

// LoseValue takes the value of a dirty key away behind the source's back.
func (s *Source) LoseValue(name, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	e := q.partitions[partitionOf(key, len(q.partitions))].entries[key]
	e.Value, e.Lost = "", true
}

// Wipe loses everything, as a server without persistence does that restarts.
func (s *Source) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues, s.began = make(map[string]*queue), time.Now().UnixMicro()
}

// Forget makes the source count so many writes less, as a server does that comes back with
// older data.
func (s *Source) Forget(name string, writes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[name].stats.Writes -= writes
}

// DeadLetters are those of the queue, by key.
func (s *Source) DeadLetters(name string) map[string]entry.DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	letters := make(map[string]entry.DeadLetter)
	for _, p := range s.queues[name].partitions {
		for key, letter := range p.letters {
			letters[key] = *letter
		}
	}
	return letters
}

func partitionOf(key string, partitions int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions)) //nolint:gosec // There are a few partitions.
}

// Prepare has nothing to load.
func (s *Source) Prepare(ctx context.Context) error { return ctx.Err() }

// Open makes the queue if it is not there.
func (s *Source) Open(ctx context.Context, settings config.QueueSettings, offered string, lost bool) (entry.Opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[settings.Mapping.Name]
	made := q == nil
	if made {
		q = &queue{incarnation: offered, fresh: settings.Alone && !lost, members: make(map[string]time.Time)}
		for range settings.Mapping.Partitions {
			q.partitions = append(q.partitions, &partition{
				due: make(map[string]time.Time), entries: make(map[string]*entry.Entry), letters: make(map[string]*entry.DeadLetter),
			})
		}
		if lost {
			q.stats.DataLoss++
		}
		s.queues[settings.Mapping.Name] = q
	}
	if made || settings.Owner != q.settings.Owner || settings.Revision >= q.settings.Revision {
		q.settings = settings
	}
	return entry.Opened{Incarnation: q.incarnation, Partitions: len(q.partitions), Made: made, Revision: q.settings.Revision}, ctx.Err()
}

// Beat shares the partitions evenly among the members that are alive.
func (s *Source) Beat(ctx context.Context, settings config.QueueSettings, member string, ttlMilliseconds int64, seen entry.Seen) (entry.Membership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, settings.Mapping.Name)
	if err != nil {
		return entry.Membership{}, err
	}
	now := time.Now()
	expiry := now.Add(time.Duration(ttlMilliseconds) * time.Millisecond)
	q.members[member] = expiry
	maps.DeleteFunc(q.members, func(_ string, until time.Time) bool { return !now.Before(until) })
	share := (len(q.partitions) + len(q.members) - 1) / len(q.members)
	beat := entry.Membership{
		Incarnation: q.incarnation, Partitions: len(q.partitions), Share: share, Held: make(map[int]int64),
		Seen: entry.Seen{Incarnation: q.incarnation, Since: s.began, Writes: q.stats.Writes},
	}
	if seen.Incarnation == q.incarnation && seen.Since != 0 && seen.Writes > q.stats.Writes {
		beat.LostWrites = seen.Writes - q.stats.Writes
		q.stats.DataLoss++
	}
	for n, p := range q.partitions {
		if p.holder == member {
			p.expiry, beat.Held[n] = expiry, p.epoch
		}
	}
	for n, p := range q.partitions {
		if len(beat.Held) < share && !p.isHeld(now) {
			p.holder, p.expiry, p.epoch, beat.Held[n] = member, expiry, 0, 0
		}
	}
	return beat, nil
}

func (p *partition) isHeld(now time.Time) bool { return p.holder != "" && now.Before(p.expiry) }

// find is the queue, unless the caller has given up. The mutex is held.
func (s *Source) find(ctx context.Context, name string) (*queue, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("queue %s: %w", name, entry.ErrNoQueue)
}

// enter is the partition of a term whose member holds it. The mutex is held.
func (s *Source) enter(ctx context.Context, t *entry.Term) (*queue, *partition, error) {
	q, err := s.find(ctx, t.Queue)
	if err != nil {
		return nil, nil, err
	}
	p := q.partitions[t.Partition]
	if p.holder != t.Member || q.incarnation != t.Incarnation {
		return nil, nil, fmt.Errorf("partition %d: %w", t.Partition, entry.ErrLeaseLost)
	}
	return q, p, nil
}

// Begin compares what the ledger and the queue know of the shard.
func (s *Source) Begin(ctx context.Context, t *entry.Term, floor, committed int64, _ *entry.Term, earlier bool) (entry.Agreement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, t)
	if err != nil {
		return entry.Agreed, err
	}
	agreement := entry.Agreed
	switch {
	case committed > p.top && !p.explains(committed):
		agreement = entry.RedisWentBack
	case committed < p.top:
		agreement = entry.DatabaseWentBack
	case q.fresh && earlier:
		agreement = entry.EarlierLifeLost
	}
	q.fresh = false
	p.epoch, p.incarnation, p.step, t.Step, p.out = t.Epoch, t.Incarnation, 0, 0, 0
	p.top = max(p.top, committed)
	p.floor = max(p.floor, floor, p.top)
	if agreement != entry.Agreed {
		q.stats.DataLoss++
	}
	return agreement, nil
}

// explains tells whether a claim is out that may have committed up to the version.
func (p *partition) explains(committed int64) bool {
	for _, key := range p.order[:min(p.out, len(p.order))] {
		if e := p.entries[key]; e != nil && e.Version >= committed {
			return true
		}
	}
	return false
}

// Holds compares the term with the one in force.
func (s *Source) Holds(ctx context.Context, t *entry.Term) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[t.Queue]
	if q == nil {
		return false, ctx.Err()
	}
	p := q.partitions[t.Partition]
	return p.holder == t.Member && p.epoch == t.Epoch && p.incarnation == t.Incarnation, ctx.Err()
}

// Onlooks is true of one of those that ask.
func (s *Source) Onlooks(ctx context.Context, name, member string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return false, err
	}
	if q.onlooker != member && time.Now().Before(q.onlooks) {
		return false, nil
	}
	q.onlooker, q.onlooks = member, time.Now().Add(ttl)
	return true, nil
}

// Free lists the partitions whose leases have run out, too.
func (s *Source) Free(ctx context.Context, name string) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	var free []int
	for n, p := range q.partitions {
		if !p.isHeld(time.Now()) {
			free = append(free, n)
		}
	}
	return free, nil
}

// Release gives the partitions back that the member holds.
func (s *Source) Release(ctx context.Context, name, member string, partitions ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		q.release(member, partitions)
	}
	return ctx.Err()
}

func (q *queue) release(member string, partitions []int) {
	for _, n := range partitions {
		if p := q.partitions[n]; p.holder == member {
			p.holder, p.epoch = "", 0
			q.left++
		}
	}
}

// Leave gives all partitions back.
func (s *Source) Leave(ctx context.Context, name, member string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		delete(q.members, member)
		for n := range q.partitions {
			q.release(member, []int{n})
		}
	}
	return ctx.Err()
}

// Poll counts what waits.
func (s *Source) Poll(ctx context.Context, name string, partitions []int) (entry.Loads, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return entry.Loads{Of: make([]entry.Load, len(partitions))}, ctx.Err()
	}
	loads := entry.Loads{Left: q.left, Since: s.began, Writes: q.stats.Writes}
	for _, n := range partitions {
		loads.Of = append(loads.Of, q.partitions[n].load(time.Now()))
	}
	return loads, ctx.Err()
}

func (p *partition) load(now time.Time) entry.Load {
	load := entry.Load{Entries: int64(len(p.entries)), DeadLetters: int64(len(p.letters)), Step: p.step}
	for _, key := range p.order {
		if e := p.entries[key]; e.Attempts == 0 {
			if load.Fresh == 0 {
				load.HeadMilliseconds = age(now, e)
			}
			load.Fresh++
		} else {
			load.Due++
		}
	}
	for _, due := range p.due {
		if !now.Before(due) {
			load.Due++
		}
	}
	for _, e := range p.entries {
		load.OldestMilliseconds = max(load.OldestMilliseconds, age(now, e))
	}
	return load
}

func age(now time.Time, e *entry.Entry) int64 { return max(0, now.UnixMicro()-e.First) / 1000 }

// Stats adds up the partitions.
func (s *Source) Stats(ctx context.Context, name string) (entry.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return entry.Stats{}, err
	}
	stats := q.stats
	stats.Incarnation, stats.State, stats.Max, stats.Revision = q.incarnation, q.settings.State, int64(q.settings.MaxDepth), q.settings.Revision
	for _, p := range q.partitions {
		load := p.load(time.Now())
		stats.Depth += load.Entries
		stats.Dead += load.DeadLetters
		stats.Refused += load.Entries - load.Fresh
		stats.OldestMilliseconds = max(stats.OldestMilliseconds, load.OldestMilliseconds)
	}
	return stats, nil
}

// Claim takes refused entries that are due first, then the order as it stands.
func (s *Source) Claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	if most.Room != nil {
		if err := most.Room.Take(ctx, most.Bytes); err != nil {
			return nil, err
		}
	}
	claim, err := s.claim(ctx, t, prefix, most)
	if most.Room != nil {
		used := 0
		if claim != nil {
			used = claim.Bytes()
		}
		most.Room.Settle(used)
	}
	return claim, err
}

func (s *Source) claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case p.epoch != t.Epoch || !p.isHeld(time.Now()) || q.settings.Mapping.KeyPrefix != prefix:
		return nil, fmt.Errorf("claim partition %d: %w", t.Partition, entry.ErrLeaseLost)
	case p.step != t.Step:
		return nil, fmt.Errorf("claim partition %d: %w", t.Partition, entry.ErrStep)
	}
	p.takeDue(min(most.Retries, most.Entries))
	claim := &entry.Claim{Term: t}
	bytes := 0
	for _, key := range p.order[:min(most.Entries, len(p.order))] {
		e := *p.entries[key]
		if bytes += len(e.Value); bytes > most.Bytes && len(claim.Entries) > 0 {
			break
		}
		e.Raw = rawOf(&e)
		claim.Entries = append(claim.Entries, e)
	}
	p.out = len(claim.Entries)
	if p.out > 0 {
		p.claim++
		p.step++
		t.Step++
	}
	claim.Number = p.claim
	return claim, nil
}

// takeDue puts refused entries that are due at the head of the order.
func (p *partition) takeDue(most int) {
	for _, key := range p.order {
		if p.entries[key].Attempts > 0 {
			most--
		}
	}
	var due []string
	for key, at := range p.due {
		if !time.Now().Before(at) {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b string) int { return p.due[a].Compare(p.due[b]) })
	due = due[:max(0, min(most, len(due)))]
	for _, key := range due {
		delete(p.due, key)
	}
	p.order = append(due, p.order...)
}

// rawOf is what an acknowledgement compares: a write in between changes it.
func rawOf(e *entry.Entry) string {
	return strconv.FormatInt(e.Version, 10) + ":" + strconv.Itoa(e.Attempts)
}

// Acknowledge settles the claim as a whole.
func (s *Source) Acknowledge(ctx context.Context, c *entry.Claim, settlements []entry.Settlement) (entry.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, c.Term)
	switch {
	case err != nil:
		return entry.Receipt{}, err
	case len(settlements) != len(c.Entries):
		return entry.Receipt{}, fmt.Errorf("%d settlements for %d entries", len(settlements), len(c.Entries))
	case p.epoch != c.Term.Epoch:
		return entry.Receipt{}, fmt.Errorf("acknowledge partition %d: %w", c.Term.Partition, entry.ErrLeaseLost)
	case p.acknowledged == c.Number:
		return entry.Receipt{}, nil
	case p.claim != c.Number || p.out == 0:
		return entry.Receipt{}, fmt.Errorf("acknowledge partition %d: %w", c.Term.Partition, entry.ErrClaimVoid)
	}
	for i := range settlements {
		if o := settlements[i].Outcome; o == 0 || (o == entry.Dead || o == entry.Lost) && settlements[i].Letter == nil {
			return entry.Receipt{}, fmt.Errorf("entry %s has no outcome, or a dead letter of which nothing is said", c.Entries[i].Key)
		}
	}
	receipt := entry.Receipt{Applied: true}
	p.order = p.order[p.out:]
	for i := range settlements {
		receipt.Superseded += p.settle(&q.stats, &c.Entries[i], settlements[i])
	}
	p.acknowledged, p.out = c.Number, 0
	p.step++
	c.Term.Step++
	return receipt, nil
}

// settle deals with one entry, which has left the order, and counts the dead letters that
// have gone.
func (p *partition) settle(stats *entry.Stats, e *entry.Entry, s entry.Settlement) (superseded int64) {
	now := p.entries[e.Key]
	rewritten := rawOf(now) != e.Raw
	p.floor = max(p.floor, e.Version)
	if s.Outcome == entry.Done {
		p.top = max(p.top, e.Version)
		stats.Flushed++
		stats.Coalesced += e.Writes - 1
		if p.letters[e.Key] != nil {
			delete(p.letters, e.Key)
			superseded++
		}
		if rewritten {
			now.First, now.Writes = e.Version+1, now.Writes-e.Writes
		}
	}
	switch {
	case rewritten, s.Outcome == entry.Kept && e.Attempts == 0:
		p.order = append(p.order, e.Key)
		return superseded
	case s.Outcome == entry.Refused:
		if now.Attempts++; now.FirstRefused == 0 {
			now.FirstRefused = time.Now().UnixMicro()
		}
		p.due[e.Key] = time.Now().Add(s.Wait)
		return superseded
	case s.Outcome == entry.Kept:
		p.due[e.Key] = time.Now().Add(s.Wait)
		return superseded
	}
	delete(p.entries, e.Key)
	if s.Outcome == entry.Lost {
		stats.DataLoss++
	}
	if s.Letter != nil {
		letter := *s.Letter
		letter.Key, letter.Version, letter.Operation, letter.Payload = e.Key, e.Version, e.Operation.String(), e.Value
		if p.letters[e.Key] != nil {
			superseded++
		}
		p.letters[e.Key] = &letter
	}
	return superseded
}

// Check finds nothing wrong.
func (s *Source) Check(ctx context.Context) config.Check {
	if err := ctx.Err(); err != nil {
		return s.Explain(err)
	}
	return config.Check{OK: true}
}

// Prove makes a connection that needs no credentials.
func (s *Source) Prove(ctx context.Context) error { return ctx.Err() }

// Durability claims more than memory keeps.
func (s *Source) Durability(context.Context) (persistence, eviction config.Check) {
	return config.Check{OK: true}, config.Check{OK: true}
}

// Explain takes every error for one of the connection.
func (s *Source) Explain(err error) config.Check {
	return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error()}
}

// Close has nothing to close.
func (s *Source) Close() error { return nil }
