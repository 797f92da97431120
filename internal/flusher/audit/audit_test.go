// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// A stream that was slow once is waited for like any other: without that every later difference
// would pass for one that is on its way.
func TestAStreamThatGoesOnIsWaitedForAsLongAsEver(t *testing.T) {
	p := patience{long: 15 * time.Second}
	for i, look := range []struct {
		waited time.Duration
		id     string
		offset int64
		over   bool
	}{
		{14 * time.Second, "a", 5, false},
		{16 * time.Second, "a", 5, true},
		// It stands where it stood: the next look would find the same.
		{time.Second, "a", 5, false},
		{3 * time.Second, "a", 5, true},
		// It has moved, or is another one.
		{14 * time.Second, "a", 6, false},
		{14 * time.Second, "b", 5, false},
		{16 * time.Second, "b", 5, true},
		{3 * time.Second, "b", 5, true},
		{14 * time.Second, "a", 5, false},
	} {
		if over := p.over(look.waited, look.id, look.offset); over != look.over {
			t.Errorf("look %d, %+v: it is over: %t", i, look, over)
		}
	}
}

// What took longer is not made up for by a burst.
func TestThePaceIsTheSameAfterAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verification{scope: Scope{Rate: 1000}}
		for range 3 {
			began := time.Now()
			for range 5 {
				if err := v.pace(t.Context(), 200); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("at 1000 keys a second 1000 take %v", took)
			}
			time.Sleep(time.Hour)
		}
	})
}

// A page is in memory several times over, beside a flusher.
func TestPagesFitTheMemory(t *testing.T) {
	page := func(n, bytes int) []known {
		looks, value := make([]known, n), strings.Repeat("x", bytes)
		for i := range looks {
			looks[i].entries = []entry.Entry{{Value: value}}
		}
		return looks
	}
	v := &verification{size: firstPage}
	for i, step := range []struct{ keys, bytes, next int }{
		{10, 100, 20},
		{20, 100, 40},
		{40, 100, 80},
		{80, 100, 160},
		{160, 100, pageOfKeys},
		{pageOfKeys, 100, pageOfKeys},
		{pageOfKeys, 1 << 20, 3},
		{3, 16 << 20, 1},
		{1, 100, 2},
		{0, 0, 2},
	} {
		if v.fit(page(step.keys, step.bytes)); v.size != step.next {
			t.Errorf("step %d: behind %d keys of %d bytes come %d, want %d", i, step.keys, step.bytes, v.size, step.next)
		}
	}
}

// A key that has more members than are compared is told as that, and as neither the same nor
// different.
func TestAKeyThatIsTooLargeIsTold(t *testing.T) {
	v := &verification{}
	if left := v.still([]known{{found: present, members: replica.MostSurveyed + 1}, {found: present, members: replica.MostSurveyed}}); len(left) != 1 || v.summary.Large != 1 {
		t.Errorf("%d keys are compared: %+v", len(left), v.summary)
	}
}

// crowded is a source that has room for some keys at a time.
type crowded struct {
	source
	room []int
}

func (c *crowded) again(_ context.Context, _ *config.Mapping, keys []string) ([]bool, error) {
	room := 0
	if len(c.room) > 0 {
		room, c.room = c.room[0], c.room[1:]
	}
	done := make([]bool, min(room, len(keys)))
	for i := range done {
		done[i] = true
	}
	if len(done) < len(keys) {
		return done, &busyError{"it is full"}
	}
	return done, nil
}

// A repair waits for room, as long as there is some now and then.
func TestARepairWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := []string{"a", "b", "c", "d"}
		v := &verification{Audit: &Audit{source: &crowded{room: []int{1, 0, 0, 2, 0, 1}}}}
		marked, err := v.again(t.Context(), nil, keys)
		if fmt.Sprint(marked) != "[true true true true]" || err != nil {
			t.Errorf("marked are %v, %v", marked, err)
		}
		v.source = &crowded{room: []int{3}}
		began := time.Now()
		marked, err = v.again(t.Context(), nil, keys)
		var busy *busyError
		if took := time.Since(began); fmt.Sprint(marked) != "[true true true]" || !errors.As(err, &busy) || took < longestPatience || took > 2*longestPatience {
			t.Errorf("after %v marked are %v, %v", took, marked, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.again(ctx, nil, keys); !errors.Is(err, context.Canceled) {
			t.Errorf("of an interruption it says %v", err)
		}
	})
}

