// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// shop is a real flusher with its Redis and its database.
type shop struct {
	t       *testing.T
	servers *servers.Pair
	rdb     *redis.Client
	config  *config.Config
	file    string
	address string
}

func startShop(t *testing.T, options ...journaltest.Option) *shop {
	t.Helper()
	journal.Quiet()
	folder := t.TempDir()
	if err := programs.Build(t.Context(), folder, nil, "cmd/flusher"); err != nil {
		t.Fatal(err)
	}
	p := servers.Start(t, `CREATE TABLE products (id bigint PRIMARY KEY, name text, stock integer CHECK (stock >= 0))`, options...)
	c := p.Config
	c.Mappings[0].Partitions, c.Flush.IntervalMilliseconds, c.Flush.MaxRetries = 2, 100, 1
	s := &shop{t: t, servers: p, rdb: p.Redis.Client(t), config: c, file: p.File}
	s.write()
	s.address = programs.RunFlusher(t, patience, exec.Command(filepath.Join(folder, "flusher"), "--config", s.file)).Address
	return s
}

func (s *shop) write() {
	s.t.Helper()
	servers.Put(s.t, s.file, s.config)
}

func (s *shop) set(id int, document string) error {
	return s.rdb.FCall(s.t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", id)}, "products", document).Err()
}

// ofAStream begins the metrics of the replication stream, which this flusher does not have: its
// capture is Functions.
const ofAStream = "writebehind_replication_"

// ownRules are the alerts of a resource whose marks one entry reaches. They need not
// last, so that this test need not either.
func ownRules(t *testing.T) resources.RuleFile {
	t.Helper()
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.TrimSuffix(job, "-flusher")}}
	cache.Spec.Backpressure = v1alpha1.Backpressure{WarningQueueDepth: 1, CriticalQueueDepth: 2, MaxQueueDepth: 100000}
	text, err := yaml.Marshal(resources.PrometheusRule(cache).Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	var rules resources.RuleFile
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	for i := range rules.Groups[0].Rules {
		r := &rules.Groups[0].Rules[i]
		r.For = ""
		// Nothing was flushed for so long; five minutes are as good as five seconds.
		if r.Alert == notFlushing {
			r.Expr = strings.ReplaceAll(r.Expr, "[5m]", "[5s]")
		}
	}
	return rules
}

// threshold is the comparison that makes an alert of a query, and absence what makes
// one of series that are missed.
var (
	threshold = regexp.MustCompile(` ?(>=|>|==) [0-9.]+$`)
	absence   = regexp.MustCompile(`^absent\((.*)\)$`)
)

