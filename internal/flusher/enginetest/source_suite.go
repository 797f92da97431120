// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// SourceUnderTest is an empty source with its application's side.
type SourceUnderTest struct {
	flusher.Source
	// Set and Delete write a key of the queue, and return the version.
	Set    func(queue, key, value string) int64
	Delete func(queue, key string) int64
	// Stream says that versions are offsets in a stream, and the first write of an entry a time.
	Stream bool
}

const (
	suiteQueue = "products"
	// suiteTTL is long enough that no lease runs out by accident.
	suiteTTL = 60_000
	// aside is a wait that no test outlives, and no clock that was put back explains.
	aside = time.Minute
)

// SourceConforms proves that a source does what the engine expects of one. make makes an
// empty one for each test.
func SourceConforms(t *testing.T, make func(t *testing.T) SourceUnderTest) {
	runSourceTests(t, make, map[string]func(*sourceTest){
		"there may be no queue":                     (*sourceTest).noQueue,
		"a claim is bounded, and in order":          (*sourceTest).claimIsBounded,
		"a claim makes the one before it void":      (*sourceTest).claimVoids,
		"an acknowledgement applies once":           (*sourceTest).acknowledgementAppliesOnce,
		"every outcome":                             (*sourceTest).everyOutcome,
		"a write after the claim stays dirty":       (*sourceTest).rewrittenStaysDirty,
		"a refused entry waits aside":               (*sourceTest).refusedWaits,
		"a newer write supersedes a dead letter":    (*sourceTest).superseded,
		"a poll counts what waits":                  (*sourceTest).pollCounts,
		"a call of somebody who has given up fails": (*sourceTest).givenUp,
	})
}

// SharesConform proves what the engine expects of a source beside that whose members share the
// partitions of a queue. One that a single member reads as a whole has none of it.
func SharesConform(t *testing.T, make func(t *testing.T) SourceUnderTest) {
	runSourceTests(t, make, map[string]func(*sourceTest){
		"a queue is made once":                (*sourceTest).queueIsMadeOnce,
		"members share the partitions":        (*sourceTest).membersShare,
		"only the owner claims, in its epoch": (*sourceTest).onlyTheOwner,
		"source and ledger are compared":      (*sourceTest).compared,
	})
}

func runSourceTests(t *testing.T, make func(t *testing.T) SourceUnderTest, tests map[string]func(*sourceTest)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &sourceTest{SourceUnderTest: make(t), t: t}
			s.settings = config.QueueSettings{
				Owner: "test", Revision: 1, Mapping: config.DefaultMapping(), MaxDepth: 1000, WhenFull: config.WhenFullReject, State: config.StateOpen,
			}
			s.settings.Mapping.Name, s.settings.Mapping.KeyPrefix, s.settings.Mapping.Partitions = suiteQueue, "product:", 1
			s.must(s.Prepare(t.Context()))
			test(s)
		})
	}
}

type sourceTest struct {
	SourceUnderTest
	t        *testing.T
	settings config.QueueSettings
	// life is the incarnation that was opened last.
	life string
	// committed is the highest version that was committed.
	committed int64
}

func (s *sourceTest) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sourceTest) is(err, want error, what string) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (s *sourceTest) open(incarnation string, lost bool) entry.Opened {
	s.t.Helper()
	opened, err := s.Open(s.t.Context(), s.settings, incarnation, lost)
	s.must(err)
	s.life = opened.Incarnation
	return opened
}

func (s *sourceTest) beat(member string) entry.Membership {
	s.t.Helper()
	beat, err := s.Beat(s.t.Context(), s.settings, member, suiteTTL, entry.Seen{})
	s.must(err)
	return beat
}

// term begins an epoch of the only partition.
func (s *sourceTest) term(member string, epoch int64) *entry.Term {
	s.t.Helper()
	s.open("life", false)
	s.beat(member)
	t := &entry.Term{Shard: entry.Shard{Queue: suiteQueue, Incarnation: s.life}, Member: member, Epoch: epoch}
	_, err := s.Begin(s.t.Context(), t, 0, s.committed, nil, false)
	s.must(err)
	return t
}

// fill writes the keys 1 to n.
func (s *sourceTest) fill(n int) {
	for i := range n {
		s.Set(suiteQueue, "product:"+strconv.Itoa(i+1), "{}")
	}
}

func upTo(n int) entry.Bounds { return entry.Bounds{Entries: n, Retries: n, Bytes: 1 << 20} }

func (s *sourceTest) claim(t *entry.Term, most entry.Bounds) *entry.Claim {
	s.t.Helper()
	claim, err := s.Claim(s.t.Context(), t, s.settings.Mapping.KeyPrefix, most)
	s.must(err)
	return claim
}

// keys are those of the claim, without their prefix.
func keys(c *entry.Claim) string {
	var names []string
	for i := range c.Entries {
		names = append(names, strings.TrimPrefix(c.Entries[i].Key, "product:"))
	}
	return strings.Join(names, " ")
}

func (s *sourceTest) claims(t *entry.Term, most entry.Bounds, want string) *entry.Claim {
	s.t.Helper()
	claim := s.claim(t, most)
	if got := keys(claim); got != want {
		s.t.Errorf("claimed are %q, want %q", got, want)
	}
	return claim
}

