// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// cluster is a set of pods by resource, each with an answer, and the transport
// that leads to them.
type cluster struct {
	mu      sync.Mutex
	pods    map[types.NamespacedName][]string
	answers map[string]func(context.Context) (*config.Status, error)
	asked   map[string]int
	busy    int
	busiest int
}

func newCluster() *cluster {
	return &cluster{
		pods:    map[types.NamespacedName][]string{},
		answers: map[string]func(context.Context) (*config.Status, error){},
		asked:   map[string]int{},
	}
}

func (c *cluster) set(key types.NamespacedName, pod string, answer func(context.Context) (*config.Status, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.answers[pod]; !ok {
		c.pods[key] = append(c.pods[key], pod)
	}
	c.answers[pod] = answer
}

func (c *cluster) list(_ context.Context, key types.NamespacedName, _ types.UID) ([]corev1.Pod, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []corev1.Pod
	for _, name := range c.pods[key] {
		pods = append(pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)}})
	}
	return pods, nil
}

func (c *cluster) RoundTrip(request *http.Request) (*http.Response, error) {
	pod := request.URL.Host
	c.mu.Lock()
	answer := c.answers[pod]
	c.asked[pod]++
	c.busy++
	c.busiest = max(c.busiest, c.busy)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
	}()
	status, err := answer(request.Context())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(status)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(body))), Request: request}, nil
}

// times is how often a pod was asked, and atOnce the most requests under way.
func (c *cluster) times(pod string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[pod]
}

func (c *cluster) atOnce() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busiest
}

func says(status *config.Status) func(context.Context) (*config.Status, error) {
	return func(context.Context) (*config.Status, error) { return status, nil }
}

func dead(ctx context.Context) (*config.Status, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func fine(depth int64) *config.Status {
	return &config.Status{
		Owner: "u", Revision: 1, ObservedTime: time.Now(),
		Redis: config.Check{OK: true}, Database: config.Check{OK: true},
		Queues: []config.QueueStatus{{Name: "q", Depth: depth, Ready: config.Check{OK: true}}},
	}
}

// run starts an observer and counts its wake-ups by resource, until the test
// ends. It has to be called in a bubble.
func run(t *testing.T, c *cluster, options Options) (o *Observer, wakeups func(types.NamespacedName) int) {
	t.Helper()
	options.List, options.Transport = c.list, c
	options.Endpoint = func(pod *corev1.Pod) string { return pod.Name }
	o = New(options)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	counts := map[types.NamespacedName]int{}
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := o.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	wait.Go(func() {
		for {
			select {
			case e := <-o.Wakeups():
				if _, ok := e.Object.(*v1alpha1.WriteBehindCache); !ok {
					t.Errorf("woken by %T", e.Object)
				}
				mu.Lock()
				counts[types.NamespacedName{Namespace: e.Object.GetNamespace(), Name: e.Object.GetName()}]++
				mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
	return o, func(key types.NamespacedName) int {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return counts[key]
	}
}

var marks = Marks{Warning: 1000, Critical: 10000, Full: 100000}

var shop = types.NamespacedName{Namespace: "ns", Name: "shop"}

func TestWakesOnceForWhatStaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.set(shop, "a", func(context.Context) (*config.Status, error) { return fine(0), nil })
		o, wakeups := run(t, c, Options{})
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if n := wakeups(shop); n != 1 {
			t.Errorf("%d wake-ups in a minute without a change, want 1 for the first look", n)
		}
		if asked := c.times("a"); asked < 50 || asked > 80 {
			t.Errorf("asked %d times in a minute, want about one a second", asked)
		}
	})
}

func TestPublishesConditionsAtOnceAndNumbersSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		var depth int64 = 1
		c.set(shop, "a", func(context.Context) (*config.Status, error) {
			depth++
			return fine(depth), nil
		})
		o, wakeups := run(t, c, Options{})
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if n := wakeups(shop); n < 8 || n > 13 {
			t.Errorf("%d wake-ups in a minute of changing numbers, want one every five seconds", n)
		}

		before := wakeups(shop)
		broken := fine(depth)
		broken.Database = config.Check{Reason: "ConnectionFailed", Message: "no"}
		c.set(shop, "a", says(broken))
		time.Sleep(1300 * time.Millisecond)
		if n := wakeups(shop) - before; n != 1 {
			t.Errorf("%d wake-ups after a condition changed, want 1 within one look", n)
		}
		if got := o.Latest(shop, "u").Flushers[0].Status.Database.Reason; got != "ConnectionFailed" {
			t.Errorf("published reason is %q", got)
		}

		before = wakeups(shop)
		n := 0
		c.set(shop, "a", func(context.Context) (*config.Status, error) {
			n++
			counting := *broken
			counting.Database.Message = fmt.Sprintf("no, for the %d. time", n)
			return &counting, nil
		})
		time.Sleep(30 * time.Second)
		if n := wakeups(shop) - before; n > 7 {
			t.Errorf("%d wake-ups in 30 s for a message that counts, want one every five seconds at most", n)
		}
	})
}

func TestPublishesADangerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.set(shop, "a", says(fine(1)))
		o, wakeups := run(t, c, Options{NumbersInterval: time.Hour, Calm: time.Millisecond})
		o.Track(shop, "u", marks)
		time.Sleep(2 * time.Second)
		danger := config.Check{Reason: v1alpha1.ReasonAppendOnlyOff, Message: "no"}
		for name, step := range map[string]struct {
			edit func(*config.Status)
			news int
		}{
			"persistence": {func(s *config.Status) { s.Durability.Persistence = danger }, 1},
			"eviction":    {func(s *config.Status) { s.Durability.Eviction = danger }, 1},
			"ledger":      {func(s *config.Status) { s.Durability.Ledger = danger }, 1},
			"table":       {func(s *config.Status) { s.Queues[0].Durable = danger }, 1},
			"loss":        {func(s *config.Status) { s.Queues[0].DataLossEvents++ }, 1},
			"journal":     {func(s *config.Status) { s.Queues[0].Journal = "another" }, 1},
			"messages": {func(s *config.Status) {
				s.Durability.Persistence.Message, s.Durability.Eviction.Message = "x", "x"
				s.Durability.Ledger.Message, s.Queues[0].Durable.Message = "x", "x"
			}, 0},
		} {
			before := wakeups(shop)
			status := fine(1)
			step.edit(status)
			c.set(shop, "a", says(status))
			time.Sleep(2500 * time.Millisecond)
			if n := wakeups(shop) - before; n != step.news {
				t.Errorf("%s: %d wake-ups, want %d", name, n, step.news)
			}
			c.set(shop, "a", says(fine(1)))
			time.Sleep(2500 * time.Millisecond)
		}
	})
}

func TestPublishesTheCrossingOfAMarkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		queue := func(depth, dead int64) func(context.Context) (*config.Status, error) {
			status := fine(depth)
			status.Queues[0].DeadLetters = dead
			return says(status)
		}
		c.set(shop, "a", queue(998, 1))
		o, wakeups := run(t, c, Options{NumbersInterval: time.Hour, Calm: time.Millisecond})
		o.Track(shop, "u", marks)
		time.Sleep(1300 * time.Millisecond)
		for _, step := range []struct {
			depth, dead int64
			news        int
		}{
			{998, 2, 1},    // Warning, by the dead letter
			{9997, 2, 0},   // a number
			{9998, 2, 1},   // Critical
			{99998, 2, 1},  // Full
			{200000, 2, 0}, // Accept lets it grow
			{5, 2, 1},      // under all of them
		} {
			before := wakeups(shop)
			c.set(shop, "a", queue(step.depth, step.dead))
			time.Sleep(2500 * time.Millisecond)
			if n := wakeups(shop) - before; n != step.news {
				t.Errorf("%d wake-ups at %d entries and %d dead letters, want %d", n, step.depth, step.dead, step.news)
			}
		}

		before := wakeups(shop)
		o.Track(shop, "u", Marks{Warning: 1, Critical: 2, Full: 7})
		time.Sleep(2500 * time.Millisecond)
		if n := wakeups(shop) - before; n != 0 {
			t.Errorf("%d wake-ups for other marks, want none: who sets them looks at the numbers anyway", n)
		}
		c.set(shop, "a", queue(4, 2))
		time.Sleep(2500 * time.Millisecond)
		if n := wakeups(shop) - before; n != 1 {
			t.Errorf("%d wake-ups for a queue that is no longer full by the new marks, want 1", n)
		}
	})
}

func TestADeadFlusherDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		o, wakeups := run(t, c, Options{})
		for i := range 50 {
			key := types.NamespacedName{Namespace: "dead", Name: fmt.Sprint(i)}
			for j := range 20 {
				c.set(key, fmt.Sprintf("dead-%d-%d", i, j), dead)
			}
			o.Track(key, "u", marks)
		}
		c.set(shop, "a", says(fine(0)))
		o.Track(shop, "u", marks)
		time.Sleep(1300 * time.Millisecond)
		if n := wakeups(shop); n != 1 {
			t.Fatalf("%d wake-ups of the living, want 1", n)
		}
		before := c.times("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if asked := c.times("a") - before; asked < 50 {
			t.Errorf("the living was asked %d times in a minute beside a thousand dead, want about one a second", asked)
		}
		if c.atOnce() > 50*defaultConcurrency+1 {
			t.Errorf("%d requests at once, want at most %d a resource", c.atOnce(), defaultConcurrency)
		}
	})
}

func TestOneLostRequestIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		n := 0
		c.set(shop, "a", func(context.Context) (*config.Status, error) {
			n++
			if n%3 == 0 {
				return nil, syscall.ECONNRESET
			}
			return fine(0), nil
		})
		o, wakeups := run(t, c, Options{})
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if n := wakeups(shop); n != 1 {
			t.Errorf("%d wake-ups while every third request is lost, want 1", n)
		}
		c.set(shop, "a", func(context.Context) (*config.Status, error) { return nil, syscall.ECONNREFUSED })
		time.Sleep(8 * time.Second)
		if n := wakeups(shop); n != 2 {
			t.Errorf("%d wake-ups after it stopped answering, want 2", n)
		}
		f := o.Latest(shop, "u").Flushers[0]
		if f.Status != nil || f.Problem != "refuses the connection" {
			t.Errorf("published %+v", f)
		}
	})
}

func TestForgetAndTrackAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		of := func(owner string) func(context.Context) (*config.Status, error) {
			status := fine(0)
			status.Owner = owner
			return says(status)
		}
		c.set(shop, "a", of("first"))
		o, _ := run(t, c, Options{})
		o.Track(shop, "first", marks)
		if o.Latest(shop, "first").Looked {
			t.Error("said to have looked before the first look")
		}
		time.Sleep(2 * time.Second)
		if len(o.Latest(shop, "first").Flushers) != 1 {
			t.Fatal("nothing was published")
		}
		o.Track(shop, "second", marks)
		if latest := o.Latest(shop, "second"); latest.Looked || len(latest.Flushers) != 0 || len(o.Latest(shop, "first").Flushers) != 0 {
			t.Error("another resource of the name got the first one's observation")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		flushers := o.Latest(shop, "second").Flushers
		if len(flushers) != 1 || flushers[0].Status != nil || flushers[0].Problem != "answers /status for another resource" {
			t.Errorf("the document of the first was taken for the second's: %+v", flushers)
		}
		c.set(shop, "a", of("second"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(o.Latest(shop, "second").Answering()) != 1 {
			t.Error("nothing was published about the second")
		}
		o.Forget(shop)
		synctest.Wait()
		before := c.times("a")
		time.Sleep(5 * time.Second)
		if c.times("a") != before {
			t.Error("still asked after it was forgotten")
		}
	})
}

func TestTheFirstLookIsNewsAlsoWhenThereIsNoFlusher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, wakeups := run(t, newCluster(), Options{})
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if n := wakeups(shop); n != 1 || !o.Latest(shop, "u").Looked {
			t.Errorf("%d wake-ups, looked is %t; want one wake-up for the first look", n, o.Latest(shop, "u").Looked)
		}
	})
}

