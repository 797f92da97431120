// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

const (
	texts, hashes, boards, streams = "texts", "hashes", "boards", "streams"

	partitions = 2
	// noRow begins the value of a field that no row takes.
	noRow = "no row "
)

func mappings() []config.Mapping {
	var all []config.Mapping
	for name, encoding := range map[string]string{texts: config.EncodingJSON, hashes: config.EncodingHash, boards: config.EncodingSortedSet, streams: config.EncodingStream} {
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Partitions, m.Encoding = name, name+":", name, "id", partitions, encoding
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b config.Mapping) int { return -compare(a.Name, b.Name) })
	return all
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// state is what one command made of a key.
type state struct {
	n      int
	offset int64
	word   replica.Word
	// queue is that of the key, member what the command named of a board.
	queue, member string
	// has are the members of a board that the command made whole, bad says that the key is of
	// another type since.
	has map[string]string
	bad bool
}

// world is a server, a database with its ledger, and flushers which carry between them. It
// knows of each key what was done to it, and notices when a row goes back or something is
// acknowledged that was not carried.
type world struct {
	ctx   context.Context
	redis *replicatest.Redis
	store replicatest.Store
	// ledger has what a database knows of shards, epoch the highest that was given out.
	ledger map[entry.Shard]*mark
	epoch  int64
	rows   map[string]map[string]string
	// letter is the last command before a key became a dead letter.
	letter map[string]int

	// mu guards what follows: what is acknowledged is told by another goroutine.
	mu     sync.Mutex
	n      int
	states map[string][]state
	// floor is what a row, or a field of one, must not go back behind, carried what is
	// known to be carried.
	floor, carried map[string]int
	// lost are the commands that a fail-over has lost.
	lost map[int]bool
	// trimmed is the last command that took an entry out of a stream.
	trimmed map[string]int
	// broke is the last command before a history was broken off.
	broke    int
	carriers []*carrier
	late     []batch
	errs     []string
}

type mark struct{ epoch, flush, version int64 }

// batch is on its way to the database.
type batch struct {
	at   entry.Place
	rows []entry.Entry
}

// failed notes what is wrong.
func (w *world) failed(format string, args ...any) {
	w.errs = append(w.errs, fmt.Sprintf(format, args...))
}

func newWorld(ctx context.Context) *world {
	w := &world{
		ctx: ctx, redis: replicatest.NewRedis(), ledger: make(map[entry.Shard]*mark), rows: make(map[string]map[string]string),
		letter: make(map[string]int), states: make(map[string][]state), floor: make(map[string]int), carried: make(map[string]int), lost: make(map[int]bool), trimmed: make(map[string]int),
	}
	w.redis.Keep(400)
	w.redis.Acknowledged(w.acknowledged)
	w.redis.Resynced(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.breaks()
	})
	return w
}

func textKey(i int) string { return fmt.Sprintf("%s:%d", texts, i%4) }
func hashKey(i int) string { return fmt.Sprintf("%s:%d", hashes, i%3) }

// kindsOfWrites are how many things write knows.
const kindsOfWrites = 20

// write does one thing of many, and notes what it made of the key. The lock is held.
func (w *world) write(c *replicatest.Commands, kind, i int) {
	w.n++
	n := strconv.Itoa(w.n)
	key, word, field := textKey(i), replica.Written, string(rune('a'+i%2))
	before := c.Offset()
	switch kind % kindsOfWrites {
	case 0, 1:
		c.Set(key, `{"n":`+n+`}`)
	case 2:
		c.Delete(key)
		word = replica.Deleted
	case 3:
		c.Expire(key)
		word = replica.Unlinked
	case 4, 5:
		key = hashKey(i)
		if kind%8 == 5 && i%4 == 0 {
			n = noRow + n
		}
		c.SetField(key, field, n)
	case 6:
		key, word = hashKey(i), replica.Appended
		c.DeleteField(key, field)
	case 7:
		if key = hashKey(i); i%3 == 0 {
			c.Expire(key)
			word = replica.Unlinked
		} else {
			c.Delete(key)
			word = replica.Deleted
		}
	case 14, 15:
		w.otherwise(c, kind, i)
		return
	case 16, 17, 18, 19:
		w.onStream(c, kind%kindsOfWrites, i)
		return
	default:
		w.onBoard(c, kind%kindsOfWrites, i)
		return
	}
	w.note(c, before, state{word: word}, key)
}

