// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// requireProgram fails where a program is missing, with the package that has it: a
// test that is skipped would read as one that passed.
func requireProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not in PATH: install the Debian package prometheus (hack/require.sh prometheus)", name)
	}
	return path
}

// ruleset is one set of rules, and the flushers and marks that it is for.
type ruleset struct {
	rules             resources.RuleFile
	namespace, job    string
	warning, critical int
	// replication means that flushers may read the replication stream.
	replication bool
}

func rulesets(t *testing.T) map[string]*ruleset {
	t.Helper()
	var generic, own, streamed ruleset
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &generic.rules); err != nil {
		t.Fatal(err)
	}
	generic.job, generic.warning, generic.critical, generic.replication = "flushers", 1000, 10000, true

	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: "shop-eu", Name: "shop"}}
	cache.Spec.Backpressure = v1alpha1.Backpressure{WarningQueueDepth: 20, CriticalQueueDepth: 300, MaxQueueDepth: 4000}
	cache.Spec.Flush.IntervalMilliseconds = 5000
	for capture, r := range map[v1alpha1.Capture]*ruleset{v1alpha1.CaptureFunctions: &own, v1alpha1.CaptureReplication: &streamed} {
		cache.Spec.Capture = capture
		if text, err = yaml.Marshal(resources.PrometheusRule(cache).Object["spec"]); err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, &r.rules); err != nil {
			t.Fatal(err)
		}
		r.namespace, r.job, r.warning, r.critical = "shop-eu", "shop-flusher", 20, 300
		r.replication = capture == v1alpha1.CaptureReplication
	}
	return map[string]*ruleset{
		"of flushers outside of Kubernetes": &generic, "of a resource": &own, "of a resource that reads the replication stream": &streamed,
	}
}

// series are one sample a minute, the slowest that Prometheus scrapes at by default.
type series struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// of is a series of queue products of one flusher. terms are further labels, each as
// name="value".
func (r *ruleset) of(metric, flusher, values string, terms ...string) series {
	if r.namespace != "" {
		terms = append(terms, fmt.Sprintf("namespace=%q", r.namespace))
	}
	terms = append(terms, fmt.Sprintf("job=%q", r.job), fmt.Sprintf("instance=%q", flusher), `queue="products"`)
	return series{"writebehind_" + metric + "{" + strings.Join(terms, ",") + "}", values}
}

func (r *ruleset) flushed(flusher, values string) series {
	return r.of("writes_total", flusher, values, `outcome="flushed"`)
}

func (r *ruleset) failed(flusher, values string) series {
	return r.of("flush_failures_total", flusher, values, `reason="ConnectionFailed"`)
}

// history is what happened to a set of flushers, and which alerts fire at one minute
// of it, with the value that their texts tell.
type history struct {
	name   string
	series []series
	minute int
	firing map[string]string
}

// up is the series of a flusher that Prometheus scrapes or fails to.
func (r *ruleset) up(flusher, values string) series {
	return series{fmt.Sprintf("up{namespace=%q,job=%q,instance=%q}", r.namespace, r.job, flusher), values}
}

const (
	depthWarning  = "WriteBehindQueueDepthWarning"
	depthCritical = "WriteBehindQueueDepthCritical"
	flushFailures = "WriteBehindFlushFailures"
	flushSlow     = "WriteBehindFlushSlow"
	deadLetters   = "WriteBehindDeadLetters"
	dataLoss      = "WriteBehindDataLoss"
	notFlushing   = "WriteBehindNotFlushing"
	flushersDown  = "WriteBehindFlushersDown"
	nearOverrun   = "WriteBehindBacklogNearOverrun"
	detached      = "WriteBehindReplicationDetached"

	redisNotReady    = "WriteBehindRedisNotReady"
	databaseNotReady = "WriteBehindDatabaseNotReady"
)

