// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

const membersKey = "wb:{products}:members"

// enrol adds as many members, which count as gone at a time or not at all.
func (f *fixture) enrol(n int, name string, expiry any) {
	f.t.Helper()
	for from := 0; from < n; from += 1000 {
		var pairs []any
		for i := from; i < min(from+1000, n); i++ {
			pairs = append(pairs, fmt.Sprintf("%s%d", name, i), expiry)
		}
		f.check(f.rdb.HSet(f.t.Context(), membersKey, pairs...).Result())
	}
}

func (f *fixture) members() int64 {
	f.t.Helper()
	return f.rdb.HLen(f.t.Context(), membersKey).Val()
}

// TestTenThousandStaleMembersGoByAndBy: no call looks at all of them, the flusher that is
// there works meanwhile, and one that lives among them stays.
func TestTenThousandStaleMembersGoByAndBy(t *testing.T) {
	t.Parallel()
	const stale, atOnce = 10_000, 500
	for name, expiry := range map[string]any{
		"dead": time.Now().Add(-time.Minute).UnixMilli(), "of a clock that was put back": time.Now().Add(time.Hour).UnixMilli(), "no time at all": "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, journaltest.New(t))
			f.beat("living")
			f.check(nil, f.j.Release(t.Context(), queue, "living", 0, 1, 2, 3))
			f.enrol(stale, "stale", expiry)
			for beats, left := 0, f.members(); left > 2; beats++ {
				beat := f.beat("new")
				if beats == 0 && len(beat.Held) == 0 {
					t.Error("a flusher that comes gets no partition for stale members")
				}
				now := f.members()
				if now > left || left-now > atOnce || beats > 2*stale/atOnce {
					t.Fatalf("beat %d leaves %d members of %d", beats, now, left)
				}
				left = now
			}
			if beat := f.beat("living"); beat.Share != 2 {
				t.Errorf("the one that lives has a share of %d, want 2", beat.Share)
			}
			if n := f.members(); n != 2 {
				t.Errorf("%d members are left", n)
			}
		})
	}
}

// TestStaleMembersStandInNobodysWay: whether somebody lives among too many is not known
// at once.
func TestStaleMembersStandInNobodysWay(t *testing.T) {
	t.Parallel()
	f := open(t, journaltest.New(t), by("a", 1, "public.products"))
	f.forget(queue)
	f.enrol(10_000, "stale", time.Now().Add(-time.Minute).UnixMilli())
	other := func() bool { return f.opens(by("b", 1, "public.others")).OK }
	for tries := 0; !other(); tries++ {
		if tries > 40 {
			t.Fatalf("another config is refused for %d stale members", f.members())
		}
	}
	f = open(t, journaltest.New(t), by("a", 1, "public.products"))
	f.enrol(10_000, "stale", time.Now().Add(-time.Minute).UnixMilli())
	f.enrol(1, "living", time.Now().Add(time.Minute).UnixMilli())
	for range 40 {
		f.conflicts(f.opens(by("b", 1, "public.others")), "another config")
	}
	if n := f.members(); n > 500 || !f.rdb.HExists(t.Context(), membersKey, "living0").Val() {
		t.Errorf("%d members are left, or the one that lives is not", n)
	}
}