// all are settlements of all entries of the claim.
func all(c *entry.Claim, settlement entry.Settlement) []entry.Settlement {
	return slices.Repeat([]entry.Settlement{settlement}, len(c.Entries))
}

func (s *sourceTest) acknowledge(c *entry.Claim, settlements ...entry.Settlement) entry.Receipt {
	s.t.Helper()
	if len(settlements) == 1 {
		settlements = all(c, settlements[0])
	}
	receipt, err := s.Acknowledge(s.t.Context(), c, settlements)
	s.must(err)
	for i := range settlements {
		if settlements[i].Outcome == entry.Done {
			s.committed = max(s.committed, c.Entries[i].Version)
		}
	}
	return receipt
}

var (
	done    = entry.Settlement{Outcome: entry.Done}
	kept    = entry.Settlement{Outcome: entry.Kept}
	refused = entry.Settlement{Outcome: entry.Refused}
)

func letter() *entry.DeadLetter {
	return &entry.DeadLetter{Cause: entry.CauseRefused, Message: "no", LastFailure: time.Now().UTC()}
}

func (s *sourceTest) stats() entry.Stats {
	s.t.Helper()
	stats, err := s.Stats(s.t.Context(), suiteQueue)
	s.must(err)
	return stats
}

func (s *sourceTest) load() entry.Load {
	s.t.Helper()
	loads, err := s.Poll(s.t.Context(), suiteQueue, []int{0})
	s.must(err)
	if len(loads.Of) != 1 {
		s.t.Fatalf("one partition has %d loads", len(loads.Of))
	}
	return loads.Of[0]
}

func (s *sourceTest) queueIsMadeOnce() {
	s.settings.Revision = 2
	if first := s.open("life", true); !first.Made || first.Incarnation != "life" || first.Partitions != 1 || first.Revision != 2 {
		s.t.Errorf("the queue is made as %+v", first)
	}
	if losses := s.stats().DataLoss; losses != 1 {
		s.t.Errorf("a queue that was lost begins with %d data-loss events", losses)
	}
	s.settings.Revision, s.settings.State, s.settings.Mapping.Partitions = 1, config.StatePaused, 4
	if second := s.open("another", true); second.Made || second.Incarnation != "life" || second.Partitions != 1 || second.Revision != 2 {
		s.t.Errorf("the queue is opened as %+v", second)
	}
	if stats := s.stats(); stats.State != config.StateOpen || stats.DataLoss != 1 || stats.Incarnation != "life" {
		s.t.Errorf("older settings have come into force: %+v", stats)
	}
	s.settings.Revision = 3
	s.open("another", false)
	if stats := s.stats(); stats.State != config.StatePaused || stats.Revision != 3 {
		s.t.Errorf("newer settings are not in force: %+v", stats)
	}
}

func (s *sourceTest) noQueue() {
	ctx := s.t.Context()
	_, err := s.Beat(ctx, s.settings, "a", suiteTTL, entry.Seen{})
	s.is(err, entry.ErrNoQueue, "a beat")
	loads, err := s.Poll(ctx, suiteQueue, []int{0})
	s.must(err)
	if len(loads.Of) != 1 || loads.Of[0].Entries != 0 {
		s.t.Errorf("what waits is %+v", loads)
	}
	_, err = s.Stats(ctx, suiteQueue)
	s.is(err, entry.ErrNoQueue, "the numbers")
	held, err := s.Holds(ctx, &entry.Term{Shard: entry.Shard{Queue: suiteQueue}, Member: "a", Epoch: 1})
	if held || err != nil {
		s.t.Errorf("a term of no queue is held: %v, %v", held, err)
	}
	s.must(s.Leave(ctx, suiteQueue, "a"))
}

func (s *sourceTest) pollCounts() {
	t := s.term("a", 1)
	s.fill(2)
	claim := s.claim(t, upTo(1))
	load := s.load()
	if load.Entries != 2 || load.Fresh != 2 || load.HeadUndated || load.Step != t.Step || t.Step == 0 {
		s.t.Errorf("what waits is %+v at step %d", load, t.Step)
	}
	s.acknowledge(claim, done)
	if load := s.load(); load.Entries != 1 || load.Step != t.Step {
		s.t.Errorf("what waits is %+v at step %d", load, t.Step)
	}
	loads, err := s.Poll(s.t.Context(), suiteQueue, []int{0})
	s.must(err)
	if loads.Writes != 2 || loads.Since == 0 {
		s.t.Errorf("the queue is %+v", loads)
	}
	if seen := s.beat("a").Seen; seen != (entry.Seen{Incarnation: s.life, Since: loads.Since, Writes: 2}) {
		s.t.Errorf("a beat has seen %+v, a poll %+v", seen, loads)
	}
}

func (s *sourceTest) givenUp() {
	t := s.term("a", 1)
	s.fill(1)
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	_, err := s.Claim(ctx, t, "product:", upTo(1))
	s.is(err, context.Canceled, "a claim")
	_, err = s.Beat(ctx, s.settings, "a", suiteTTL, entry.Seen{})
	s.is(err, context.Canceled, "a beat")
	if check := s.Check(ctx); check.OK {
		s.t.Error("a check finds nothing wrong")
	}
	s.claims(s.term("a", 2), upTo(1), "1")
}