func (r *ruleset) histories() []history {
	w, c := r.warning, r.critical
	steady := func(n int) string { return fmt.Sprintf("%d+0x30", n) }
	flows := r.flushed("a", "0+100x200")
	fires := func(alert string, value any) map[string]string { return map[string]string{alert: fmt.Sprint(value)} }
	all := []history{
		{"no flusher at all has no series of its own, and none of the contract's alerts fires", nil, 20, nil},

		{"depth at the warning mark, in two flushers", []series{
			r.of("queue_size", "a", steady(w-1)), r.of("queue_size", "b", steady(1)), flows,
		}, 6, fires(depthWarning, w)},
		{"depth at the warning mark, not long enough", []series{r.of("queue_size", "a", steady(w)), flows}, 4, nil},
		{"depth under the warning mark", []series{r.of("queue_size", "a", steady(w-1)), flows}, 20, nil},
		{"dead letters count for the depth", []series{
			r.of("queue_size", "a", steady(w-1)), r.of("dead_letters", "a", steady(1)), flows,
		}, 6, map[string]string{depthWarning: fmt.Sprint(w), deadLetters: "1"}},
		{"depth at the critical mark", []series{r.of("queue_size", "a", steady(c)), flows}, 6, map[string]string{
			depthWarning: fmt.Sprint(c), depthCritical: fmt.Sprint(c),
		}},
		{"depth at the critical mark, for a moment", []series{r.of("queue_size", "a", fmt.Sprintf("0 %d %d 0+0x20", c, c)), flows}, 2, nil},
		{"partitions that move are counted twice for a moment", []series{
			r.of("queue_size", "a", fmt.Sprintf("%d+0x5 0+0x20", w-1)),
			r.of("queue_size", "b", fmt.Sprintf("0+0x3 %d+0x20", w-1)), flows,
		}, 6, nil},
		{"a flusher that was killed leaves nothing behind", []series{
			r.of("queue_size", "a", fmt.Sprintf("%d+0x5 stale", w-1)),
			r.of("queue_size", "b", fmt.Sprintf("0+0x5 %d+0x20", w-1)), flows,
		}, 15, nil},
		{"another set's queue of the same name is another queue", []series{
			r.of("queue_size", "a", steady(w-1)), flows,
			{`writebehind_queue_size{namespace="other",job="other",instance="z",queue="products"}`, steady(w - 1)},
			{`writebehind_writes_total{namespace="other",job="other",instance="z",queue="products",outcome="flushed"}`, "0+100x200"},
		}, 20, nil},

		{"two flushes of a hundred and two fail", []series{
			r.failed("a", "0+2x30"), r.of("flush_duration_seconds_count", "a", "0+100x30"), flows,
		}, 20, fires(flushFailures, "1.961%")},
		{"one flush of two hundred fails", []series{
			r.failed("a", "0+1x30"), r.of("flush_duration_seconds_count", "a", "0+200x30"), flows,
		}, 25, nil},
		{"every flush fails, from the start", []series{r.failed("a", "_ 1+6x30")}, 20, fires(flushFailures, "100%")},
		{"failures of two reasons in two flushers add up", []series{
			r.failed("a", "0+1x30"), r.of("flush_failures_total", "b", "0+1x30", `reason="Timeout"`),
			r.of("flush_duration_seconds_count", "a", "0+50x30"), r.of("flush_duration_seconds_count", "b", "0+50x30"),
		}, 20, fires(flushFailures, "1.961%")},
		{"one row is refused until it is a dead letter", []series{
			r.of("flush_failures_total", "a", "_x5 1 4+0x30", `reason="RowRefused"`),
			r.of("flush_duration_seconds_count", "a", "0+12x40"), r.of("dead_letters", "a", "0+0x6 1+0x30"), flows,
		}, 10, fires(deadLetters, 1)},
		{"a flusher with many failures behind it restarts", []series{
			r.failed("a", "500+0x10 0+0x30"), r.of("flush_duration_seconds_count", "a", "900+100x10 0+100x30"), flows,
		}, 21, nil},
		{"partitions move to a flusher with failures behind it", []series{
			r.failed("a", "0+0x9 stale"), r.failed("b", "_x9 500+0x30"),
			r.of("flush_duration_seconds_count", "a", "0+100x9 stale"), r.of("flush_duration_seconds_count", "b", "_x9 900+100x30"), flows,
		}, 21, nil},

		{"flushes take twelve seconds", []series{
			r.of("flush_duration_seconds_sum", "a", "0+120x30"), r.of("flush_duration_seconds_count", "a", "0+10x30"), flows,
		}, 12, fires(flushSlow, "12s")},
		{"flushes take twelve seconds, for a moment", []series{
			r.of("flush_duration_seconds_sum", "a", "0+0x9 120+0x40"), r.of("flush_duration_seconds_count", "a", "0+0x9 10+0x40"), flows,
		}, 11, nil},
		{"flushes take nine seconds", []series{
			r.of("flush_duration_seconds_sum", "a", "0+90x30"), r.of("flush_duration_seconds_count", "a", "0+10x30"), flows,
		}, 20, nil},
		{"nothing is flushed, since nothing waits", []series{
			r.of("flush_duration_seconds_sum", "a", steady(9000)), r.of("flush_duration_seconds_count", "a", steady(10)),
			r.of("queue_size", "a", steady(0)), r.flushed("a", steady(10)),
		}, 20, nil},
		{"a flusher that was slow long ago restarts", []series{
			r.of("flush_duration_seconds_sum", "a", "9000+1x10 0+1x30"), r.of("flush_duration_seconds_count", "a", "10+10x10 0+10x30"), flows,
		}, 17, nil},

		{"a dead letter", []series{r.of("dead_letters", "a", "0 1+0x30"), r.of("dead_letters", "b", steady(2))}, 3, fires(deadLetters, 3)},
		{"no dead letter", []series{r.of("dead_letters", "a", steady(0)), r.of("dead_letters", "b", "1+0x5 0+0x30")}, 10, nil},
		{"a dead letter that a newer write replaces at once", []series{r.of("dead_letters", "a", "0+0x4 1 0+0x30")}, 5, nil},

		{"data was lost", []series{r.of("data_loss_events_total", "a", "0+0x100 1+0x90")}, 101, fires(dataLoss, "")},
		{"data was lost half an hour ago", []series{r.of("data_loss_events_total", "a", "0+0x100 1+0x90")}, 130, fires(dataLoss, "")},
		{"data was lost hours ago", []series{r.of("data_loss_events_total", "a", "0+0x10 1+0x290")}, 180, nil},
		{"a flusher finds at its start that data was lost", []series{
			r.of("data_loss_events_total", "a", "0+0x70"), r.of("data_loss_events_total", "b", "_x65 1+0x90"),
		}, 70, fires(dataLoss, "")},
		{"a flusher that has seen a loss long ago restarts", []series{r.of("data_loss_events_total", "a", "3+0x70 0+0x30")}, 80, nil},
		{"partitions move away from a flusher that has seen a loss long ago", []series{
			r.of("data_loss_events_total", "a", "3+0x70 stale"), r.of("data_loss_events_total", "b", "_x70 0+0x30"),
		}, 80, nil},
		{"a flusher that has seen a loss long ago was not scraped for a while", []series{r.of("data_loss_events_total", "a", "3+0x10 _x150 3+0x20")}, 170, nil},

		{"entries wait, and nothing is flushed any more", []series{r.of("queue_size", "a", steady(5)), r.flushed("a", "0+9x5 45+0x30")}, 17, fires(notFlushing, 5)},
		{"entries wait, and nothing ever was flushed", []series{r.of("queue_size", "a", steady(5))}, 6, fires(notFlushing, 5)},
		{"entries wait, and all that is settled are dead letters", []series{
			r.of("queue_size", "a", steady(5)), r.flushed("a", steady(7)), r.of("writes_total", "a", "0+9x30", `outcome="dead"`),
		}, 12, fires(notFlushing, 5)},
		{"entries wait, and all are flushed in time", []series{r.of("queue_size", "a", steady(5)), flows}, 20, nil},
		{"the other of two flushers has entries that wait, and flushes nothing of its own", []series{
			r.of("queue_size", "a", steady(0)), r.of("queue_size", "b", steady(5)), flows, r.flushed("b", steady(0)),
		}, 20, nil},
		{"an entry comes after a long rest", []series{r.of("queue_size", "a", "0+0x10 1 1 0+0x20"), r.flushed("a", "7+0x12 8+0x30")}, 12, nil},
		{"entries wait while flushers take turns", []series{
			r.of("queue_size", "a", "5+0x10 stale"), r.flushed("a", "0+9x10 stale"),
			r.of("queue_size", "b", "_x10 5+0x30"), r.flushed("b", "_x10 0+9x30"),
		}, 16, nil},
		{"entries wait, and the flusher restarts and flushes on", []series{r.of("queue_size", "a", steady(5)), r.flushed("a", "900+9x9 0+9x30")}, 15, nil},
	}
	all = append(all, r.ofReadiness(fires)...)
	if r.replication {
		all = append(all, r.ofStreams(fires)...)
	}
	if r.namespace == "" {
		return all
	}
	// Only of a resource is it known that there should be flushers, and where.
	for i := range all {
		all[i].series = append(all[i].series, r.up("a", "1+0x300"))
	}
	return append(all,
		history{"none of two flushers can be scraped", []series{r.up("a", "1 1 0+0x30"), r.up("b", "0+0x30")}, 8, fires(flushersDown, "")},
		history{"no flusher is found", []series{r.up("a", "1 1 stale")}, 8, fires(flushersDown, "")},
		history{"no flusher was ever found", []series{{`up{namespace="other",job="other"}`, "1+0x30"}}, 6, fires(flushersDown, "")},
		history{"no flusher can be scraped, for a moment", []series{r.up("a", "1 1 0 0 0 0 1+0x30")}, 6, nil},
		history{"one of two flushers can be scraped", []series{r.up("a", "0+0x30"), r.up("b", "1+0x30")}, 20, nil},
	)
}

