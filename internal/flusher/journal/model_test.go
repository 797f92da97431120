// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// TestAnyInterleavingKeepsEveryWrite lets writers, two flushers and lost answers
// interleave at will and holds the journal against a model: the database ends up
// with the last write of every key, no version goes back, and every write is
// counted exactly once.
func TestAnyInterleavingKeepsEveryWrite(t *testing.T) {
	server := journaltest.New(t)
	rdb, engine := server.Client(t), server.Client(t)
	between := &interruption{}
	engine.AddHook(between)
	rapid.Check(t, func(t *rapid.T) {
		if err := rdb.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		m := newModel(t, rdb, engine)
		between.model = m
		t.Repeat(map[string]func(*rapid.T){
			"":            m.check,
			"write":       m.write,
			"delete":      m.delete,
			"fill":        m.fill,
			"read":        m.read,
			"cache":       m.cache,
			"evict":       m.evict,
			"claim":       m.claim,
			"commit":      m.commit,
			"acknowledge": m.acknowledge,
			"resend":      m.resend,
			"take over":   m.takeOver,
			"edit":        m.edit,
			"replay":      m.replay,
			"discard":     m.discard,
		})
		m.drain(t)
	})
}

// row is what the modelled database holds of one key.
type row struct {
	version int64
	value   string
	deleted bool
}

type model struct {
	rdb *redis.Client
	j   *journal.Journal

	written  map[string]row // last acknowledged write of a key
	database map[string]row
	dead     map[string]row
	givenUp  map[string]bool  // the last write was discarded as a dead letter
	highest  map[string]int64 // version that any write of a key ever got
	evicted  map[string]bool  // its value is gone since it was flushed
	reads    []reading
	used     []reading // whose token was given to wb_fill
	writes   int64
	flushed  int64

	member string
	epoch  int64
	lease  *entry.Term
	// pending is the claim that is out; committed says that its rows are in the
	// database; acked is the last one that was acknowledged.
	pending   *entry.Claim
	committed bool
	outcomes  []entry.Outcome
	acked     *entry.Claim
	ackedWith []entry.Settlement
	stale     *entry.Claim // of an owner that was fenced

	// plan is what happens before each of the next calls of claim and acknowledge, and
	// to its answer.
	plan []interrupt
	// settling means that the pending claim is being acknowledged, and settled how many
	// of its entries are.
	settling bool
	settled  int
	buried   int64
	// edited means that somebody has thrown the order of the queue away, disturbed that
	// keys were written since.
	edited, disturbed bool
}

// reading is a reader that missed and has its row, but has not cached it yet.
type reading struct {
	key, token string
	row        row
	// highest is the version that the last write of the key had when it was read.
	highest int64
}

// atOnce is how many entries one call deals with, so that a few make several pages.
const atOnce = 2

// interrupt is what happens between two calls of the engine.
type interrupt struct {
	t           *rapid.T
	key         string
	write, lose bool
}

var errLostAnswer = errors.New("the answer is lost")

// interruption lets a writer come between the calls of the engine, and loses answers.
type interruption struct{ model *model }

func (*interruption) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*interruption) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (i *interruption) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m := i.model
		if m == nil || len(cmd.Args()) < 2 || len(m.plan) == 0 {
			return next(ctx, cmd)
		}
		switch cmd.Args()[1] {
		case "wb_engine_claim", "wb_engine_more", "wb_engine_settle":
		default:
			return next(ctx, cmd)
		}
		step := m.plan[0]
		m.plan = m.plan[1:]
		if step.write {
			m.writeTo(step.t, step.key)
		}
		if err := next(ctx, cmd); err != nil {
			return err
		}
		if m.settling {
			m.settlePart()
		}
		if step.lose {
			cmd.SetErr(errLostAnswer)
			return errLostAnswer
		}
		return nil
	}
}

// interrupted draws what comes between the calls that follow.
func (m *model) interrupted(t *rapid.T) {
	m.plan = m.plan[:0]
	for range 30 {
		m.plan = append(m.plan, interrupt{t: t})
	}
	for range rapid.IntRange(0, 4).Draw(t, "interrupts") {
		at := rapid.IntRange(0, 8).Draw(t, "at")
		m.plan[at].key, m.plan[at].write = keys.Draw(t, "key"), true
	}
	if rapid.IntRange(0, 3).Draw(t, "lossy") == 0 {
		m.plan[rapid.IntRange(0, 8).Draw(t, "lost")].lose = true
	}
}