// note notes what a command made of a key, if it made anything of it.
func (w *world) note(c *replicatest.Commands, before int64, s state, key string) {
	if c.Offset() == before {
		return
	}
	s.n, s.offset = w.n, c.Offset()
	s.queue, _, _ = strings.Cut(key, ":")
	w.states[key] = append(w.states[key], s)
}

// writes does a few things at once, in a transaction or not.
func (w *world) writes(kind, i int, transaction bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !transaction {
		w.redis.Do(func(c *replicatest.Commands) { w.write(c, kind, i) })
		return
	}
	w.redis.Transaction(func(c *replicatest.Commands) {
		w.write(c, kind, i)
		w.write(c, kind/2, i+1)
	})
}

// set writes the first text.
func (w *world) set(n int) {
	for w.n < n {
		w.writes(0, 0, false)
	}
}

// partitionOf is that of a text.
func partitionOf(i int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(textKey(i)))
	return int(h.Sum32() % partitions)
}

func (w *world) flushAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	w.redis.Do(func(c *replicatest.Commands) {
		before := c.Offset()
		c.Flush()
		for key := range w.states {
			w.note(c, before, state{word: replica.Unlinked}, key)
		}
	})
}

// breaks notes that histories may end here. The lock is held.
func (w *world) breaks() { w.broke = w.n }

func (w *world) overrun() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaks()
	w.redis.Overrun()
}

func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaks()
	w.redis.Restart(0)
	for key := range w.states {
		for i := range w.states[key] {
			w.states[key][i].offset = 0
		}
	}
}

func (w *world) failOver(missing int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := w.redis.FailOver(missing)
	if lost == 0 {
		return
	}
	w.breaks()
	_, end := w.redis.End()
	clear(w.floor)
	for key, all := range w.states {
		for _, s := range all {
			w.lost[s.n] = s.offset > end
		}
		w.states[key] = slices.DeleteFunc(all, func(s state) bool { return s.offset > end })
		w.carried[key] = 0
	}
}

// acknowledged looks whether all that was written up to there was carried.
func (w *world) acknowledged(id string, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now, _ := w.redis.End(); id != now {
		return
	}
	for key, all := range w.states {
		w.acknowledgedStream(key, all, offset)
		var last state
		for _, s := range all {
			if s.offset <= offset {
				last = s
			}
		}
		if last.n <= w.broke || last.word == replica.Unlinked || last.queue != texts {
			continue
		}
		if w.carried[key] < last.n {
			w.failed("offset %d is acknowledged, and %s was carried to %d of %d", offset, key, w.carried[key], last.n)
		}
	}
}

// acquire is the ledger's.
func (w *world) acquire(shard entry.Shard) entry.Mark {
	known := false
	for other := range w.ledger {
		known = known || other.Queue == shard.Queue && other.Incarnation == shard.Incarnation
	}
	if w.ledger[shard] == nil {
		w.ledger[shard] = &mark{}
	}
	if !known {
		// A history that was broken off goes on with the stream, and without words of which it
		// is not sure.
		w.mu.Lock()
		w.breaks()
		w.mu.Unlock()
	}
	m := w.ledger[shard]
	w.epoch++
	m.epoch = w.epoch
	for other, o := range w.ledger {
		if !known && other.Queue == shard.Queue && other.Incarnation != shard.Incarnation {
			w.epoch++
			o.epoch = w.epoch
		}
	}
	return entry.Mark{Epoch: m.epoch, Flush: m.flush, Shard: m.version}
}

// commit is the database's.
func (w *world) commit(b batch) bool {
	m := w.ledger[b.at.Shard]
	if m == nil || m.epoch != b.at.Epoch || m.flush != b.at.Flush-1 {
		return false
	}
	m.flush, m.version = b.at.Flush, max(m.version, b.at.Version)
	for i := range b.rows {
		w.row(&b.rows[i])
	}
	return true
}