// ofNoQueue is a series of a flusher that is of no queue.
func (r *ruleset) ofNoQueue(metric, flusher, values string, terms ...string) series {
	s := r.of(metric, flusher, values, terms...)
	s.Series = strings.Replace(s.Series, `,queue="products"`, "", 1)
	return s
}

func (r *ruleset) ofStream(metric, flusher, values string) series {
	return r.ofNoQueue("replication_"+metric, flusher, values)
}

// ofReadiness are histories of flushers none of which has an entry that waits.
func (r *ruleset) ofReadiness(fires func(string, any) map[string]string) []history {
	ready := func(flusher, check, reason, values string) series {
		terms := []string{fmt.Sprintf("check=%q", check)}
		if reason != "" {
			terms = append(terms, fmt.Sprintf("reason=%q", reason))
		}
		return r.ofNoQueue("ready", flusher, values, terms...)
	}
	well := func(flusher string, checks ...string) []series {
		var all []series
		for _, check := range checks {
			all = append(all, ready(flusher, check, "", "1+0x30"))
		}
		return all
	}
	down := func(flusher, check string) []series {
		return []series{ready(flusher, check, "", "1+0x4 stale"), ready(flusher, check, "ConnectionFailed", "_x5 0+0x30")}
	}
	return []history{
		{"all is well", well("a", "redis", "database", "mappings"), 20, nil},
		{"no flusher reaches Redis, and nothing waits", slices.Concat(
			down("a", "redis"), well("a", "database", "mappings"), down("b", "redis"), well("b", "database", "mappings"),
			[]series{r.of("queue_size", "a", "0+0x30")},
		), 8, fires(redisNotReady, "")},
		{"no flusher reaches Redis, for a moment", append(well("a", "database", "mappings"),
			ready("a", "redis", "", "1+0x4 stale _x1 1+0x30"), ready("a", "redis", "ConnectionFailed", "_x5 0 stale"),
		), 7, nil},
		{"Redis is refused for one reason and then another", append(well("a", "database", "mappings"),
			ready("a", "redis", "ConnectionFailed", "0 stale"), ready("a", "redis", "AuthenticationFailed", "_x1 0 stale"), ready("a", "redis", "OutOfMemory", "_x2 0+0x30"),
		), 3, fires(redisNotReady, "")},
		{"one of two flushers does not reach Redis", slices.Concat(
			down("a", "redis"), well("a", "database", "mappings"), well("b", "redis", "database", "mappings"),
		), 30, nil},
		{"no flusher reaches the database, and nothing waits", slices.Concat(
			down("a", "database"), well("a", "redis", "mappings"), down("b", "database"), well("b", "redis", "mappings"),
		), 11, fires(databaseNotReady, "")},
		{"a table does not fit its mapping", slices.Concat(down("a", "mappings"), well("a", "redis", "database")), 11, fires(databaseNotReady, "")},
		{"the database is away for a moment", append(well("a", "redis", "mappings"),
			ready("a", "database", "", "1+0x4 stale _x3 1+0x30"), ready("a", "database", "ConnectionFailed", "_x5 0 0 0 stale"),
		), 12, nil},
	}
}