// What is not compared of a key of many members is not told as a difference.
func TestMembersThatAreTooManyAreNoDifference(t *testing.T) {
	server := postgrestest.New(t)
	server.Exec(t, `CREATE TABLE scores (board text, player text, score int, PRIMARY KEY (board, player));
INSERT INTO scores SELECT '1', 'p' || n, n FROM generate_series(1, 5) n`)
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Encoding, m.MemberColumn, m.ScoreColumn = "scores", "board:", "scores", "board", config.EncodingSortedSet, "player", "score"
	database := postgres.Open(postgres.Settings{URLFile: server.URLFile(t), MaxConnections: 1, StatementTimeout: time.Minute})
	t.Cleanup(database.Close)
	a := &Audit{config: &config.Config{}, database: database, tables: map[string]*postgres.Table{}}
	var entries []entry.Entry
	for n := 5; n > 2; n-- {
		entries = append(entries, entry.Entry{Key: "board:1", Member: fmt.Sprintf("p%d", n), Operation: entry.Set, Value: fmt.Sprint(n)})
	}
	e := &Explanation{Key: "board:1", Redis: Held{Asked: true, There: true, Members: new(5)}}
	if err := a.explainRows(t.Context(), &m, e, entries, true); err != nil {
		t.Fatal(err)
	}
	if *e.Differs || len(e.Rows) != 3 || e.Beyond != 2 || len(e.Problems) != 1 {
		t.Errorf("of five members, of which three are compared, it says %+v", e)
	}
}

// restarted is a source of no keys, whose server begins another life between two steps.
type restarted struct {
	source
	steps []scanned
}

func (r *restarted) scan(context.Context, string, uint64) (s scanned, err error) {
	s, r.steps = r.steps[0], r.steps[1:]
	return s, nil
}

// A cursor is one server's: going on with it at another would miss keys, and say that all are
// compared.
func TestAScanEndsWithItsServer(t *testing.T) {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix = "products", "product:"
	for want, steps := range map[string][]scanned{
		"":                      {{run: "a", next: 7}, {run: "a", next: 9}, {run: "a"}},
		"another Redis answers": {{run: "a", next: 7}, {run: "b"}},
	} {
		v := &verification{Audit: &Audit{source: &restarted{steps: steps}}, scope: Scope{Sample: 1, Progress: func(string, *Summary) {}}}
		if err := v.queue(t.Context(), &m); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("after %+v it says %v, want %q", steps, err, want)
		}
	}
	server := journaltest.New(t)
	rdb := server.Client(t)
	for i := range 3000 {
		rdb.Set(t.Context(), fmt.Sprintf("product:%d", i), "x", 0)
	}
	first, err := scan(t.Context(), rdb, "product:", 0)
	if err != nil || first.run == "" || first.next == 0 {
		t.Fatalf("a step is %d keys, next %d, of %q, %v", len(first.keys), first.next, first.run, err)
	}
	if again, err := scan(t.Context(), rdb, "product:", first.next); err != nil || again.run != first.run {
		t.Errorf("the next step is of %q, %v, want %q", again.run, err, first.run)
	}
}

// away is a source whose server does not answer for a while.
type away struct {
	source
	errs []error
}

func (a *away) look(context.Context, *config.Mapping, []string) ([]known, error) {
	if len(a.errs) == 0 {
		return make([]known, 1), nil
	}
	err := a.errs[0]
	a.errs = a.errs[1:]
	return nil, err
}

// A comparison of hours outlasts a moment without an answer, and nothing else.
func TestAComparisonOutlastsAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := fmt.Errorf("ask: %w", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded})
		refusal := errors.New("NOPERM no")
		for _, test := range []struct {
			errs []error
			left int
			fail error
		}{
			{[]error{silent, io.EOF, errors.New("LOADING Redis is loading")}, 0, nil},
			{[]error{silent, silent, silent, silent, silent}, 1, silent},
			{[]error{refusal, nil}, 1, refusal},
			{[]error{databaseError{silent}, nil}, 1, silent},
			{[]error{context.Canceled, nil}, 1, context.Canceled},
		} {
			a := &away{errs: test.errs}
			v := &verification{Audit: &Audit{source: a}}
			if _, err := v.look(t.Context(), nil, nil); !errors.Is(err, test.fail) || len(a.errs) != test.left {
				t.Errorf("of %v it says %v, and asks %d times more", test.errs, err, len(a.errs))
			}
		}
	})
}