// edit throws the order of the queue away, as a person with redis-cli may.
func (m *model) edit(t *rapid.T) {
	if m.pending != nil {
		m.begin(t)
		m.pending, m.committed = nil, false
	}
	n, err := m.rdb.Del(context.Background(), "wb:{products:0}:q").Result()
	if err != nil {
		t.Fatal(err)
	}
	m.edited, m.disturbed = m.edited || n > 0, false
}

func newModel(t *rapid.T, rdb, engine *redis.Client) *model {
	m := &model{rdb: rdb, j: journal.New(engine), written: map[string]row{}, database: map[string]row{}, dead: map[string]row{}, givenUp: map[string]bool{}, evicted: map[string]bool{}, highest: map[string]int64{}}
	ctx := context.Background()
	if err := m.j.Piecemeal(ctx, atOnce); err != nil {
		t.Fatal(err)
	}
	if _, err := m.j.Open(ctx, settings(onePartition), "journal-1", false); err != nil {
		t.Fatal(err)
	}
	m.takeOver(t)
	return m
}

var keys = rapid.SampledFrom([]string{"product:1", "product:2", "product:3", "product:4", "product:5", "product:6", "product:7"})

func (m *model) write(t *rapid.T) {
	m.writeTo(t, keys.Draw(t, "key"))
}

func (m *model) writeTo(t *rapid.T, key string) {
	m.disturbed = true
	value := fmt.Sprintf(`{"n":%d}`, m.writes)
	version, err := m.rdb.FCall(context.Background(), "wb_set", []string{key}, queue, value).Int64()
	m.wrote(t, key, row{version: version, value: value}, err)
}

func (m *model) delete(t *rapid.T) {
	key := keys.Draw(t, "key")
	version, err := m.rdb.FCall(context.Background(), "wb_del", []string{key}, queue).Int64()
	m.wrote(t, key, row{version: version, deleted: true}, err)
}

func (m *model) wrote(t *rapid.T, key string, r row, err error) {
	if err != nil {
		t.Fatal(err)
	}
	if before := m.highest[key]; r.version <= before {
		t.Fatalf("%s got version %d after %d", key, r.version, before)
	}
	m.written[key], m.highest[key] = r, r.version
	delete(m.givenUp, key)
	delete(m.evicted, key)
	m.writes++
}

// fill must never put an old value before a pending write or deletion.
func (m *model) fill(t *rapid.T) {
	key := keys.Draw(t, "key")
	inDatabase := m.database[key]
	if inDatabase.version == 0 || inDatabase.deleted {
		return
	}
	err := m.rdb.FCall(context.Background(), "wb_fill", []string{key}, queue, inDatabase.value).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// pendingOf reports whether the key is dirty.
func (m *model) pendingOf(t *rapid.T, key string) bool {
	err := m.rdb.FCallRO(context.Background(), "wb_pending", []string{key}, queue).Err()
	if err != nil && !errors.Is(err, redis.Nil) && !strings.HasPrefix(err.Error(), "WBDEAD ") {
		t.Fatal(err)
	}
	return err == nil
}

// evict takes the value of a clean key away, as Redis does when it needs room or the
// time to live has passed.
func (m *model) evict(t *rapid.T) {
	key := keys.Draw(t, "key")
	if m.pendingOf(t, key) || m.dead[key].version > 0 {
		return
	}
	if err := m.rdb.Del(context.Background(), key).Err(); err != nil {
		t.Fatal(err)
	}
	m.evicted[key] = true
}

// read is the first half of a cache-aside reader: a miss, and then the row.
func (m *model) read(t *rapid.T) {
	key := keys.Draw(t, "key")
	reply, err := m.rdb.FCall(context.Background(), "wb_get", []string{key}, queue).Result()
	if err != nil {
		t.Fatal(err)
	}
	missed, ok := reply.([]any)
	if !ok {
		if cached := m.rdb.Get(context.Background(), key).Val(); cached != reply {
			t.Fatalf("wb_get of %s answers %v, and GET %s", key, reply, cached)
		}
		return
	}
	token, _ := missed[1].(string)
	highest := m.highest[key]
	if m.pendingOf(t, key) {
		highest = -1
	}
	m.reads = append(m.reads, reading{key: key, token: token, row: m.database[key], highest: highest})
}

// cache is the second half, however late: it must cache a row that is still the one in
// the database, and no other.
func (m *model) cache(t *rapid.T) {
	if len(m.reads) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.reads)-1).Draw(t, "reading")
	r := m.reads[i]
	m.reads = slices.Delete(m.reads, i, i+1)
	absent := m.rdb.Exists(context.Background(), r.key).Val() == 0
	if r.row.version == 0 || r.row.deleted {
		return // there is no row to cache
	}
	filled, err := m.rdb.FCall(context.Background(), "wb_fill", []string{r.key}, queue, r.row.value, r.token).Int64()
	if err != nil {
		t.Fatal(err)
	}
	if filled == 1 && m.database[r.key] != r.row {
		t.Fatalf("%s is cached as %+v, and the database has %+v", r.key, r.row, m.database[r.key])
	}
	// A token is used up by the first of those that share it.
	used := slices.ContainsFunc(m.used, func(u reading) bool { return u.key == r.key && u.token == r.token })
	if want := absent && !used && m.highest[r.key] == r.highest; want != (filled == 1) {
		t.Fatalf("%s is cached: %d, want %v (absent %v, used %v, version %d, read at %d)", r.key, filled, want, absent, used, m.highest[r.key], r.highest)
	}
	m.used = append(m.used, r)
}