// TestPublishesWhatTheStreamTellsAtOnce: but not that it moves.
func TestPublishesWhatTheStreamTellsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		streams := func(edit func(*config.Replication)) func(context.Context) (*config.Status, error) {
			status := fine(1)
			status.Replication = &config.Replication{Reads: true, Attached: true, History: 1, BacklogBytes: 1000, Scanned: true}
			edit(status.Replication)
			return says(status)
		}
		as := func(*config.Replication) {}
		c.set(shop, "a", streams(as))
		o, wakeups := run(t, c, Options{NumbersInterval: time.Hour, Calm: time.Millisecond})
		o.Track(shop, "u", marks)
		time.Sleep(2 * time.Second)
		for name, step := range map[string]struct {
			edit func(*config.Replication)
			news int
		}{
			"it is behind": {func(r *config.Replication) {
				r.BehindBytes, r.UnreadBytes, r.BehindSeconds, r.DirtyBytes = 499, 5, 9, 7
			}, 0},
			"a scan comes on":    {func(r *config.Replication) { r.ScannedKeys = 7 }, 0},
			"half the backlog":   {func(r *config.Replication) { r.BehindBytes = 500 }, 1},
			"all of the backlog": {func(r *config.Replication) { r.BehindBytes = 1000 }, 1},
			"another history":    {func(r *config.Replication) { r.History = 2 }, 1},
			"a scan begins":      {func(r *config.Replication) { r.Scanned = false }, 1},
			"cut off":            {func(r *config.Replication) { r.Attached = false }, 1},
			"FLUSHALL":           {func(r *config.Replication) { r.Notice = "FLUSHALL" }, 1},
			"it expires":         {func(r *config.Replication) { r.Backlog.Reason = v1alpha1.ReasonBacklogExpires }, 1},
		} {
			before := wakeups(shop)
			c.set(shop, "a", streams(step.edit))
			time.Sleep(2500 * time.Millisecond)
			if n := wakeups(shop) - before; n != step.news {
				t.Errorf("%s: %d wake-ups, want %d", name, n, step.news)
			}
			c.set(shop, "a", streams(as))
			time.Sleep(2500 * time.Millisecond)
		}
	})
}

func TestBoundOfTheStream(t *testing.T) {
	s := &config.Status{Replication: &config.Replication{
		History: -1, BehindBytes: math.MaxInt64, UnreadBytes: -1, BacklogBytes: -1, DirtyBytes: math.MaxInt64, ScannedKeys: -1, BehindSeconds: 1e300,
		Notice: strings.Repeat("x", 1<<16), Backlog: config.Check{Message: strings.Repeat("m", 5000)},
	}}
	bound(s, "a", time.Now())
	r, most := s.Replication, len(Said("a", "x"))-1+mostText
	if r.History != 0 || r.BehindBytes != mostCount || r.UnreadBytes != 0 || r.BacklogBytes != 0 || r.DirtyBytes != mostCount || r.ScannedKeys != 0 ||
		r.BehindSeconds != mostSeconds || len(r.Notice) != most || len(r.Backlog.Message) != most {
		t.Errorf("not bounded: %+v", r)
	}
	s.Replication = &config.Replication{History: 1764000000000000}
	if bound(s, "a", time.Now()); s.Replication.History != 1764000000000000 {
		t.Errorf("a history of today becomes %d", s.Replication.History)
	}
}

