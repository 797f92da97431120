// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// KindPrometheusRule is a kind of the Prometheus Operator.
const KindPrometheusRule = "PrometheusRule"

// RuleFile is the content of a rule file of Prometheus, and of the spec of a
// PrometheusRule.
type RuleFile struct {
	Groups []RuleGroup `json:"groups"`
}

// RuleGroup is a list of rules that are evaluated together.
type RuleGroup struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// Rule is one alert.
type Rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// content is the file as an object without a Go type.
func (f RuleFile) content() map[string]any {
	groups := make([]any, 0, len(f.Groups))
	for _, group := range f.Groups {
		rules := make([]any, 0, len(group.Rules))
		for _, rule := range group.Rules {
			fields := map[string]any{
				"alert": rule.Alert, "expr": rule.Expr,
				"labels": texts(rule.Labels), "annotations": texts(rule.Annotations),
			}
			if rule.For != "" {
				fields["for"] = rule.For
			}
			rules = append(rules, fields)
		}
		groups = append(groups, map[string]any{"name": group.Name, "rules": rules})
	}
	return map[string]any{"groups": groups}
}

// Severities, as the label that notifications are routed by: critical is for
// somebody who is woken up, warning for the next working day.
const (
	severityCritical = "critical"
	severityWarning  = "warning"
)

// alerts is what the rules of one set of flushers are made from.
type alerts struct {
	// subject names the flushers in the texts.
	subject string
	// matchers select the flushers' series, each as name="value".
	matchers []string
	// warning, critical and full are the marks of spec.backpressure.
	warning, critical, full int
	// interval is the longest that an entry waits for its flush.
	interval time.Duration
	// captures are those that the flushers may have: with Functions a full queue refuses
	// writes, with Replication there is a stream to watch.
	functions, replication bool
	// suspended means that nothing is flushed because somebody wants it so.
	suspended bool
	// expected means that there are flushers that are scraped, unless something is
	// wrong.
	expected bool
}

// WantsPrometheusRule reports whether the spec asks for one.
func WantsPrometheusRule(cache *v1alpha1.WriteBehindCache) bool {
	wanted := cache.Spec.Monitoring.PrometheusRule
	return wanted == nil || *wanted
}

// PrometheusRule has the alerts with the numbers of one resource.
func PrometheusRule(cache *v1alpha1.WriteBehindCache) *unstructured.Unstructured {
	b, f := &cache.Spec.Backpressure, &cache.Spec.Flush
	a := alerts{
		subject: "WriteBehindCache " + cache.Namespace + "/" + cache.Name,
		// The Prometheus Operator sets namespace, and takes the name of the Service for job.
		matchers:  []string{fmt.Sprintf("namespace=%q", cache.Namespace), fmt.Sprintf("job=%q", FlusherName(cache))},
		warning:   int(b.WarningQueueDepth),
		critical:  int(b.CriticalQueueDepth),
		full:      int(b.MaxQueueDepth),
		interval:  time.Duration(f.IntervalMilliseconds) * time.Millisecond,
		functions: !Replicates(cache), replication: Replicates(cache),
		suspended: cache.Spec.Suspend,
		expected:  FlusherReplicas(cache) > 0 && WantsServiceMonitor(cache),
	}
	return monitoringObject(KindPrometheusRule, cache, a.file().content())
}

// DefaultRules are the alerts with the default numbers, for flushers outside of
// Kubernetes: config/prometheus/alerts.yaml.
func DefaultRules() RuleFile {
	c := config.Default()
	a := alerts{
		subject:  "{{ $labels.job }}",
		warning:  c.Backpressure.WarningQueueDepth,
		critical: c.Backpressure.CriticalQueueDepth,
		full:     c.Backpressure.MaxQueueDepth,
		interval: time.Duration(c.Flush.IntervalMilliseconds) * time.Millisecond,
		// A rule whose series are not there never fires.
		functions: true, replication: true,
	}
	return a.file()
}

// file lists the alerts of the contract. None of those fires where there is no
// flusher at all, since there is no series then; one more does, where it is known
// that there should be.
func (a *alerts) file() RuleFile {
	rules := []Rule{
		a.depth("WriteBehindQueueDepthWarning", severityWarning, a.warning, 5*time.Minute),
		a.depth("WriteBehindQueueDepthCritical", severityCritical, a.critical, 2*time.Minute),
		a.failures(), a.slow(), a.deadLetters(), a.dataLoss(), a.notFlushing(),
		a.redisNotReady(), a.databaseNotReady(),
	}
	if a.replication {
		rules = append(rules, a.nearOverrun(), a.detached())
	}
	if a.expected {
		rules = append(rules, a.flushersDown())
	}
	return RuleFile{Groups: []RuleGroup{{Name: "writebehind", Rules: rules}}}
}