// TestEveryQueryHasSeriesOfARealFlusher has a real Prometheus scrape a real flusher
// that writes rows, is refused some, is suspended, and loses its Redis' data.
func TestEveryQueryHasSeriesOfARealFlusher(t *testing.T) {
	s := startShop(t)
	rules := ownRules(t)
	p := startPrometheus(t, s.address, rules)

	// Writes that coalesce, fields without a column, and rows that are refused,
	// again and again: a rate needs a beginning and an end.
	id := 0
	traffic := func() error {
		for range 20 {
			id++
			for _, document := range []string{`{"name":"lamp"}`, `{"name":"lamp","stock":1,"colour":"red"}`} {
				if err := s.set(id, document); err != nil {
					return err
				}
			}
		}
		id++
		return s.set(id, `{"name":"bad","stock":-1}`)
	}
	patience.Eventually(t, "some rows are flushed, and some are refused for good", func() error {
		if err := traffic(); err != nil {
			return err
		}
		for _, expression := range []string{
			`rate(writebehind_flush_failures_total{reason="RowRefused"}[5m]) > 0`,
			`rate(writebehind_writes_total{outcome="flushed"}[5m]) > 0`, `writebehind_dead_letters > 1`,
			`rate(writebehind_coalesced_total[5m]) > 0`, `rate(writebehind_ignored_fields_total[5m]) > 0`,
		} {
			if found, err := p.query(expression); err != nil || len(found) == 0 {
				return fmt.Errorf("%s has no series yet: %w", expression, errors.Join(err))
			}
		}
		return nil
	})

	t.Run("every metric of the contract is there, with its labels", func(t *testing.T) {
		for name, want := range contract {
			for _, sample := range p.numbers(name) {
				got := slices.Sorted(maps.Keys(sample.Metric))
				got = slices.DeleteFunc(got, func(label string) bool {
					return slices.Contains([]string{"__name__", "instance", "job", "namespace"}, label)
				})
				if !slices.Equal(got, want) {
					t.Errorf("%s has labels %v, want %v", name, got, want)
				}
			}
		}
	})

	t.Run("every query of the dashboard has a number", func(t *testing.T) {
		d, _ := readDashboard(t)
		fill := strings.NewReplacer("$__rate_interval", "5m", "$namespace", namespace, "$job", ".*", "$queue", "products")
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				expression := fill.Replace(target.Expr)
				if strings.Contains(expression, "$") {
					t.Errorf("panel %q has a variable that nothing sets: %s", panel.Title, expression)
				}
				if strings.Contains(expression, ofAStream) {
					_, err := p.query(expression) // that Prometheus can read it
					programs.Must(t, err)
					continue
				}
				p.numbers(expression)
			}
		}
		for _, v := range d.Templating.List {
			expression, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")"), ", ")
			if v.Type != "query" {
				continue
			}
			// The selector holds commas too, but none with a space behind it.
			for _, sample := range p.numbers(fill.Replace(expression)) {
				if !ok || sample.Metric[label] == "" {
					t.Errorf("variable %s asks for label %q of %v", v.Name, label, sample.Metric)
				}
			}
		}
	})

	t.Run("every alert compares something that is there", func(t *testing.T) {
		for _, rule := range append(rules.Groups[0].Rules, resources.DefaultRules().Groups[0].Rules...) {
			// The two sides of "or" and "unless" are each a query of their own.
			for _, side := range regexp.MustCompile(`\n(or|unless)\n`).Split(rule.Expr, -1) {
				if strings.Contains(side, ofAStream) {
					continue
				}
				bare := absence.ReplaceAllString(threshold.ReplaceAllString(side, ""), "$1")
				if bare == side {
					t.Errorf("%s compares nothing: %s", rule.Alert, side)
				}
				p.numbers(bare)
			}
		}
	})

	// What happens brings the alerts about, all but one: flushes that take more than
	// ten seconds would take this test as long.
	fires := func(names ...string) {
		t.Helper()
		patience.Eventually(t, fmt.Sprintf("%v fire", names), func() error {
			active := p.active()
			for _, name := range names {
				texts, ok := active[name]
				if !ok {
					return fmt.Errorf("%s does not; active are %v", name, slices.Sorted(maps.Keys(active)))
				}
				for _, text := range texts {
					if strings.Contains(text, "{{") || strings.Contains(text, "error expanding") || strings.Contains(text, "<no value>") {
						t.Fatalf("%s says %q", name, text)
					}
				}
				if !strings.Contains(texts["summary"], "products") || !strings.Contains(texts["summary"], "WriteBehindCache shop-eu/shop") {
					t.Fatalf("%s does not say of what: %q", name, texts["summary"])
				}
			}
			return nil
		})
	}
	fires(depthWarning, depthCritical, flushFailures, deadLetters)
	if active := p.active(); active[dataLoss] != nil || active[flushSlow] != nil {
		t.Errorf("active are %v", slices.Sorted(maps.Keys(active)))
	}

	s.config.Suspend = true
	s.write()
	patience.Eventually(t, "the flusher is suspended, and entries wait", func() error {
		if err := s.set(1, `{"name":"waits"}`); err != nil {
			return err
		}
		found, err := p.query(`writebehind_queue_size > 0 unless on(queue) increase(writebehind_writes_total{outcome="flushed"}[5s]) > 0`)
		if err != nil || len(found) == 0 {
			return fmt.Errorf("it still flushes: %w", errors.Join(err))
		}
		return nil
	})
	fires(notFlushing)

	if err := s.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	fires(dataLoss)
	patience.Eventually(t, "the dead letters are gone with the rest", func() error {
		if active := p.active(); active[deadLetters] != nil {
			return fmt.Errorf("active are %v", slices.Sorted(maps.Keys(active)))
		}
		return nil
	})
}

// TestAStoppedRedisFiresWhileNothingWaits has a real Prometheus scrape a real flusher whose Redis
// ends although no entry waits, so that nothing but the gauge can tell.
func TestAStoppedRedisFiresWhileNothingWaits(t *testing.T) {
	s := startShop(t, journaltest.AppendOnly("always"))
	p := startPrometheus(t, s.address, ownRules(t))
	turns := func(what, firing string) {
		t.Helper()
		patience.Eventually(t, what, func() error {
			active := p.active()
			if names := slices.Collect(maps.Keys(active)); len(names) > 1 || len(names) == 1 && names[0] != firing || firing != "" && active[firing] == nil {
				return fmt.Errorf("active are %v", names)
			}
			if ready := p.numbers(`max(writebehind_ready{check="redis"})`)[0].number(); (ready == "0") != (firing == redisNotReady) {
				return fmt.Errorf("ready is %s", ready)
			}
			return nil
		})
	}
	turns("all is well", "")
	programs.Must(t, s.servers.Redis.Stop())
	turns("Redis is missed", redisNotReady)
	texts := p.active()[redisNotReady]
	if !strings.Contains(texts["summary"], "WriteBehindCache shop-eu/shop") || !strings.HasSuffix(texts["runbook_url"], "/docs/runbooks/"+redisNotReady+".md") {
		t.Errorf("it says %v", texts)
	}
	if reasons := p.numbers(`writebehind_ready{check="redis"}`); len(reasons) != 1 || reasons[0].Metric["reason"] != "ConnectionFailed" {
		t.Errorf("the gauge says %v", reasons)
	}
	for _, waiting := range p.numbers(`sum(writebehind_queue_size)`) {
		if waiting.number() != "0" {
			t.Errorf("entries wait: %s", waiting.number())
		}
	}
	s.servers.Redis.MustRestart(t)
	turns("Redis is back", "")
}