// row writes one row, and looks whether it goes back.
func (w *world) row(e *entry.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(e.Key, boards) {
		w.rowsOfBoard(e)
		return
	}
	if strings.HasPrefix(e.Key, streams) {
		w.rowOfStream(e)
		return
	}
	if e.Operation == entry.Delete {
		n := 0
		for _, s := range w.states[e.Key] {
			if s.offset <= e.Version {
				n = s.n
			}
		}
		w.forward(e.Key, n)
		delete(w.rows, e.Key)
		return
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(e.Value), &document); err != nil {
		w.failed("%s becomes %q: %v", e.Key, e.Value, err)
	}
	row := w.rows[e.Key]
	if row == nil || e.Whole || e.Key[0] == 't' {
		row = make(map[string]string)
	}
	for field, value := range document {
		switch v := value.(type) {
		case nil:
			delete(row, field)
		case string:
			row[field] = v
			n, _ := strconv.Atoi(v)
			w.forward(e.Key+"/"+field, n)
		case float64:
			row[field] = strconv.Itoa(int(v))
			w.forward(e.Key, int(v))
		}
	}
	w.rows[e.Key] = row
}

func (w *world) forward(name string, n int) {
	if n < w.floor[name] {
		w.failed("%s goes back from %d to %d", name, w.floor[name], n)
	}
	if w.lost[n] {
		// The server that took over does not have it: the row will follow that.
		w.floor[name] = 0
		return
	}
	w.floor[name] = n
	w.carried[name] = max(w.carried[name], n)
}

var errStore = errors.New("the database is away")

// faultyStore is away for one carrier.
type faultyStore struct {
	replica.Store
	away atomic.Bool
	// delays has what is settled next come late, and nobody told: late does it.
	delays atomic.Bool
	late   func() error
}

func (s *faultyStore) err() error {
	if s.away.Load() {
		return errStore
	}
	return nil
}

func (s *faultyStore) Lease(ctx context.Context, source, member string, ttl time.Duration) (replica.Hold, error) {
	if err := s.err(); err != nil {
		return replica.Hold{}, err
	}
	return s.Store.Lease(ctx, source, member, ttl)
}

func (s *faultyStore) Move(ctx context.Context, source string, epoch int64, to replica.Position) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Move(ctx, source, epoch, to)
}

func (s *faultyStore) Settle(ctx context.Context, source string, epoch int64, settled replica.Settled) (int64, error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	if s.delays.CompareAndSwap(true, false) {
		s.late = func() error {
			_, err := s.Store.Settle(context.WithoutCancel(ctx), source, epoch, settled)
			return err
		}
		return 0, errStore
	}
	return s.Store.Settle(ctx, source, epoch, settled)
}

func (s *faultyStore) NextHistory(ctx context.Context) (int64, error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	return s.Store.NextHistory(ctx)
}

// carrier is a flusher in little: it carries what a source gives to the database.
type carrier struct {
	w      *world
	source *replica.Source
	store  *faultyStore
	lives  map[string]string
	terms  map[entry.Shard]*held
}

type held struct {
	term  *entry.Term
	flush int64
}

func (w *world) start(bounds replica.Bounds) *carrier {
	c := &carrier{w: w, store: &faultyStore{Store: &w.store}, lives: make(map[string]string), terms: make(map[entry.Shard]*held)}
	source := replica.New(mappings(), w.redis, w.redis, c.store, replica.Options{Name: "source", Bounds: bounds})
	c.source = source
	if err := source.Prepare(w.ctx); err != nil {
		panic(err)
	}
	for _, m := range mappings() {
		if _, err := source.Open(w.ctx, config.QueueSettings{Owner: "test", Mapping: m}, "", false); err != nil {
			panic(err)
		}
	}
	w.carriers = append(w.carriers, c)
	return c
}

// kill ends a carrier as a crash does.
func (w *world) kill(i int) {
	c := w.carriers[i]
	w.carriers = slices.Delete(w.carriers, i, i+1)
	_ = c.source.Close()
}

// fate is what becomes of a batch.
type fate int

const (
	flows fate = iota
	answerLost
	neverSent
	comesLate
	partlyRefused
	partlyDead
	partlyKept
	fates
)

