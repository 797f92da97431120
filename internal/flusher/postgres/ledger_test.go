// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestAcquireRaisesTheEpochAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	again, err := d.Acquire(t.Context(), "j1", "products", 0)
	if again.Epoch <= o.at.Epoch {
		t.Errorf("Acquire gave epoch %d after %d", again.Epoch, o.at.Epoch)
	}
	if want := (entry.Mark{Epoch: again.Epoch, Flush: 1, Queue: 1, Shard: 1, Home: d.Home()}); err != nil || again != want {
		t.Errorf("Acquire = %+v, %v; want %+v", again, err, want)
	}
	again.Home = entry.Home{} // which is read apart
	if read := ledgerOf(t, d, 0); read != again {
		t.Errorf("The ledger holds %+v; want %+v", read, again)
	}
}

func TestAcquireSeedsThePositionFromAllJournalsOfTheQueue(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	o.at.Version = 41
	o.write(t, "1", `{"a":"x"}`)
	o.at.Incarnation, o.at.Flush = "j2", 0
	other, err := d.Acquire(t.Context(), "j2", "products", 5)
	if want := (entry.Mark{Epoch: other.Epoch, Queue: 42, Earlier: true, Home: d.Home()}); err != nil || other != want {
		t.Errorf("Acquire in another journal = %+v, %v; want %+v", other, err, want)
	}
	stranger, err := d.Acquire(t.Context(), "j1", "orders", 0)
	if want := (entry.Mark{Epoch: stranger.Epoch, Home: d.Home()}); err != nil || stranger != want {
		t.Errorf("Acquire in another queue = %+v, %v; want %+v", stranger, err, want)
	}
}

func TestAPositionNeverFalls(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	for _, version := range []int64{100, 50} {
		if _, err := d.Write(t.Context(), o.table, o.next(version), o.table.NewBatch()); err != nil {
			t.Fatal(err)
		}
	}
	if l := ledgerOf(t, d, 0); l.Shard != 100 || l.Flush != 2 {
		t.Errorf("The ledger holds %+v; want position 100 after 2 batches", l)
	}
}

func TestOnlyTheFirstAcquisitionOfAJournalFencesTheOthers(t *testing.T) {
	t.Parallel()
	server, d, _ := openItems(t)
	acquire := func(journal, queue string, partition int) {
		t.Helper()
		if _, err := d.Acquire(t.Context(), journal, queue, partition); err != nil {
			t.Fatal(err)
		}
	}
	epochs := func() map[string]int64 {
		all := map[string]int64{}
		for _, row := range server.Rows(t, "SELECT concat_ws('/', journal, queue, partition), epoch FROM writebehind.ledger") {
			all[row[0]], _ = strconv.ParseInt(row[1], 10, 64)
		}
		return all
	}
	before := epochs()
	raised := func(want ...string) {
		t.Helper()
		now := epochs()
		var got []string
		for row, epoch := range now {
			if epoch > before[row] {
				got = append(got, row)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("The epochs of %v were raised; want %v", got, want)
		}
		before = now
	}
	acquire("j1", "products", 1)
	acquire("j1", "orders", 0)
	raised("j1/orders/0", "j1/products/1")
	acquire("j2", "products", 0)
	raised("j1/products/0", "j1/products/1", "j2/products/0")
	acquire("j2", "products", 1)
	acquire("j2", "products", 0)
	raised("j2/products/0", "j2/products/1")
}

func TestALedgerWithoutTheRow(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	if l, want := ledgerOf(t, d, 9), (entry.Mark{Queue: 1}); l != want {
		t.Errorf("The ledger holds %+v; want %+v", l, want)
	}
	at := o.next(1)
	at.Partition = 9
	if outcome, err := d.Write(t.Context(), o.table, at, o.table.NewBatch()); outcome != entry.Fenced {
		t.Errorf("Write = %v, %v; want Fenced", outcome, err)
	}
}

func TestManyAcquisitionsAtOnce(t *testing.T) {
	t.Parallel()
	server, d, _ := openItems(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	epochs := map[int64]int{}
	for range 8 {
		group.Go(func() {
			for range 5 {
				l, err := d.Acquire(t.Context(), "j1", "products", 3)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				epochs[l.Epoch]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(epochs) != 40 {
		t.Errorf("40 acquisitions gave %d epochs; want one each", len(epochs))
	}
	equal(t, server, "SELECT epoch FROM writebehind.ledger WHERE partition = 3", fmt.Sprint(slices.Max(slices.Collect(maps.Keys(epochs)))))
}

func TestNewJournalsAtOnceDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	_, d, _ := openItems(t)
	var group sync.WaitGroup
	for partition := range 8 {
		group.Go(func() {
			for {
				_, err := d.Acquire(t.Context(), "j2", "products", partition)
				if err == nil {
					return
				}
				if e, ok := errors.AsType[*Error](err); !ok || e.Kind != entry.Contention && e.Kind != entry.Locked {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
