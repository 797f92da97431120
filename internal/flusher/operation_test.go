// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// raise is an operation of which the product knows nothing: the name of the row becomes the
// value, unless it comes later in the alphabet as it is.
var raise = &entry.Operation{Letter: 'r', Name: "raise", Valued: true, Proof: entry.RowsPass}

// raised is what it makes of a row in memory.
func raised(row, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, errors.New("there is nothing to raise to")
	}
	var is struct{ Name string }
	if row != nil {
		if err := json.Unmarshal(row, &is); err != nil {
			return nil, err
		}
	}
	return []byte(name(max(is.Name, string(value)))), nil
}

func name(of string) string { return `{"name":"` + of + `"}` }

// raise writes a key as an application would.
func (w *world) raise(id int, to string) {
	w.source.Write(products, entry.Entry{Key: key(id), Operation: raise, Value: to}, func(waits, value string) string { return max(waits, value) })
}

// inWorldThatRaises runs the test with one partition and two retries.
func inWorldThatRaises(t *testing.T, test func(*world)) {
	t.Helper()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 2 }, func(w *world) {
		w.database.Learn(raise, raised)
		test(w)
	})
}

func TestANewOperationConforms(t *testing.T) {
	t.Parallel()
	enginetest.OperationConforms(t, func(t *testing.T) enginetest.DatabaseUnderTest {
		d, under := enginetest.InMemory(t)
		d.Learn(raise, raised)
		return under
	}, enginetest.Sample{Operation: raise, Value: "b", Before: "a", Makes: "b", Refused: enginetest.Refused})
}

func TestANewOperationIsCoalescedAndFlushed(t *testing.T) {
	t.Parallel()
	inWorldThatRaises(t, func(w *world) {
		m := w.startReady()
		w.raise(1, "b")
		w.raise(1, "c")
		w.raise(1, "a")
		w.drained(interval + time.Second)
		w.holds(name("c"), 1)
		if stats := w.stats(); stats.Writes != 3 || stats.Flushed != 1 || stats.Coalesced != 2 {
			t.Errorf("the stats are %+v", stats)
		}
		w.raise(1, "b")
		w.drained(interval + time.Second)
		w.holds(name("c"), 1)
		// The answer of the commit is lost: the next epoch writes it once more.
		m.faults.Break(enginetest.Fault{Late: true, Times: 1}, "Write")
		w.raise(1, "d")
		w.drained(time.Minute)
		w.holds(name("d"), 1)
		w.source.Set(products, key(1), name("a"))
		w.drained(interval + time.Second)
		w.holds(name("a"), 1)
		w.source.Delete(products, key(1))
		w.drained(interval + time.Second)
		w.holds("")
	})
}

func TestANewOperationThatIsRefusedIsADeadLetterOfItsName(t *testing.T) {
	t.Parallel()
	inWorldThatRaises(t, func(w *world) {
		w.startReady()
		w.database.Rule(products, refusing("bad", enginetest.RefuseRow))
		for _, id := range upTo(20) {
			w.raise(id, "good")
		}
		w.raise(21, "very bad")
		w.raise(22, "")
		w.drained(time.Minute)
		w.holds(goodRow, upTo(20)...)
		letters := w.source.DeadLetters(products)
		if l := letters[key(21)]; l.Cause != entry.CauseRefused || l.Operation != "raise" || l.Payload != "very bad" || l.Attempts != 3 {
			t.Errorf("the dead letter of what is refused is %+v", l)
		}
		if l := letters[key(22)]; l.Cause != entry.CauseNotADocument || l.Operation != "raise" || !strings.Contains(l.Message, "nothing to raise to") {
			t.Errorf("the dead letter of what cannot be a row is %+v", l)
		}
	})
}

// What it shows decides whether others' refusals are their own fault, and the mapping's flow.
func TestANewOperationShowsThatRowsPass(t *testing.T) {
	t.Parallel()
	inWorldThatRaises(t, func(w *world) {
		m := w.startReady()
		paused := func(want bool) func() error {
			return func() error {
				if ready := m.mapping().Ready; (ready.Reason == cachev1alpha1.ReasonMappingPaused) != want {
					return fmt.Errorf("the mapping is %+v", ready)
				}
				return nil
			}
		}
		w.database.Rule(products, func(string, []byte) *entry.Fault { return enginetest.RefuseRow() })
		for _, id := range upTo(100) {
			w.raise(id, "good")
		}
		w.within(10*time.Second, "a pause", paused(true))
		// Removals get through, of which rows say nothing.
		w.database.Rule(products, refusing("good", enginetest.RefuseRow))
		w.source.Delete(products, key(200))
		w.within(time.Minute, "a removal", func() error {
			if stats := w.stats(); stats.Flushed != 1 {
				return fmt.Errorf("the stats are %+v", stats)
			}
			return nil
		})
		time.Sleep(interval / 2)
		if err := paused(true)(); err != nil {
			t.Error(err)
		}
		w.database.Rule(products, nil)
		w.drained(5 * time.Minute)
		w.holds(goodRow, upTo(100)...)
		w.within(time.Second, "a mapping that flows", paused(false))
		if stats := w.stats(); stats.Dead != 0 {
			t.Errorf("the stats are %+v", stats)
		}
	})
}

// The engine looks at what an operation says of itself. A branch on one of them would be a
// place that the next one has to know.
func TestTheEngineKnowsNoOperationByName(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	known := regexp.MustCompile(`\bentry\.(Set|Delete)\b|\.Letter ==|\bOperation\.(Name|Letter)\b`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := known.FindString(string(text)); at != "" {
			t.Errorf("%s says %s", file, at)
		}
	}
}
