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

// member is this flusher among those of a queue, in one life of the queue: what it knows
// of that life, and the partitions that it holds. Only the loop enters partitions, and takes
// them for a worker. Until that one puts its partition back it alone uses it.
type member struct {
	mu         sync.Mutex
	life       life
	partitions holdings
}

// life is what a member knows of one life of a queue. It is a value: a copy never changes.
type life struct {
	// opened are the settings that the queue in Redis was given last, nil when it has to
	// be given them again.
	opened      *settings
	incarnation string
	lastBeat    time.Time
	// left is how many partitions of the queue were ever given back, as last seen.
	left int64
	// seen is what Redis told of the queue last, trust whether it may be flushed from here.
	seen  entry.Seen
	trust trust
	// ended is the life of which the ledger knows that it was drained to its end.
	ended string
}

// now is the life as it is.
func (m *member) now() life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

// after makes the life another one.
func (m *member) after(event func(*life)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	event(&m.life)
}

// enter begins the life of the queue that Redis tells of, and returns the one before. A
// new one makes everything held in the old one void.
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

// leave forgets what is held, and that the queue is open.
func (m *member) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life.opened = nil
	m.partitions.loseAll()
}

// held lists the partitions, in order, with the steps of those that have begun and are
// idle. begun says that all have that are idle.
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

// polled takes what waits in the partitions, and returns those whose steps are not those
// that they had: they begin anew. The highest number of writes is kept, but that of another
// life of Redis waits for the beat, which compares first.
func (m *member) polled(seen entry.Loads, numbers []int, steps map[int]int64) (older []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.seen.Incarnation == m.life.incarnation && seen.Since != 0 && seen.Since == m.life.seen.Since {
		m.life.seen.Writes = max(m.life.seen.Writes, seen.Writes)
	}
	if seen.Left != m.life.left {
		// Whoever leaves hands over at once: the next step takes what is free.
		m.life.left, m.life.lastBeat = seen.Left, time.Time{}
	}
	for i, number := range numbers {
		// Nobody but the loop starts a worker: what was idle still is.
		p := m.partitions[number]
		if step, ok := steps[number]; ok && p != nil && step != seen.Of[i].Step {
			p.epoch = 0
			older = append(older, number)
		}
	}
	return older
}

// ages says how long each partition waits for a slot: as long as its oldest fresh
// entry or, with nothing but entries to be tried again, since it was last looked
// after. So do all while the mapping is paused, or the trials would always be of the
// same.
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

// idle is the partition as it is, if no worker is at it.
func (m *member) idle(number int) (p partition, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.partitions[number]; held != nil && !held.busy && !held.leaseLost {
		return *held, true
	}
	return partition{}, false
}

// take gives the partition to a worker, if it still is as it was. Otherwise it is nil.
func (m *member) take(as partition) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.partitions[as.number]
	if p == nil || p.busy || p.leaseLost || p.epoch != as.epoch {
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

// lose notes that the lease of a partition is gone.
func (m *member) lose(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.leaseLost = true
}

// swept notes that the partition has nothing to wait for before the end.
func (m *member) swept(number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.partitions[number]; p != nil {
		p.lastSwept = true
	}
}

// finished tells whether no worker is at a partition and, where the last sweep can be, none
// waits for it.
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

// begun is the life of the queue, and the leases under which idle partitions have begun in
// it: none, once the member has stopped.
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

// anew makes a partition begin anew that is idle under the lease, after another beat, and
// reports whether it is. Where another flusher has raised its epoch, split is why the member
// stops instead if the partition was behind the ledger when its epoch began.
func (m *member) anew(number int, lease *entry.Term, split string) (begins, stops bool) {
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

// look finds out whether every partition has told whether it is behind.
func (m *member) look(now time.Time, longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life.trust.look(m.partitions, now, longest)
}

// doubtsNoMore ends a doubt whose time is over, and reports whether there was one.
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

// holds lists the partitions whose leases are not gone, in order.
func (m *member) holds() []int {
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
