// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// Scope is what is compared.
type Scope struct {
	// Queues are those that are looked at, Prefix what their keys begin with. With Keys these
	// alone are looked at.
	Queues []string
	Prefix string
	Keys   []string
	// Sample is the share of the keys that is compared, picked at random: more than 0, at most 1.
	Sample float64
	// Rate is how many keys are compared in a second; 0 is as many as the servers answer.
	Rate int
	// Extra also goes through the tables, for rows whose keys are not in Redis.
	Extra bool
	// Repair has what differs flushed again.
	Repair bool

	// Found is told each difference, Progress after each step how far it has come.
	Found    func(Difference) error
	Progress func(queue string, s *Summary)
}

// Kinds of a difference.
const (
	// Missing means that Redis has the key, and no row of it is there.
	Missing = "missing"
	// Different means that columns, or rows of some members, are not as Redis has them.
	Different = "different"
	// Unfit means that what Redis holds can be no row, and is no dead letter.
	Unfit = "unfit"
	// Extra means that a row is there whose key is not in Redis.
	Extra = "extra"
)

// Difference is one key that is not the same on both sides.
type Difference struct {
	Key string `json:"key"`
	// KeyBase64 is the key where it is not UTF-8, which Key cannot hold.
	KeyBase64 []byte `json:"keyBase64,omitempty"`
	Queue     string `json:"queue"`
	Kind      string `json:"kind"`
	// Columns are those that differ, Members how many members do.
	Columns []string `json:"columns,omitempty"`
	Members int      `json:"members,omitempty"`
	// Reason says why the value can be no row. It may quote the value.
	Reason string `json:"reason,omitempty"`
	// Marked says that a repair has had the key marked dirty.
	Marked bool `json:"marked,omitempty"`
}

// Summary counts keys.
type Summary struct {
	// Keys were compared, Same of them are the same on both sides.
	Keys int64 `json:"keys"`
	Same int64 `json:"same"`
	// Missing, Different and Unfit are differences, and so is Extra of rows where it was asked for.
	Missing   int64 `json:"missing"`
	Different int64 `json:"different"`
	Unfit     int64 `json:"unfit"`
	Extra     int64 `json:"extra"`
	// OnItsWay are dirty or tried again, or were written while they were looked at; Dead are dead
	// letters. Neither counts as a difference.
	OnItsWay int64 `json:"onItsWay"`
	// Unsettled are those of OnItsWay of which that is not known: they seem to differ, and the
	// stream of replication was not carried to them while they were waited for.
	Unsettled int64 `json:"unsettled"`
	Dead      int64 `json:"deadLetters"`
	// Large have more members than are compared.
	Large int64 `json:"large"`
	// Gone are not in Redis: they went while they were looked at, or were given by name.
	Gone int64 `json:"gone"`
	// Marked were marked dirty by a repair.
	Marked int64 `json:"marked"`
}

// Differences are those that a flush would change, or cannot.
func (s *Summary) Differences() int64 { return s.Missing + s.Different + s.Unfit }

// Verify compares Redis with the tables, and repairs where that is asked for. After an error the
// summary tells of what was compared before.
func (a *Audit) Verify(ctx context.Context, s Scope) (Summary, error) {
	v := &verification{Audit: a, scope: s}
	var faults []string
	for i := range a.config.Mappings {
		m := &a.config.Mappings[i]
		var err error
		if v.size = firstPage; hasMembers(m) {
			v.size = 1
		}
		switch {
		case len(s.Keys) > 0:
			err = v.pages(ctx, m, slices.DeleteFunc(slices.Clone(s.Keys), func(key string) bool { return MappingOf(a.config, key) != m }))
		case slices.Contains(s.Queues, m.Name):
			err = v.queue(ctx, m)
		}
		if fault, ok := errors.AsType[*queueFault](err); ok {
			faults = append(faults, fault.text)
			continue
		}
		if err != nil {
			return v.summary, err
		}
	}
	if len(faults) > 0 {
		return v.summary, errors.New(strings.Join(faults, "; "))
	}
	return v.summary, nil
}

// queueFault says why one queue could not be compared. The others may well be.
type queueFault struct{ text string }

func (f *queueFault) Error() string { return f.text }

// isOf tells whether an error is of the queue alone: its table does not fit, it is not there, or its
// journal was overwritten.
func isOf(m *config.Mapping, err error) bool {
	_, misfit := errors.AsType[*entry.Misfit](err)
	return misfit || errors.Is(err, entry.ErrNoQueue) || strings.Contains(err.Error(), "WRONGTYPE wb:{"+m.Name)
}

// verification is one run.
type verification struct {
	*Audit
	scope   Scope
	summary Summary
	// size is how many keys the next page has, due when the next keys may be compared.
	size int
	due  time.Time
}

// queue goes through the keys in Redis and, if that is asked for, through the rows.
func (v *verification) queue(ctx context.Context, m *config.Mapping) error {
	prefix := m.KeyPrefix
	if strings.HasPrefix(v.scope.Prefix, prefix) {
		prefix = v.scope.Prefix
	}
	for last := (scanned{}); ; {
		step, err := patiently(ctx, func() (scanned, error) { return v.source.scan(ctx, prefix, last.next) })
		if err == nil && last.next != 0 && step.run != last.run {
			err = errOtherRun
		}
		if err != nil {
			return v.failed(m, err)
		}
		// The prefix alone is no key of a row.
		if err := v.pages(ctx, m, slices.DeleteFunc(step.keys, func(key string) bool { return key == m.KeyPrefix || !v.picked() })); err != nil {
			return err
		}
		v.scope.Progress(m.Name, &v.summary)
		if err := v.pace(ctx, stepOfScan); err != nil {
			return err
		}
		if last = step; last.next == 0 {
			break
		}
	}
	if v.scope.Extra {
		return v.allRows(ctx, m, prefix)
	}
	return nil
}

