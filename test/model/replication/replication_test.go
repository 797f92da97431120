// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"errors"
	"flag"
	"testing"

	"github.com/writebehind/operator/test/model/explorer"
)

var more = flag.Int("replication.writes", 0, "how many more commands the application sends than in a short run: each makes some ten times as many states")

const (
	// leastStates and mostStates are what the exploration of a world has in a short run.
	leastStates, mostStates = 10_000, 400_000
	// enoughStates are those with all rules in which a mutation breaks nothing.
	enoughStates = 20_000
)

// explore visits all states of a world, or as many as are asked for at most, and shows them.
func explore(r Rules, b Bounds, most int, show func(*state)) (visited int, err error) {
	m := explorer.Model[state]{
		First: initial(&r, &b),
		Moves: func(s *state, add explorer.Add[state]) {
			show(s)
			s.moves(&r, &b, add)
		},
		Check: (*state).check,
	}
	if *more == 0 {
		m.Most = most
	}
	return explorer.Explore(m)
}

var (
	all     = []kind{set, increment, deletes, unlink}
	texts   = []kind{set, deletes, unlink}
	onlySet = []kind{set}
)

// worlds are what is explored: each has the faults of a kind.
var worlds = map[string]Bounds{
	"a flusher crashes":                {Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Crashes: 1, Doubts: 1, Cuts: 1},
	"two keys":                         {Keys: 2, Readers: 1, Kinds: texts, Writes: 3, Crashes: 1, Begun: true},
	"another flusher takes over":       {Keys: 1, Readers: 2, Kinds: texts, Writes: 2, Leases: 1, Doubts: 1, Begun: true},
	"it takes over behind the backlog": {Keys: 1, Readers: 2, Kinds: onlySet, Writes: 2, Leases: 1, Overruns: 1, Doubts: 1, Begun: true},
	"the backlog is passed":            {Keys: 1, Readers: 1, Kinds: texts, Writes: 3, Overruns: 1, Doubts: 1, Cuts: 1, Begun: true},
	"a replica takes over":             {Keys: 1, Readers: 1, Kinds: texts, Writes: 2, FailOvers: 1, Missing: 2, Crashes: 1},
	"Redis restarts":                   {Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Restarts: 1, Missing: 2, Witnesses: 1, Begun: true},
	"a transaction is read half":       {Keys: 1, Readers: 1, Kinds: []kind{set, unlink}, Transactions: 1, Writes: 1, FailOvers: 1, Missing: 3, Crashes: 1, Begun: true},
	"keys are spilled":                 {Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Spills: 1, Crashes: 1, Doubts: 1, Begun: true},
	"refused rows are spilled":         {Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Refusals: 1, Spills: 1, Crashes: 1, Begun: true},
	"Redis is emptied":                 {Keys: 2, Readers: 1, Kinds: texts, Writes: 2, Flushes: 1, Refusals: 1, Crashes: 1, Begun: true},
	"what was read is lost":            {Keys: 1, Readers: 1, Kinds: texts, Writes: 3, FailOvers: 1, Missing: 2, Refusals: 1, Begun: true},
	"rows are refused, and keys gone":  {Keys: 1, Readers: 1, Kinds: all, Writes: 2, Refusals: 1, Crashes: 1, Begun: true},
}