// ofStreams are histories of flushers of which one reads the replication stream, and the others
// report zeros.
func (r *ruleset) ofStreams(fires func(string, any) map[string]string) []history {
	one, none := "1+0x30", "0+0x30"
	return []history{
		{"half of the backlog is taken", []series{
			r.ofStream("behind_bytes", "a", "50+0x30"), r.ofStream("backlog_bytes", "a", "100+0x30"),
			r.ofStream("behind_bytes", "b", none), r.ofStream("backlog_bytes", "b", none),
			r.ofStream("attached", "a", one), r.ofStream("attached", "b", none),
		}, 3, fires(nearOverrun, "50%")},
		{"less than half of the backlog is taken", []series{
			r.ofStream("behind_bytes", "a", "49+0x30"), r.ofStream("backlog_bytes", "a", "100+0x30"), r.ofStream("attached", "a", one),
		}, 20, nil},
		{"half of the backlog is taken for a moment", []series{
			r.ofStream("behind_bytes", "a", "0 50 0+0x30"), r.ofStream("backlog_bytes", "a", "100+0x30"), r.ofStream("attached", "a", one),
		}, 2, nil},
		{"how large the backlog is is not known", []series{
			r.ofStream("behind_bytes", "a", "50+0x30"), r.ofStream("backlog_bytes", "a", none), r.ofStream("attached", "a", one),
		}, 20, nil},
		{"nobody receives the stream", []series{r.ofStream("attached", "a", "1 1 0+0x30"), r.ofStream("attached", "b", none)}, 8, fires(detached, "")},
		{"another flusher takes over the stream", []series{r.ofStream("attached", "a", "1+0x5 0+0x30"), r.ofStream("attached", "b", "0+0x7 1+0x30")}, 20, nil},
		{"flushers of the functions have no stream", []series{r.flushed("a", "0+100x200")}, 20, nil},
	}
}