// depth compares what the operator's condition BacklogHealthy compares. A
// partition that has just gone from one flusher to another is counted by both
// until both were scraped, which is far shorter than atLeast. A mark above the capacity
// counts as the capacity: a queue that refuses new keys never gets beyond it.
func (a *alerts) depth(name, severity string, mark int, atLeast time.Duration) Rule {
	mark = min(mark, a.full)
	return a.rule(name, severity, atLeast,
		fmt.Sprintf("%s >= %d", a.sum(a.series("writebehind_queue_size", "writebehind_dead_letters")), mark),
		fmt.Sprintf("Queue {{ $labels.queue }} of %s has reached a depth of %[2]d. Entries and dead letters: {{ $value }}.", a.subject, mark),
		fmt.Sprintf("More is written than is flushed, or flushing has stopped. %s "+
			"Check whether WriteBehindNotFlushing or WriteBehindFlushFailures fires too and follow that one; otherwise raise flush.batchSize or flush.concurrency, "+
			"run more flushers, or give the database more room.", a.whenFull()))
}

// whenFull is what comes of a queue that grows on.
func (a *alerts) whenFull() string {
	refused := fmt.Sprintf("Writers of new keys are refused with WBFULL at %d.", a.full)
	accepted := "Redis accepts every write, and its backlog is overrun in the end."
	switch {
	case !a.replication:
		return refused
	case !a.functions:
		return accepted
	}
	return refused + " With capture Replication " + accepted
}

// failuresMark is the contract's: one batch in a hundred.
const failuresMark = 0.01

// failures compares what failed with all that was tried. Both are looked for
// under one selector, since a flusher whose every batch fails has no series of
// those that were written. A row that is refused weighs as much as a batch that
// fails. It takes ten minutes, so that one row that is refused a few times and
// becomes a dead letter does not fire it.
func (a *alerts) failures() Rule {
	const window = "[5m]"
	failed := a.sum("rate(" + a.series("writebehind_flush_failures_total") + window + ")")
	tried := a.sum("rate(" + a.series("writebehind_flush_failures_total", "writebehind_flush_duration_seconds_count") + window + ")")
	return a.rule("WriteBehindFlushFailures", severityWarning, 10*time.Minute,
		fmt.Sprintf("%s\n/\n%s\n> %v", failed, tried, failuresMark),
		fmt.Sprintf("{{ $value | humanizePercentage }} of the flushes of queue {{ $labels.queue }} of %s fail.", a.subject),
		"Nothing is lost: what was not flushed waits. The label reason of writebehind_flush_failures_total names the reason, "+
			"the resource's conditions or /status of a flusher name the remedy, and the flushers' log has the details.")
}

// slowMark is the contract's, in seconds.
const slowMark = 10

// slow looks at the mean, which is exact; a quantile would be a guess between the
// two bounds of a bucket.
func (a *alerts) slow() Rule {
	const window = "[5m]"
	return a.rule("WriteBehindFlushSlow", severityWarning, 5*time.Minute,
		fmt.Sprintf("%s\n/\n%s\n> %d", a.sum("rate("+a.series("writebehind_flush_duration_seconds_sum")+window+")"),
			a.sum("rate("+a.series("writebehind_flush_duration_seconds_count")+window+")"), slowMark),
		fmt.Sprintf("A flush of queue {{ $labels.queue }} of %s takes {{ $value | humanizeDuration }}.", a.subject),
		"Look at the database first: locks that others hold on the table, slow triggers, missing indexes of foreign keys, a busy disk. "+
			"A smaller flush.batchSize makes each transaction shorter.")
}

func (a *alerts) deadLetters() Rule {
	return a.rule("WriteBehindDeadLetters", severityWarning, time.Minute,
		a.sum(a.series("writebehind_dead_letters"))+" > 0",
		fmt.Sprintf("Dead letters in queue {{ $labels.queue }} of %s: {{ $value }}.", a.subject),
		"The database refused these rows for good; they are kept with their payload. `flusher dlq list` names SQLSTATE, constraint and column. "+
			"Correct the table or the writer, then `flusher dlq replay`, or `flusher dlq discard` to give them up.")
}