func (v *verification) picked() bool {
	return v.scope.Sample >= 1 || rand.Float64() < v.scope.Sample //nolint:gosec // It picks a sample.
}

// suspects are keys that seem to differ at the first look. The others are counted.
func (v *verification) suspects(ctx context.Context, m *config.Mapping, t *postgres.Table, looks []known) ([]known, error) {
	looks = v.still(looks)
	verdicts, err := v.compare(ctx, m, t, looks)
	if err != nil {
		return nil, err
	}
	var suspects []known
	for i := range looks {
		if verdicts[i] == nil {
			v.summary.Same++
		} else {
			suspects = append(suspects, looks[i])
		}
	}
	return suspects, nil
}

// still leaves the keys out of which something waits, and those that are not there. They are
// counted.
func (v *verification) still(looks []known) []known {
	return slices.DeleteFunc(looks, func(k known) bool {
		switch {
		case k.waits:
			v.summary.OnItsWay++
		case k.dead:
			v.summary.Dead++
		case k.found == absent:
			v.summary.Gone++
		case k.members > replica.MostSurveyed:
			v.summary.Large++
		default:
			return false
		}
		return true
	})
}

// mostLooks is how often a key is looked at that is written again and again.
const mostLooks = 3

// confirm looks at suspects again, and tells those that differ while nothing of them waits.
func (v *verification) confirm(ctx context.Context, m *config.Mapping, t *postgres.Table, suspects []known) error {
	for range mostLooks {
		if len(suspects) == 0 {
			return nil
		}
		settled, err := v.source.settled(ctx, suspects)
		if err != nil {
			return err
		}
		if !settled {
			v.summary.Unsettled += int64(len(suspects))
			break
		}
		before := make(map[string]*known, len(suspects))
		keys := make([]string, len(suspects))
		for i := range suspects {
			keys[i] = suspects[i].key
			before[keys[i]] = &suspects[i]
		}
		looks, err := v.look(ctx, m, keys)
		if err != nil {
			return err
		}
		looks = v.still(looks)
		verdicts, err := v.compare(ctx, m, t, looks)
		if err != nil {
			return err
		}
		suspects, err = v.judge(ctx, m, before, looks, verdicts)
		if err != nil {
			return err
		}
	}
	v.summary.OnItsWay += int64(len(suspects))
	return nil
}

// judge tells the keys whose value was the same all the time, and returns those that were written
// meanwhile.
func (v *verification) judge(ctx context.Context, m *config.Mapping, before map[string]*known, looks []known, verdicts []*Difference) ([]known, error) {
	var keys []string
	for i := range looks {
		if verdicts[i] == nil {
			v.summary.Same++
		} else {
			keys = append(keys, looks[i].key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	last, err := v.look(ctx, m, keys)
	if err != nil {
		return nil, err
	}
	after := make(map[string]*known, len(last))
	for i := range last {
		after[last[i].key] = &last[i]
	}
	var moving []known
	var differ []*Difference
	for i := range looks {
		k := &looks[i]
		switch now := after[k.key]; {
		case verdicts[i] == nil:
		case now != nil && before[k.key].same(k) && k.same(now):
			differ = append(differ, verdicts[i])
		case now != nil:
			moving = append(moving, *now)
		}
	}
	return v.still(moving), v.tell(ctx, m, differ)
}

// tell counts differences, repairs them if that is asked for, and tells each.
func (v *verification) tell(ctx context.Context, m *config.Mapping, differ []*Difference) error {
	var keys []string
	for _, d := range differ {
		switch d.Kind {
		case Missing:
			v.summary.Missing++
		case Different:
			v.summary.Different++
		case Unfit:
			v.summary.Unfit++
			continue
		}
		keys = append(keys, d.Key)
	}
	var failed error
	if v.scope.Repair && len(keys) > 0 {
		var marked []bool
		marked, failed = v.again(ctx, m, keys)
		for i, done := range marked {
			if !done {
				continue
			}
			v.summary.Marked++
			at := slices.IndexFunc(differ, func(d *Difference) bool { return d.Key == keys[i] })
			differ[at].Marked = true
		}
	}
	for _, d := range differ {
		if err := v.scope.Found(*d); err != nil {
			return err
		}
	}
	return failed
}

// again has keys flushed once more, as soon as there is room for them.
func (v *verification) again(ctx context.Context, m *config.Mapping, keys []string) (marked []bool, err error) {
	for since := time.Now(); len(marked) < len(keys); {
		some, err := v.source.again(ctx, m, keys[len(marked):])
		marked = append(marked, some...)
		if len(some) > 0 {
			since = time.Now()
		}
		if _, busy := errors.AsType[*busyError](err); err != nil && (!busy || time.Since(since) > longestPatience) {
			return marked, err
		}
		if err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return marked, ctx.Err()
		case <-time.After(beat):
		}
	}
	return marked, nil
}

// failed names the queue and the server of an error.
func (v *verification) failed(m *config.Mapping, err error) error {
	text := ""
	if of, ok := errors.AsType[databaseError](err); ok {
		text = "PostgreSQL: " + ofDatabase(of.error)
	} else if _, busy := errors.AsType[*busyError](err); busy || errors.Is(err, errOtherRun) {
		text = err.Error()
	} else {
		text = "Redis: " + v.source.explain(err)
	}
	text = fmt.Sprintf("queue %s: %s", m.Name, text)
	if isOf(m, err) {
		return &queueFault{text}
	}
	return errors.New(text)
}