// promtool's file format.
type (
	testFile struct {
		RuleFiles          []string    `json:"rule_files"`
		EvaluationInterval string      `json:"evaluation_interval"`
		Tests              []testGroup `json:"tests"`
	}
	testGroup struct {
		Name     string      `json:"name"`
		Interval string      `json:"interval"`
		Series   []series    `json:"input_series"`
		Alerts   []alertTest `json:"alert_rule_test"`
	}
	alertTest struct {
		EvalTime string        `json:"eval_time"`
		Alert    string        `json:"alertname"`
		Expected []activeAlert `json:"exp_alerts"`
	}
	activeAlert struct {
		Labels      map[string]string `json:"exp_labels"`
		Annotations map[string]string `json:"exp_annotations"`
	}
)

var aboutValue = regexp.MustCompile(`\{\{ \$value[^}]*\}\}`)

// expected is the alert as it fires for queue products, texts and all.
func (r *ruleset) expected(rule *resources.Rule, value string) activeAlert {
	labels := map[string]string{"job": r.job}
	if !slices.Contains([]string{flushersDown, nearOverrun, detached, redisNotReady, databaseNotReady}, rule.Alert) { // which are about all queues
		labels["queue"] = "products"
	}
	if r.namespace != "" {
		labels["namespace"] = r.namespace
	}
	maps.Copy(labels, rule.Labels)
	texts := map[string]string{}
	for name, text := range rule.Annotations {
		text = strings.NewReplacer("{{ $labels.queue }}", "products", "{{ $labels.job }}", r.job).Replace(text)
		texts[name] = aboutValue.ReplaceAllLiteralString(text, value)
	}
	return activeAlert{labels, texts}
}