// TestTheTableFollowsRedis looks at every order of the steps. For some of the states nothing
// fails from then on: there has to be a way to where all is carried.
func TestTheTableFollowsRedis(t *testing.T) {
	const every = 200
	for name, b := range worlds {
		t.Run(name, func(t *testing.T) {
			b.Writes += int8(*more)
			met := 0
			visited, err := explore(All(), b, mostStates, func(s *state) {
				if met++; met%every == 0 && !leadsOn(*s, b) {
					t.Fatalf("nothing leads on from %+v", *s)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d states", visited)
			if visited < leastStates {
				t.Errorf("only %d states: the exploration leaves something out", visited)
			}
		})
	}
}

// leadsOn tells whether there is a way to where all is carried on which nothing fails.
func leadsOn(s state, b Bounds) bool {
	if s.isDrained() {
		return true
	}
	rules, calm := All(), Bounds{Keys: b.Keys, Readers: b.Readers}
	_, err := explorer.Explore(explorer.Model[state]{
		First: s,
		Moves: func(s *state, add explorer.Add[state]) { s.moves(&rules, &calm, add) },
		Check: func(s *state) error {
			if s.isDrained() {
				return errDrained
			}
			return nil
		},
	})
	return err != nil
}

var errDrained = errors.New("all is carried")

// mutation is a protocol without some rules, in a world where that breaks something.
type mutation struct {
	without func(*Rules)
	in      Bounds
}

var mutations = map[string]mutation{
	"the position moves before what is no row is settled": {
		func(r *Rules) { r.SettlesBeforeMoving = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Refusals: 1, Crashes: 1, Begun: true},
	},
	"the position is what was read last": {
		func(r *Rules) { r.PositionIsTheOldestMark = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Crashes: 1, Begun: true},
	},
	"values are written of any history": {
		func(r *Rules) { r.HistoryIsCompared = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 3, FailOvers: 1, Missing: 1, Begun: true},
	},
	"a replica is read": {
		func(r *Rules) { r.PrimaryIsRead = false },
		Bounds{Keys: 1, Readers: 2, Kinds: onlySet, Writes: 2, Crashes: 1, Replicas: true, Begun: true},
	},
	"a replica is read, and offsets are not compared": {
		func(r *Rules) { r.PrimaryIsRead, r.OffsetIsCompared = false, false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Replicas: true, Begun: true},
	},
	"a key that is gone is not waited for": {
		func(r *Rules) { r.GoneIsAwaited = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Begun: true},
	},
	"an UNLINK deletes the row": {
		func(r *Rules) { r.UnlinkKeepsTheRow = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Begun: true},
	},
	"a key that is gone has the word of before it was read": {
		func(r *Rules) { r.ExpiryIsOfItsTime = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{set, unlink}, Writes: 3, FailOvers: 1, Missing: 1, Crashes: 1, Begun: true},
	},
	"what is acknowledged begins at the start of a full resync": {
		func(r *Rules) { r.AcknowledgesAfterScan = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1},
	},
	"a late batch of a flusher that was replaced is taken": {
		func(r *Rules) { r.BatchesAreFenced = false },
		Bounds{Keys: 1, Readers: 2, Kinds: onlySet, Writes: 2, Leases: 1, Begun: true},
	},
	"a flusher that was replaced moves the position": {
		func(r *Rules) { r.MoveIsFenced = false },
		Bounds{Keys: 1, Readers: 2, Kinds: onlySet, Writes: 2, Overruns: 1, Leases: 1, Crashes: 1, Begun: true},
	},
	"a flusher that was replaced begins a term": {
		func(r *Rules) { r.TermsAreFenced = false },
		Bounds{Keys: 1, Readers: 2, Kinds: onlySet, Writes: 2, Overruns: 1, Leases: 1, Begun: true},
	},
	"a flusher that was replaced settles": {
		func(r *Rules) { r.SettleIsFenced = false },
		Bounds{Keys: 1, Readers: 2, Kinds: []kind{increment}, Writes: 2, Refusals: 2, Leases: 1, Crashes: 1, Begun: true},
	},
	"the incarnation outlives a history": {
		func(r *Rules) { r.IncarnationPerHistory = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Restarts: 1, FailOvers: 1, Crashes: 1, Begun: true},
	},
	"a scan is over before what it marked is": {
		func(r *Rules) { r.ScanIsItsMarks = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Crashes: 1},
	},
	"a scan is over before the stream was read to it": {
		func(r *Rules) { r.ScanIsReadTo = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 2, FailOvers: 1, Missing: 1},
	},
	"a mark goes although its key was written again": {
		func(r *Rules) { r.WrittenAgainStays = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Begun: true},
	},
	"a PING moves the position": {
		func(r *Rules) { r.PingsAreNoPosition = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Pings: 1, FailOvers: 1, Missing: 1, Begun: true},
	},
	"a backlog that was passed is not told": {
		func(r *Rules) { r.LossIsTold = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Overruns: 1, Cuts: 1, Begun: true},
	},
	"the witness is not compared": {
		func(r *Rules) { r.WitnessIsCompared = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Restarts: 1, Missing: 2, Witnesses: 1, Begun: true},
	},
	"the witness is written wherever a server is": {
		func(r *Rules) { r.WitnessIsOfTheSame = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Restarts: 1, Missing: 4, Witnesses: 2, Begun: true},
	},
	"a server that takes over is not compared with what was read": {
		func(r *Rules) { r.HorizonIsCompared = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, FailOvers: 1, Missing: 1, Begun: true},
	},
	"a server that takes over is not compared with the ledger": {
		func(r *Rules) { r.LedgerIsCompared = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, FailOvers: 1, Missing: 1, Crashes: 1, Begun: true},
	},
	"a batch is sent before the name of its history is recorded": {
		func(r *Rules) { r.NameIsRecorded = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, FailOvers: 1, Crashes: 1, Begun: true},
	},
	"words outlive a history that was not read to its end": {
		func(r *Rules) { r.LapseNeedsToBeSure = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 3, Overruns: 1, Cuts: 1, Doubts: 1, Begun: true},
	},
	"a value of an earlier history outlives what was read": {
		func(r *Rules) { r.ReadIsNewerThanKept = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 3, Overruns: 1, Cuts: 1, Doubts: 1, Begun: true},
	},
	"a mark of a scan goes although its key was written again": {
		func(r *Rules) { r.SeenStaysWithTheLater = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 3, Cuts: 1},
	},
	"what is acknowledged does not wait for the ledger": {
		func(r *Rules) { r.AcknowledgesWhenAgreed = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, FailOvers: 1, Missing: 1, Crashes: 1, Begun: true},
	},
	"a value is taken for older than it may be": {
		func(r *Rules) { r.LaterMayBeEarlier = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, FailOvers: 1, Missing: 2, Crashes: 1},
	},
	"an expiry that the database does not know of holds nothing": {
		func(r *Rules) { r.ExpiryHoldsThePosition = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 2, Refusals: 1, Crashes: 1, Begun: true},
	},
	"a write that was refused is not aside while a later one is dirty": {
		func(r *Rules) { r.RefusedIsAside = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Refusals: 1, Crashes: 1, Begun: true},
	},
	"a fail-over that lost what was read ends the history": {
		func(r *Rules) { r.ReadsAgain = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, FailOvers: 1, Missing: 1, Begun: true},
	},
	"who reads again is taken for who has read before": {
		func(r *Rules) { r.ReadsAgainAnew = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 3, Refusals: 1, FailOvers: 1, Missing: 1, Doubts: 1, Crashes: 1, Begun: true},
	},
	"what is no row is told out of turn": {
		func(r *Rules) { r.SettlesInOrder = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 2, Refusals: 1, Doubts: 1, Crashes: 1, Begun: true},
	},
	"the position is in the midst of a transaction": {
		func(r *Rules) { r.TransactionsAreWhole = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Transactions: 1, Begun: true},
	},
	"half a transaction outlives the server that took it": {
		func(r *Rules) { r.LastsAreRewound = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{set, unlink}, Transactions: 1, Writes: 2, FailOvers: 1, Missing: 3, Begun: true},
	},
	"the word of a retry outlives the server that told it": {
		func(r *Rules) { r.WordsAreRewound = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{set, unlink}, Writes: 3, FailOvers: 1, Missing: 1, Refusals: 1, Begun: true},
	},
	"FLUSHALL deletes rows": {
		func(r *Rules) { r.FlushKeepsTheRows = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Flushes: 1, Begun: true},
	},
	"FLUSHALL is not of what is out": {
		func(r *Rules) { r.FlushIsOfWhatIsOut = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 1, Flushes: 1, Refusals: 1, Doubts: 1, Begun: true},
	},
	"FLUSHALL that the database does not know of holds nothing": {
		func(r *Rules) { r.FlushHoldsThePosition = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment}, Writes: 2, Flushes: 1, Refusals: 1, Crashes: 1, Begun: true},
	},
	"what is spilled is noted afterwards": {
		func(r *Rules) { r.SpillIsNoted = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 2, Spills: 1, Crashes: 1, Begun: true},
	},
	"a mark is spilled that was written since": {
		func(r *Rules) { r.SpillIsCompared = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 3, Spills: 1, Crashes: 1, Begun: true},
	},
	"a dead letter outlives what it is about": {
		func(r *Rules) { r.LettersAreDoubted = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 2, FailOvers: 1, Missing: 1, Refusals: 1, Crashes: 1, Begun: true},
	},
	"what the stream tells once more is newer than a retry": {
		func(r *Rules) { r.ToldAgainIsEarlier = false },
		Bounds{Keys: 1, Readers: 1, Kinds: texts, Writes: 2, Spills: 1, Refusals: 1, Crashes: 1, Begun: true},
	},
	"what is out in a claim is spilled": {
		func(r *Rules) { r.SpillLeavesWhatIsOut = false },
		Bounds{Keys: 1, Readers: 1, Kinds: onlySet, Writes: 2, Spills: 1, Crashes: 1, Begun: true},
	},
	"what is spilled comes behind what was settled later": {
		func(r *Rules) { r.SettlesInOrder = false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{increment, unlink}, Writes: 3, Spills: 1, Refusals: 1, Crashes: 1, Begun: true},
	},
	"a write that was refused holds nothing while its key expires": {
		func(r *Rules) { r.RefusedKeepsItsFirst, r.RefusedIsAside = false, false },
		Bounds{Keys: 1, Readers: 1, Kinds: []kind{set, unlink}, Writes: 2, Refusals: 1, Crashes: 1, Begun: true},
	},
}

// TestTheRulesAreNeeded takes rules away: each time something must break, or the exploration
// would not notice if the source broke it.
func TestTheRulesAreNeeded(t *testing.T) {
	for name, m := range mutations {
		t.Run(name, func(t *testing.T) {
			r := All()
			m.without(&r)
			visited, err := explore(r, m.in, mostStates, func(*state) {})
			if _, ok := errors.AsType[*explorer.Violation](err); !ok {
				t.Fatalf("nothing breaks in %d states: %v", visited, err)
			}
			t.Logf("of %d states: %v", visited, err)
			if _, err := explore(All(), m.in, enoughStates, func(*state) {}); err != nil && !errors.Is(err, explorer.ErrMore) {
				t.Errorf("it breaks with all rules, too: %v", err)
			}
		})
	}
}