func (m *model) claim(t *rapid.T) {
	if m.committed {
		// A flusher whose claim may be committed begins a new epoch before it
		// claims again.
		m.begin(t)
	}
	m.interrupted(t)
	m.pending, m.committed = nil, false
	claim, err := m.j.Claim(context.Background(), m.lease, "product:", upTo(rapid.IntRange(1, 7).Draw(t, "most")))
	m.plan = m.plan[:0]
	if errors.Is(err, errLostAnswer) {
		m.begin(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.mended(t, claim)
	if len(claim.Entries) == 0 {
		return
	}
	m.pending = claim
	m.outcomes = m.outcomes[:0]
	for range claim.Entries {
		m.outcomes = append(m.outcomes, rapid.SampledFrom([]entry.Outcome{entry.Done, entry.Done, entry.Refused, entry.Kept, entry.Dead}).Draw(t, "outcome"))
	}
}

// mended checks the order of a queue that was made again: by first version.
func (m *model) mended(t *rapid.T, claim *entry.Claim) {
	if !claim.Rebuilt {
		return
	}
	if !m.edited {
		t.Fatal("the journal takes itself to be edited by hand")
	}
	m.edited = false
	if m.disturbed {
		// What was refused and is written again keeps its first version.
		return
	}
	var last int64
	for _, e := range claim.Entries {
		if e.Attempts > 0 {
			continue
		}
		if e.First < last {
			t.Fatalf("%s of version %d comes after version %d", e.Key, e.First, last)
		}
		last = e.First
	}
}

// commit is the transaction: all rows that will be acknowledged as done.
func (m *model) commit(t *rapid.T) {
	if m.pending == nil || m.committed {
		return
	}
	for i, e := range m.pending.Entries {
		if e.Lost {
			t.Fatalf("the value of %s is gone", e.Key)
		}
		if m.outcomes[i] != entry.Done {
			continue
		}
		if before := m.database[e.Key].version; e.Version < before {
			t.Fatalf("%s goes back from version %d to %d", e.Key, before, e.Version)
		}
		m.database[e.Key] = row{version: e.Version, value: e.Value, deleted: e.Operation == entry.Delete}
	}
	m.committed = true
}

func (m *model) acknowledge(t *rapid.T) {
	if m.pending == nil || !m.committed {
		return
	}
	settlements := make([]entry.Settlement, len(m.outcomes))
	for i, outcome := range m.outcomes {
		settlements[i] = settled(outcome, time.Duration(rapid.IntRange(0, 5).Draw(t, "wait"))*time.Millisecond)
	}
	before := int64(len(m.dead))
	m.interrupted(t)
	m.settling, m.settled, m.buried = true, 0, 0
	receipt, err := m.j.Acknowledge(context.Background(), m.pending, settlements)
	m.settling, m.plan = false, m.plan[:0]
	if errors.Is(err, errLostAnswer) {
		// Some parts are acknowledged. The owner does not know which.
		m.begin(t)
		m.pending, m.committed = nil, false
		return
	}
	if err != nil || !receipt.Applied || m.settled != len(m.outcomes) {
		t.Fatalf("acknowledged %+v, %d of %d, %v", receipt, m.settled, len(m.outcomes), err)
	}
	if gone := before + m.buried - int64(len(m.dead)); receipt.Superseded != gone {
		t.Fatalf("%d dead letters were superseded, want %d", receipt.Superseded, gone)
	}
	m.acked, m.ackedWith = m.pending, settlements
	m.pending, m.committed = nil, false
}

// settlePart follows one part of an acknowledgement.
func (m *model) settlePart() {
	for end := min(m.settled+atOnce, len(m.outcomes)); m.settled < end; m.settled++ {
		e := m.pending.Entries[m.settled]
		switch outcome := m.outcomes[m.settled]; {
		case outcome == entry.Done:
			m.flushed++
			delete(m.dead, e.Key)
		case outcome == entry.Dead && m.written[e.Key].version == e.Version:
			m.buried++
			m.dead[e.Key] = row{version: e.Version, value: e.Value, deleted: e.Operation == entry.Delete}
		}
	}
}

// letter draws one of the dead letters.
func (m *model) letter(t *rapid.T) *entry.DeadLetter {
	var all []*entry.DeadLetter
	for known, err := range m.j.DeadLetters(context.Background(), queue) {
		if err != nil {
			t.Fatal(err)
		}
		letter, err := m.j.DeadLetter(context.Background(), queue, known.Key)
		if err != nil {
			t.Fatal(err)
		}
		if want := m.dead[letter.Key]; letter.Version != want.version || letter.Payload != want.value {
			t.Fatalf("dead letter is %+v, want %+v", letter, want)
		}
		all = append(all, letter)
	}
	if len(all) != len(m.dead) {
		t.Fatalf("%d dead letters, want %d", len(all), len(m.dead))
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b *entry.DeadLetter) int { return strings.Compare(a.Key, b.Key) })
	return rapid.SampledFrom(all).Draw(t, "letter")
}

// replay must be a new write, and never over a newer one.
func (m *model) replay(t *rapid.T) {
	letter := m.letter(t)
	if letter == nil {
		return
	}
	r := m.dead[letter.Key]
	version, err := m.j.Replay(context.Background(), queue, letter)
	if m.written[letter.Key].version > r.version {
		if !errors.Is(err, entry.ErrSuperseded) {
			t.Fatalf("replay over a newer write: %v", err)
		}
		return
	}
	delete(m.dead, letter.Key)
	m.wrote(t, letter.Key, row{version: version, value: r.value, deleted: r.deleted}, err)
}

func (m *model) discard(t *rapid.T) {
	letter := m.letter(t)
	if letter == nil {
		return
	}
	if err := m.j.Discard(context.Background(), queue, letter); err != nil {
		t.Fatal(err)
	}
	if m.written[letter.Key].version == letter.Version {
		m.written[letter.Key] = m.database[letter.Key]
		m.givenUp[letter.Key] = true
	}
	delete(m.dead, letter.Key)
}

// resend is a client that lost the answer, or a fenced owner that comes late.
func (m *model) resend(t *rapid.T) {
	ctx := context.Background()
	if m.acked != nil {
		receipt, err := m.j.Acknowledge(ctx, m.acked, m.ackedWith)
		if receipt.Applied || (err != nil && !errors.Is(err, entry.ErrLeaseLost) && !errors.Is(err, entry.ErrClaimVoid)) {
			t.Fatalf("a resent acknowledgement: applied %v, %v", receipt.Applied, err)
		}
	}
	if m.stale != nil {
		if _, err := m.j.Acknowledge(ctx, m.stale, all(m.stale, entry.Done, 0)); !errors.Is(err, entry.ErrLeaseLost) {
			t.Fatalf("a fenced owner acknowledges: %v", err)
		}
	}
}

// takeOver gives the partition to another member. Whatever the old one had in
// hand may or may not have been committed.
func (m *model) takeOver(t *rapid.T) {
	ctx := context.Background()
	if m.member != "" {
		if err := m.j.Leave(ctx, queue, m.member); err != nil {
			t.Fatal(err)
		}
		m.stale, m.pending, m.committed = m.pending, nil, false
	}
	m.member = fmt.Sprintf("member-%d", m.epoch+1)
	if _, err := m.j.Beat(ctx, settings(), m.member, leaseTime, entry.Seen{}); err != nil {
		t.Fatal(err)
	}
	m.begin(t)
}

func (m *model) begin(t *rapid.T) {
	m.epoch++
	var position int64
	for _, r := range m.database {
		position = max(position, r.version)
	}
	held := m.lease
	m.lease = lease(0, m.member, m.epoch)
	verdict, err := m.j.Begin(context.Background(), m.lease, position, position, held, false)
	if err != nil || verdict != entry.Agreed {
		t.Fatalf("begin: %v, %v", verdict, err)
	}
}

// check holds after every step.
func (m *model) check(t *rapid.T) {
	ctx := context.Background()
	s, err := m.j.Stats(ctx, queue)
	if err != nil {
		t.Fatal(err)
	}
	var dirty int64
	for key, last := range m.written {
		pending, err := m.rdb.FCallRO(ctx, "wb_pending", []string{key}, queue).Int64()
		isDead := err != nil && strings.HasPrefix(err.Error(), "WBDEAD ")
		if err != nil && !isDead && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		if err == nil {
			dirty++
		}
		inDatabase := m.database[key].version
		switch {
		case isDead != (err != nil && m.dead[key].version > 0 && m.dead[key].version == last.version):
			t.Fatalf("%s at version %d: WBDEAD %v, dead letter %+v", key, last.version, isDead, m.dead[key])
		case err != nil && !isDead && inDatabase != last.version:
			t.Fatalf("%s counts as clean at version %d, but the database has %d", key, last.version, inDatabase)
		case err == nil && pending > last.version:
			t.Fatalf("%s is pending from %d, after its last version %d", key, pending, last.version)
		}
		if m.givenUp[key] {
			continue
		}
		value, err := m.rdb.Get(ctx, key).Result()
		gone := errors.Is(err, redis.Nil) && m.evicted[key]
		if !last.deleted && !gone && (err != nil || value != last.value) {
			t.Fatalf("%s reads %q, %v; want %q", key, value, err, last.value)
		}
		// A dead deletion has no value to keep; what is read from the database
		// meanwhile is cached as ever.
		ttl, err := m.rdb.TTL(ctx, key).Result()
		if err != nil || ((pending > 0 || isDead && !last.deleted) && ttl > 0) {
			t.Fatalf("%s is dirty or dead and has the TTL %v, %v", key, ttl, err)
		}
	}
	depth, err := m.rdb.HGet(ctx, "wb:{products}:queue", "depth").Int64()
	if err != nil || depth != dirty+s.Dead || s.Depth != dirty || s.Dead != int64(len(m.dead)) {
		t.Fatalf("depth is %d by the counter, %d by the stats, want %d and %d dead (%v)", depth, s.Depth, dirty, len(m.dead), err)
	}
	for _, key := range m.rdb.HKeys(ctx, payloads).Val() {
		if m.dead[key].version == 0 {
			t.Fatalf("the payload of %s is left without a dead letter", key)
		}
	}
	if s.Writes != m.writes || s.Flushed != m.flushed || s.Writes < s.Flushed+s.Coalesced {
		t.Fatalf("stats are %+v; want writes %d, flushed %d", s, m.writes, m.flushed)
	}
}

// drain flushes to the end; then the database must hold exactly the last writes.
func (m *model) drain(t *rapid.T) {
	ctx := context.Background()
	if m.committed {
		m.begin(t)
	}
	for {
		claim, err := m.j.Claim(ctx, m.lease, "product:", upTo(3))
		if err != nil {
			t.Fatal(err)
		}
		if len(claim.Entries) == 0 {
			// What was refused is due within a few milliseconds.
			if s, err := m.j.Stats(ctx, queue); err == nil && s.Depth > 0 {
				continue
			}
			break
		}
		m.mended(t, claim)
		m.pending, m.committed, m.outcomes = claim, false, slices.Repeat([]entry.Outcome{entry.Done}, len(claim.Entries))
		m.commit(t)
		m.acknowledge(t)
	}
	for key, last := range m.written {
		if m.dead[key].version == last.version {
			continue
		}
		if got := m.database[key]; got != last {
			t.Fatalf("%s ends as %+v, want %+v", key, got, last)
		}
	}
	s, err := m.j.Stats(ctx, queue)
	if err != nil {
		t.Fatal(err)
	}
	if s.Depth != 0 || s.Refused != 0 || s.Dead != int64(len(m.dead)) {
		t.Fatalf("after the drain stats are %+v", s)
	}
}