// sweep carries one claim of a partition. It reports whether there was anything.
func (c *carrier) sweep(queue string, partition, most int, f fate) bool {
	w := c.w
	m := mappings()[slices.IndexFunc(mappings(), func(m config.Mapping) bool { return m.Name == queue })]
	beat, err := c.source.Beat(w.ctx, config.QueueSettings{Mapping: m}, "member", 4000, entry.Seen{})
	if err != nil || beat.StandsBy {
		clear(c.terms)
		return false
	}
	if c.lives[queue] != beat.Incarnation {
		c.lives[queue] = beat.Incarnation
		maps.DeleteFunc(c.terms, func(s entry.Shard, _ *held) bool { return s.Queue == queue })
	}
	shard := entry.Shard{Queue: queue, Partition: partition, Incarnation: beat.Incarnation}
	h := c.terms[shard]
	if h == nil || beat.Held[partition] != h.term.Epoch {
		l := w.acquire(shard)
		h = &held{&entry.Term{Shard: shard, Member: "member", Epoch: l.Epoch}, l.Flush}
		if _, err := c.source.Begin(w.ctx, h.term, 0, l.Shard, nil, false); err != nil {
			return false
		}
		c.terms[shard] = h
	}
	claim, err := c.source.Claim(w.ctx, h.term, m.KeyPrefix, entry.Bounds{Entries: most, Retries: most, Bytes: 1 << 20})
	if err != nil {
		delete(c.terms, shard)
		return false
	}
	if len(claim.Entries) == 0 {
		return false
	}
	b := batch{at: entry.Place{Shard: shard, Epoch: h.term.Epoch, Flush: h.flush + 1}}
	settlements := make([]entry.Settlement, len(claim.Entries))
	w.areApart(claim.Entries)
	once := make(map[string]bool, len(claim.Entries))
	for i, e := range claim.Entries {
		if once[e.Row()] {
			w.failed("a claim has %s twice: in which order they are written is not said", e.Key)
		}
		once[e.Row()] = true
		letter := &entry.DeadLetter{Cause: entry.CauseRefused, Message: "no"}
		switch st := &settlements[i]; {
		case e.Lost:
			*st = entry.Settlement{Outcome: entry.Lost, Letter: letter}
		case e.Unfit != nil, strings.Contains(e.Value, noRow), f == partlyDead && i%2 == 0:
			*st = entry.Settlement{Outcome: entry.Dead, Letter: letter}
		case f == partlyRefused && i%2 == 0:
			*st = entry.Settlement{Outcome: entry.Refused, Wait: 2 * time.Second}
		case f == partlyKept && i%2 == 0:
			*st = entry.Settlement{Outcome: entry.Kept}
		default:
			st.Outcome = entry.Done
			b.rows = append(b.rows, e)
			b.at.Version = max(b.at.Version, e.Version, e.Upto)
		}
	}
	switch f {
	case neverSent:
		delete(c.terms, shard)
		return true
	case comesLate:
		w.late = append(w.late, b)
		delete(c.terms, shard)
		return true
	}
	if len(b.rows) > 0 {
		if !w.commit(b) {
			delete(c.terms, shard)
			return true
		}
		h.flush++
	}
	if f == answerLost {
		delete(c.terms, shard)
		return true
	}
	for i, st := range settlements {
		if key := idOf(queue, claim.Entries[i].Key, claim.Entries[i].Member); st.Outcome == entry.Dead || st.Outcome == entry.Lost {
			// It may become acknowledged with this very call.
			w.mu.Lock()
			w.letter[key] = w.n
			w.carried[key] = max(w.carried[key], w.n)
			w.mu.Unlock()
		}
	}
	if _, err := c.source.Acknowledge(w.ctx, claim, settlements); err != nil {
		delete(c.terms, shard)
	}
	return true
}

// drain carries all there is, and reports what is in the way.
func (w *world) drain() error {
	var why string
	for range 300 {
		time.Sleep(500 * time.Millisecond)
		idle := false
		why = "nobody reads"
		for _, c := range w.carriers {
			terms := 0
			for _, m := range mappings() {
				for p := range m.Partitions {
					c.sweep(m.Name, p, 100, flows)
				}
				terms += m.Partitions
			}
			if p := c.source.Progress(); p.Reads {
				// A partition that has not begun may be one of which Redis has lost something.
				begun := c.begun()
				why = fmt.Sprintf("%+v, %d of %d partitions have begun", p, begun, terms)
				idle = begun == terms && p.Attached && p.Marks == 0 && p.Scanned && p.Read == w.end()
			}
		}
		if idle {
			return nil
		}
	}
	return errors.New(why)
}