func TestBound(t *testing.T) {
	now := time.Now()
	s := &config.Status{
		Revision: -1, RunningRevision: -1, ObservedTime: now.Add(24 * time.Hour), Redis: config.Check{Reason: strings.Repeat("R", 3000), Message: strings.Repeat("é", 5000)},
		Durability: config.Durability{
			Persistence: config.Check{Reason: strings.Repeat("R", 3000)},
			Eviction:    config.Check{Message: strings.Repeat("m", 5000)},
			Ledger:      config.Check{Reason: strings.Repeat("R", 3000)},
		},
		Instance: strings.Repeat("i", 300), Circuit: strings.Repeat("c", 300),
		Queues: []config.QueueStatus{{
			Name: strings.Repeat("n", 300), State: strings.Repeat("s", 300), Partitions: make([]int, 1000),
			Journal: strings.Repeat("j", 300), Depth: -5, DeadLetters: math.MaxInt64, OldestPendingSeconds: 1e300, Flushed: -1, DataLossEvents: -2,
			LastFlushTime: now.Add(24 * time.Hour), LastError: strings.Repeat("x", 1<<16),
			Durable: config.Check{Message: strings.Repeat("m", 5000)},
		}, {OldestPendingSeconds: -1, Journal: "j", Depth: 3, LastFlushTime: now.Add(time.Second)}},
	}
	bound(s, "a", now)
	q, most := s.Queues[0], len(Said("a", "x"))-1+mostText
	if s.Revision != 0 || s.RunningRevision != 0 || !s.ObservedTime.Equal(now) || s.Redis.Reason != v1alpha1.ReasonCommandFailed || len(s.Redis.Message) > most ||
		len(q.Journal) != mostJournal || q.Depth != 0 || q.DeadLetters != mostCount || q.OldestPendingSeconds != mostSeconds ||
		q.Flushed != 0 || q.DataLossEvents != 0 || !q.LastFlushTime.IsZero() || len(q.LastError) != most ||
		s.Durability.Persistence.Reason != v1alpha1.ReasonCommandFailed || len(s.Durability.Eviction.Message) != most ||
		s.Durability.Ledger.Reason != v1alpha1.ReasonCommandFailed || len(q.Durable.Message) != most {
		t.Errorf("not bounded: %+v", s)
	}
	if len(q.Name) != mostName || len(q.State) != mostName || q.Partitions != nil || len(s.Instance) != mostJournal || len(s.Circuit) != mostName {
		t.Errorf("not bounded: %+v", s)
	}
	if q := s.Queues[1]; q.OldestPendingSeconds != 0 || q.Journal != "j" || q.Depth != 3 || !q.LastFlushTime.Equal(now.Add(time.Second)) {
		t.Errorf("changed without need: %+v", q)
	}
}

func TestOnlyWhatATerminalTakesIsKept(t *testing.T) {
	for text, want := range map[string]string{
		"plain é 𝕏": "plain é 𝕏", "a\x1b[31mb": "a [31mb", "a\nb\tc\x00d\x7fe\u0085f": "a b c d e f", "a\u202eb\u2066c": "a b c", "a\u200bb": "a b",
	} {
		if got := Cut(text, 100); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := Cut("éé", 3); got != "é" {
		t.Errorf("cut to %q", got)
	}
}

// A Pod of a tenant may answer anything.
func TestADocumentIsReadWithinBounds(t *testing.T) {
	queues := func(n int) string { return `{"owner":"u","queues":[{}` + strings.Repeat(",{}", n-1) + `]}` }
	if s, err := decode([]byte(queues(mostQueues))); err != nil || len(s.Queues) != mostQueues || s.Owner != "u" {
		t.Errorf("as many queues as there may be: %+v, %v", s, err)
	}
	for name, text := range map[string]string{
		"a queue too many": queues(mostQueues + 1), "a megabyte of queues": queues(maxStatusBytes/3 - 100),
		"queues that are none": `{"queues":[1]}`, "a list": `[]`, "nothing": ``, "a queue's text": `{"queues":"x"}`,
	} {
		if _, err := decode([]byte(text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	for _, text := range []string{`null`, `{}`, `{"queues":null}`, `{"queues":[null]}`, `{"redis":null,"queues":[{"partitions":null}]}`} {
		s, err := decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		bound(s, "a", time.Now())
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		bomb := []byte(queues(maxStatusBytes/3 - 100))
		for b.Loop() {
			_, _ = decode(bomb)
		}
	}).AllocedBytesPerOp()
	if allocated > 64<<20 {
		t.Errorf("a megabyte of empty queues takes %d MiB", allocated>>20)
	}
}

func TestProblem(t *testing.T) {
	for want, err := range map[string]error{
		"refuses the connection":        fmt.Errorf("dial 10.1.2.3:8080: %w", syscall.ECONNREFUSED),
		"does not answer in time":       fmt.Errorf("get: %w", context.DeadlineExceeded),
		"does not answer":               errors.New("read 10.1.2.3:41234: connection reset"),
		"answers /status with HTTP 500": answerError("answers /status with HTTP 500"),
	} {
		if got := problem(err); got != want {
			t.Errorf("%v is told as %q, want %q", err, got, want)
		}
	}
}
