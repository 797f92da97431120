// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// member is this flusher's membership in one life of a queue: what it knows of that life,
// and the partitions that it holds. Only the loop adds partitions and gives them to workers.
// A worker alone uses its partition until it puts it back.
type member struct {
	mu         sync.Mutex
	life       life
	partitions holdings
}

// life is what a member knows of one life of a queue. It is a value: a copy never changes.
type life struct {
	// opened are the settings that were last written to the queue in Redis; nil when they
	// have to be written again.
	opened      *settings
	incarnation string
	lastBeat    time.Time
	// released is how many partitions of the queue were ever released, as last polled.
	released int64
	// seen is what Redis last reported of the queue. trust is whether the queue may be
	// flushed from this Redis.
	seen  entry.Seen
	trust trust
	// ended is the life that the ledger has recorded as drained to its end.
	ended string
}

// now returns a copy of the life.
func (m *member) now() life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

// after changes the life under the lock.
func (m *member) after(event func(*life)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	event(&m.life)
}

// enter begins the life of the queue that Redis reports, and returns the previous one. A
// new life voids every partition held in the old one.
func (m *member) enter(incarnation string) (before string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before = m.life.incarnation; before != incarnation {
		m.life.incarnation, m.life.trust = incarnation, trust{}
		m.partitions.loseAll()
	}
	return before
}

func (m *member) follow(beat entry.Membership, now time.Time) (surplus []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.partitions.follow(beat, now)
}

// leave forgets the partitions, and that the queue is open.
func (m *member) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life.opened = nil
	m.partitions.loseAll()
}

// held lists the partitions, in order, with the steps of the idle ones that have begun
// their epoch. begun means that every idle partition has begun its epoch.
func (m *member) held() (numbers []int, steps map[int]int64, begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps, begun = make(map[int]int64), true
	for number, p := range m.partitions {
		switch {
		case p.busy:
		case p.epoch == 0:
			begun = false
		default:
			steps[number] = p.lease.Step
		}
	}
	return slices.Sorted(maps.Keys(m.partitions)), steps, begun
}

// polled records what waits in the partitions, and returns the partitions whose step in
// Redis differs from their own: they begin again. The highest number of writes is kept, but that of another
// life of Redis waits for the beat, which compares first.
func (m *member) polled(seen entry.Loads, numbers []int, steps map[int]int64) (older []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.seen.Incarnation == m.life.incarnation && seen.Since != 0 && seen.Since == m.life.seen.Since {
		m.life.seen.Writes = max(m.life.seen.Writes, seen.Writes)
	}
	if seen.Left != m.life.released {
		// A member that leaves releases its partitions at once: the next step takes them.
		m.life.released, m.life.lastBeat = seen.Left, time.Time{}
	}
	for i, number := range numbers {
		// Only the loop starts workers: what was idle still is.
		p := m.partitions[number]
		if step, ok := steps[number]; ok && p != nil && step != seen.Of[i].Step {
			p.epoch = 0
			older = append(older, number)
		}
	}
	return older
}

// waitTimes returns, for each partition, the time by which partitions compete for slots:
// the age of its oldest fresh entry or, if it has only retries, the time since its last
// sweep. While the mapping is paused the latter counts for all, so that trials rotate
// through the partitions.
func (m *member) waitTimes(numbers []int, loads []entry.Load, paused bool, now time.Time) []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	ages := make([]time.Duration, len(loads))
	for i := range loads {
		ages[i] = time.Duration(loads[i].HeadMilliseconds) * time.Millisecond
		if p := m.partitions[numbers[i]]; p != nil && (loads[i].Fresh == 0 || paused) {
			ages[i] = now.Sub(p.lastSweep)
		}
	}
	return ages
}

// idle returns a copy of the partition, if no worker uses it.
func (m *member) idle(number int) (p partition, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.partitions[number]; held != nil && !held.busy && !held.leaseLost {
		return *held, true
	}
	return partition{}, false
}

// take returns the partition for a worker, or nil if it is not as it was any more.
func (m *member) take(as partition) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.partitions[as.number]
	if p == nil || p.busy || p.leaseLost || p.epoch != as.epoch {
		return nil
	}
	if m.life.trust.split != "" || p.epoch != 0 && !m.life.trust.doubted.IsZero() {
		// A doubt has come up since the loop looked.
		return nil
	}
	p.busy = true
	return p
}

// putBack ends the work at a partition.
func (m *member) putBack(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.busy, p.lastSweep = false, time.Now()
	m.partitions.forgetLost()
}

// lose records that the lease of a partition is gone.
func (m *member) lose(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.leaseLost = true
}

// swept records that the partition had its last sweep.
func (m *member) swept(number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.partitions[number]; p != nil {
		p.lastSwept = true
	}
}

// finished reports whether no worker uses a partition and, if last sweeps are possible, no
// partition waits for its last sweep.
func (m *member) finished(sweeps bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.partitions {
		if p.busy || sweeps && !p.lastSwept && !p.leaseLost {
			return false
		}
	}
	return true
}

// begun returns the life of the queue, and the leases under which idle partitions have
// begun their epochs in it: none once the member has stopped.
func (m *member) begun() (incarnation string, leases map[int]*entry.Term) {
	m.mu.Lock()
	defer m.mu.Unlock()
	leases = make(map[int]*entry.Term)
	for number, p := range m.partitions {
		if m.life.trust.split == "" && !p.busy && !p.leaseLost && p.epoch != 0 && p.lease.Incarnation == m.life.incarnation {
			leases[number] = p.lease
		}
	}
	return m.life.incarnation, leases
}

// beginAgain lets a partition that is idle under the lease begin again after another beat, and
// reports whether it does. If another flusher has raised its epoch, and the partition was
// behind the ledger when its epoch began, the member stops instead; split is the reason.
func (m *member) beginAgain(number int, lease *entry.Term, split string) (begins, stops bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.partitions[number]
	switch {
	case !p.isAt(lease), m.life.trust.split != "":
		return false, false
	case split != "" && p.redisBehind:
		m.life.trust.split = split
		return false, true
	}
	p.epoch, m.life.lastBeat = 0, time.Time{}
	return true, false
}

// updateTrust updates trust from what the partitions have found out: whether each is behind.
func (m *member) updateTrust(now time.Time, longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life.trust.update(m.partitions, now, longest)
}

// doubtsNoMore ends a doubt whose time has passed, and reports whether there was one.
func (m *member) doubtsNoMore(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.trust.doubted.IsZero() || !now.After(m.life.trust.doubted) || m.life.trust.split != "" {
		return false
	}
	m.life.trust.doubted = time.Time{}
	for _, p := range m.partitions {
		if !p.busy {
			p.redisBehind = false
		}
	}
	return true
}

// leased lists the partitions whose leases are not lost, in order.
func (m *member) leased() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var numbers []int
	for number, p := range m.partitions {
		if !p.leaseLost {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}