// begun counts the partitions of which a term has begun that is in force: a source that is taken
// anew knows none of those before.
func (c *carrier) begun() (n int) {
	for _, h := range c.terms {
		if holds, err := c.source.Holds(c.w.ctx, h.term); err == nil && holds {
			n++
		}
	}
	return n
}

func (w *world) end() int64 {
	_, end := w.redis.End()
	return end
}

// idOf names what a dead letter is about.
func idOf(queue, key, member string) string {
	if queue == boards || queue == streams {
		return key + "/" + member
	}
	return key
}

// letters are what has a dead letter.
func (w *world) letters() map[string]bool {
	all := make(map[string]bool)
	for _, queue := range []string{texts, hashes, boards, streams} {
		letters, err := w.store.Letters(w.ctx, "source", replica.Name{Queue: queue}, 1000)
		if err != nil {
			w.failed("read the dead letters: %v", err)
		}
		for i := range letters {
			all[idOf(queue, letters[i].Name.Key, letters[i].Name.Member)] = true
		}
	}
	return all
}

// compare looks whether the rows are what the keys are.
func (w *world) compare() {
	keys := slices.Sorted(maps.Keys(w.states))
	letters := w.letters()
	for _, key := range keys {
		if strings.HasPrefix(key, boards) {
			w.compareBoard(key, letters)
			continue
		}
		if strings.HasPrefix(key, streams) {
			w.compareStream(key, letters)
			continue
		}
		all := w.states[key]
		if kind := w.redis.Type(key); kind != "" && kind != map[bool]string{true: "string", false: "hash"}[key[0] == 't'] {
			if !letters[key] {
				w.failed("%s is a %s, and there is no dead letter", key, kind)
			}
			continue
		}
		said := 0
		for _, s := range all {
			if s.word != replica.Unlinked {
				said = s.n
			}
		}
		dead := w.letter[key] > 0 && w.letter[key] >= said
		if w.redis.Type(key) != "" && !dead && !strings.Contains(fmt.Sprint(w.redis.Hash(key)), noRow) && letters[key] {
			w.failed("%s has a dead letter, and was written since", key)
		}
		row, there := w.rows[key]
		var last, written state
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		for _, s := range all {
			if s.word == replica.Written {
				written = s
			}
		}
		if key[0] == 't' {
			text, exists := w.redis.Text(key)
			switch {
			case exists && `{"n":`+row["n"]+`}` != text && !dead:
				w.failed("%s is %s, and its row %v", key, text, row)
			case exists || last.n <= w.broke || dead:
			case last.word == replica.Deleted && there && written.n < last.n:
				w.failed("%s was deleted, and its row is %v", key, row)
			case last.word == replica.Unlinked && written.n > w.broke && !deletedSince(all, written) && row["n"] != strconv.Itoa(written.n):
				w.failed("%s has expired with %d, and its row is %v", key, written.n, row)
			}
			continue
		}
		hash := w.redis.Hash(key)
		bad := slices.ContainsFunc(slices.Collect(maps.Values(hash)), func(value string) bool { return strings.HasPrefix(value, noRow) })
		switch {
		case bad && !letters[key]:
			w.failed("%s is %v, and there is no dead letter", key, hash)
		case bad:
		case dead:
		case hash != nil && !maps.Equal(hash, row):
			w.failed("%s is %v, and its row %v", key, hash, row)
		case hash == nil && there && last.n > w.broke && last.word == replica.Deleted && !expiredSince(all, written):
			w.failed("%s was deleted, and its row is %v", key, row)
		}
	}
}

func deletedSince(all []state, s state) bool {
	return slices.ContainsFunc(all, func(o state) bool { return o.n > s.n && o.word == replica.Deleted })
}

func expiredSince(all []state, s state) bool {
	return slices.ContainsFunc(all, func(o state) bool { return o.n > s.n && o.word == replica.Unlinked })
}