// play has promtool try the rules.
func play(t *testing.T, rules resources.RuleFile, file testFile) {
	t.Helper()
	promtool, folder := requireProgram(t, "promtool"), t.TempDir()
	for name, content := range map[string]any{"rules.yaml": rules, "tests.yaml": file} {
		text, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), promtool, "test", "rules", "tests.yaml")
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestEachAlertFiresWhenItShouldAndThenOnly has promtool play every history against
// every alert: those that are not expected to fire must not.
func TestEachAlertFiresWhenItShouldAndThenOnly(t *testing.T) {
	for name, r := range rulesets(t) {
		t.Run(name, func(t *testing.T) {
			file := testFile{RuleFiles: []string{"rules.yaml"}, EvaluationInterval: "1m"}
			fired := map[string]bool{}
			for _, h := range r.histories() {
				group := testGroup{Name: h.name, Interval: "1m", Series: h.series}
				left := maps.Clone(h.firing)
				for i := range r.rules.Groups[0].Rules {
					rule := &r.rules.Groups[0].Rules[i]
					test := alertTest{EvalTime: fmt.Sprintf("%dm", h.minute), Alert: rule.Alert, Expected: []activeAlert{}}
					if value, fires := h.firing[rule.Alert]; fires {
						test.Expected = append(test.Expected, r.expected(rule, value))
						fired[rule.Alert] = true
						delete(left, rule.Alert)
					}
					group.Alerts = append(group.Alerts, test)
				}
				if len(left) > 0 {
					t.Errorf("%s: there are no alerts %v", h.name, slices.Collect(maps.Keys(left)))
				}
				file.Tests = append(file.Tests, group)
			}
			for _, rule := range r.rules.Groups[0].Rules {
				if !fired[rule.Alert] {
					t.Errorf("no history fires %s", rule.Alert)
				}
			}
			play(t, r.rules, file)
		})
	}
}

// TestTheAlertsOfTheContractAreThere names them, so that none goes unnoticed, and
// wants each to say how bad it is and what to do.
func TestTheAlertsOfTheContractAreThere(t *testing.T) {
	want := map[string]string{
		depthWarning: "warning", depthCritical: "critical", flushFailures: "warning", flushSlow: "warning",
		deadLetters: "warning", dataLoss: "critical", notFlushing: "critical",
		redisNotReady: "critical", databaseNotReady: "warning",
	}
	for name, r := range rulesets(t) {
		want := maps.Clone(want)
		if r.namespace != "" {
			want[flushersDown] = "critical"
		}
		if r.replication {
			want[nearOverrun], want[detached] = "critical", "critical"
		}
		got := map[string]string{}
		for _, rule := range r.rules.Groups[0].Rules {
			got[rule.Alert] = rule.Labels["severity"]
			if rule.Annotations["summary"] == "" || len(rule.Annotations["description"]) < 50 {
				t.Errorf("%s %s does not say what to do: %v", rule.Alert, name, rule.Annotations)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("alerts %s are %v, want %v", name, got, want)
		}
	}
}