// dataLoss also sees a counter that is above zero when it is scraped for the
// first time: a flusher finds out when it starts, and an increase needs a sample
// from before. It tells for an hour; a day without any sample does not make an
// old loss a new one.
func (a *alerts) dataLoss() Rule {
	series := a.series("writebehind_data_loss_events_total")
	return a.rule("WriteBehindDataLoss", severityCritical, 0,
		fmt.Sprintf("%s > 0\nor\n%s > 0", a.sum("increase("+series+"[1h])"),
			a.sum(series+" unless last_over_time("+series+"[1d] offset 1h)")),
		fmt.Sprintf("Redis or PostgreSQL has lost confirmed data of queue {{ $labels.queue }} of %s.", a.subject),
		a.whyLost()+" Flushing goes on with what is left. "+
			"Compare the table with its source; the flushers' log says which side went back. "+
			"Then acknowledge it with the annotation cache.writebehind.dev/acknowledge-data-loss if there is a resource.")
}

func (a *alerts) whyLost() string {
	functions := "The cause may be a wipe, a fail-over to a stale replica, a restored backup, or a key written without wb_*."
	replication := "Redis' replication stream could not be read on from where it was left, or a key was gone before it was flushed: every key is read again, " +
		"and what was deleted meanwhile may be left in the table."
	switch {
	case !a.replication:
		return functions
	case !a.functions:
		return replication
	}
	return functions + " With capture Replication: " + replication
}

// leastPatience is two of the windows in which Prometheus scrapes every minute at
// the slowest, with room for one that failed.
const leastPatience = 5 * time.Minute

// notFlushing looks at the size and not at the age, which is 0 as long as an entry's version
// lies ahead of the clock. Twice the interval has to go by, twice: once without a
// flush, and then all the while the alert is pending. A flusher that does not reach Redis
// for the time of a lease shows that nothing waits, since another one may hold its
// partitions: while none reaches Redis, redisNotReady fires instead.
func (a *alerts) notFlushing() Rule {
	patience := max(leastPatience, (2 * a.interval).Round(time.Minute))
	until := "until the queue is full"
	if !a.functions {
		until = "and Redis' backlog is overrun in the end"
	}
	severity, remedy := severityCritical, "Writes are still accepted "+until+". The condition DatabaseReady or RedisReady of the resource, "+
		"or /status of a flusher, names the obstacle."
	if a.suspended {
		severity, remedy = severityWarning, "spec.suspend is set: this is a reminder. Writes are accepted "+until+"."
	}
	flushed := a.sum("increase(" + a.series("writebehind_writes_total", `outcome="flushed"`) + "[" + minutes(patience) + "])")
	return a.rule("WriteBehindNotFlushing", severity, patience,
		fmt.Sprintf("%s > 0\nunless\n%s > 0", a.sum(a.series("writebehind_queue_size")), flushed),
		fmt.Sprintf("Nothing is flushed of queue {{ $labels.queue }} of %s. Entries that wait: {{ $value }}.", a.subject),
		remedy)
}

// redisNotReady takes two minutes, in which Sentinels have elected another primary and a Redis
// that was restarted has read its file. A flusher alone may lack what another one has, such as
// a route: only when no flusher is well is Redis to blame. The reason is left to the series: one
// that changes would begin those minutes again.
func (a *alerts) redisNotReady() Rule {
	return a.rule("WriteBehindRedisNotReady", severityCritical, 2*time.Minute,
		fmt.Sprintf("max by (namespace, job) (%s) == 0", a.series("writebehind_ready", `check="redis"`)),
		fmt.Sprintf("No flusher of %s can use Redis.", a.subject),
		"Where Redis is down, every write of the application fails, also while nothing waits. The label reason of writebehind_ready says what the flushers find; "+
			"the condition RedisReady of the resource, or /status of a flusher, names the remedy.")
}

// databaseNotReady is for the next working day: while nothing waits nothing is late, and what
// waits fires notFlushing.
func (a *alerts) databaseNotReady() Rule {
	return a.rule("WriteBehindDatabaseNotReady", severityWarning, 5*time.Minute,
		fmt.Sprintf("min by (namespace, job) (max by (namespace, job, check) (%s)) == 0", a.series("writebehind_ready", `check=~"database|mappings"`)),
		fmt.Sprintf("No flusher of %s can use the database, or a table.", a.subject),
		"What is written from now on is not flushed. The labels check and reason of writebehind_ready say what the flushers find; "+
			"the condition DatabaseReady of the resource, or /status of a flusher, names the remedy.")
}

// nearOverrun compares what the condition BacklogHealthy compares. One flusher reads the
// stream and the others report zeros. A time without a reader, while another takes over, is
// shorter than a minute.
func (a *alerts) nearOverrun() Rule {
	most := func(name string) string { return "max by (namespace, job) (" + a.series(name) + ")" }
	return a.rule("WriteBehindBacklogNearOverrun", severityCritical, time.Minute,
		fmt.Sprintf("%s\n/\n(%s > 0)\n>= %v", most("writebehind_replication_behind_bytes"), most("writebehind_replication_backlog_bytes"), config.NearOverrun/100.0),
		fmt.Sprintf("{{ $value | humanizePercentage }} of Redis' backlog is taken by what %s has not committed.", a.subject),
		"When it is overrun and a flusher has to attach again, every key is read again, and what was deleted meanwhile is a data-loss event. "+
			"Follow WriteBehindNotFlushing or WriteBehindFlushFailures if it fires too; otherwise raise flush.batchSize or flush.concurrency, "+
			"and the backlog: redis.managed.replication.backlog of the resource, or repl-backlog-size of Redis.")
}

// detached takes five minutes, in which a full resynchronisation that waits for a snapshot of
// Redis has begun.
func (a *alerts) detached() Rule {
	return a.rule("WriteBehindReplicationDetached", severityCritical, 5*time.Minute,
		fmt.Sprintf("max by (namespace, job) (%s) == 0", a.series("writebehind_replication_attached")),
		fmt.Sprintf("No flusher of %s receives Redis' replication stream.", a.subject),
		"Nothing new is flushed, and Redis' backlog is overrun in the end. The condition RedisReady or DatabaseReady of the resource, or /status of a flusher, "+
			"names the obstacle.")
}

// flushersDown takes five minutes, in which a node's Pods have come up elsewhere.
func (a *alerts) flushersDown() Rule {
	up := a.series("up")
	severity := severityCritical
	if a.suspended {
		severity = severityWarning
	}
	until := "until the queue is full"
	if !a.functions {
		until = "and Redis' backlog is overrun in the end"
	}
	return a.rule("WriteBehindFlushersDown", severity, 5*time.Minute,
		fmt.Sprintf("absent(%s)\nor\nmax by (namespace, job) (%s) == 0", up, up),
		fmt.Sprintf("No flusher of %s can be scraped.", a.subject),
		"Nothing is flushed while none runs; writes are accepted "+until+". The condition Ready of the resource says whether "+
			"they run. If they do, Prometheus does not reach them: check its targets and the NetworkPolicies.")
}

// runbooks is where each alert has a page of its name: what it means, what to look at, what to
// do, and what not to do.
const runbooks = "https://github.com/writebehind/operator/blob/main/docs/runbooks/"

func (a *alerts) rule(name, severity string, atLeast time.Duration, expr, summary, description string) Rule {
	return Rule{
		Alert: name, Expr: expr, For: minutes(atLeast),
		Labels:      map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description, "runbook_url": runbooks + name + ".md"},
	}
}

// sum adds up what the flushers report of their own partitions. Queues of one
// name in two namespaces or jobs are two queues.
func (a *alerts) sum(vector string) string {
	return "sum by (namespace, job, queue) (" + vector + ")"
}

// series selects one metric, or several by their names; what has an = is a matcher.
func (a *alerts) series(terms ...string) string {
	var names, matchers []string
	for _, term := range terms {
		if strings.Contains(term, "=") {
			matchers = append(matchers, term)
		} else {
			names = append(names, term)
		}
	}
	matchers = append(matchers, a.matchers...)
	if len(names) > 1 {
		return fmt.Sprintf("{__name__=~%q", strings.Join(names, "|")) + strings.Join(append([]string{""}, matchers...), ",") + "}"
	}
	if len(matchers) == 0 {
		return names[0]
	}
	return names[0] + "{" + strings.Join(matchers, ",") + "}"
}

// minutes writes whole minutes as Prometheus reads them, nothing for zero.
func minutes(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%dm", int(d.Minutes()))
}
