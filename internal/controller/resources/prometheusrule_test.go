// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// alertsHeader begins the rule file for flushers outside of Kubernetes.
const alertsHeader = `# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Alerts for flushers that run without Kubernetes, with the default marks: name this
# file under rule_files in prometheus.yml. The operator makes the same alerts for each
# resource, with its marks, and one more for the case that no flusher runs. In that case
# there are no series, and none of the alerts below fires: alert on absent() or up == 0 of
# your scrape job. Each runbook_url is a page of docs/runbooks.
# Written by: go test ./internal/controller/resources -run TestRuleFiles -rewrite
`

func TestRuleFiles(t *testing.T) {
	tuned := cache(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Backpressure.WarningQueueDepth, c.Spec.Backpressure.CriticalQueueDepth, c.Spec.Backpressure.MaxQueueDepth = 20, 300, 4000
		c.Spec.Flush.IntervalMilliseconds = 600000
		c.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "stack", resources.LabelManagedBy: "nobody"}
	})
	golden(t, filepath.Join("..", "..", "..", "config", "prometheus", "alerts.yaml"), alertsHeader+"\n", resources.DefaultRules())
	golden(t, filepath.Join("testdata", "prometheusrule.yaml"), "", resources.PrometheusRule(tuned))
	golden(t, filepath.Join("testdata", "prometheusrule_replication.yaml"), "", resources.PrometheusRule(cache(replicated)))
	golden(t, filepath.Join("testdata", "servicemonitor.yaml"), "", resources.ServiceMonitor(tuned))
}

// rule finds one alert of a PrometheusRule.
func rule(t *testing.T, c *v1alpha1.WriteBehindCache, name string) map[string]any {
	t.Helper()
	groups, _, err := unstructured.NestedSlice(resources.PrometheusRule(c).Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		for _, r := range group.(map[string]any)["rules"].([]any) {
			if r := r.(map[string]any); r["alert"] == name {
				return r
			}
		}
	}
	t.Fatalf("there is no alert %s", name)
	return nil
}

func TestAlertsSelectTheResourcesOwnSeries(t *testing.T) {
	groups, _, err := unstructured.NestedSlice(resources.PrometheusRule(cache(nil)).Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range groups[0].(map[string]any)["rules"].([]any) {
		expr := r.(map[string]any)["expr"].(string)
		selectors := strings.Count(expr, "writebehind_") - strings.Count(expr, "|writebehind_") + strings.Count(expr, "up{")
		if own := strings.Count(expr, `namespace="shop-eu",job="shop-flusher"}`); own != selectors || own == 0 {
			t.Errorf("%d of %d selectors are of the resource in:\n%s", own, selectors, expr)
		}
	}
}

// A resource has the alerts of its own capture, in words that are true of it.
func TestAlertsAreThoseOfTheCapture(t *testing.T) {
	for name, c := range map[string]struct {
		edit      func(*v1alpha1.WriteBehindCache)
		has, lack string
	}{
		"Functions":   {nil, "WBFULL", "replication"},
		"Replication": {replicated, "alert: WriteBehindBacklogNearOverrun", "WBFULL"},
	} {
		text, err := yaml.Marshal(resources.PrometheusRule(cache(c.edit)).Object)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(text); !strings.Contains(got, c.has) || strings.Contains(got, c.lack) {
			t.Errorf("%s: %q has to be there, %q must not:\n%s", name, c.has, c.lack, got)
		}
	}
}

// A queue that refuses new keys never holds more than its capacity.
func TestAMarkAboveTheCapacityCountsAsTheCapacity(t *testing.T) {
	for _, c := range []struct {
		warning, critical, full int32
		marks                   [2]string
	}{
		{1000, 10000, 100000, [2]string{">= 1000", ">= 10000"}},
		{1000, 10000, 5000, [2]string{">= 1000", ">= 5000"}},
		{1000, 10000, 100, [2]string{">= 100", ">= 100"}},
		{1000, 1000, 1000, [2]string{">= 1000", ">= 1000"}},
	} {
		edit := func(cache *v1alpha1.WriteBehindCache) {
			b := &cache.Spec.Backpressure
			b.WarningQueueDepth, b.CriticalQueueDepth, b.MaxQueueDepth = c.warning, c.critical, c.full
		}
		for i, name := range []string{"WriteBehindQueueDepthWarning", "WriteBehindQueueDepthCritical"} {
			if expr := rule(t, cache(edit), name)["expr"].(string); !strings.HasSuffix(expr, c.marks[i]) {
				t.Errorf("%s of %+v compares: %s", name, c, expr)
			}
		}
	}
}

func TestNotFlushingWaitsLongerThanTheInterval(t *testing.T) {
	for milliseconds, want := range map[int32]string{10: "5m", 5000: "5m", 150000: "5m", 600000: "20m", 3600000: "120m"} {
		got := rule(t, cache(func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.IntervalMilliseconds = milliseconds }), "WriteBehindNotFlushing")
		if got["for"] != want || !strings.Contains(got["expr"].(string), "["+want+"]") {
			t.Errorf("with an interval of %d ms it is for %v, want %s, and %s", milliseconds, got["for"], want, got["expr"])
		}
	}
}

func TestNotFlushingIsNoEmergencyWhileSuspended(t *testing.T) {
	severity := func(suspend bool) any {
		r := rule(t, cache(func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = suspend }), "WriteBehindNotFlushing")
		return r["labels"].(map[string]any)["severity"]
	}
	if severity(false) != "critical" || severity(true) != "warning" {
		t.Errorf("severity is %v, and %v while suspended", severity(false), severity(true))
	}
}

func TestMissingFlushersAreAnAlertOnlyWhereThereShouldBeSome(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*v1alpha1.WriteBehindCache)
		want bool
	}{
		"by default":               {nil, true},
		"with none asked for":      {func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas = new(int32(0)) }, false},
		"scraped by somebody else": {func(c *v1alpha1.WriteBehindCache) { c.Spec.Monitoring.ServiceMonitor = new(false) }, false},
	} {
		text, err := yaml.Marshal(resources.PrometheusRule(cache(c.edit)).Object)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "alert: WriteBehindFlushersDown"); got != c.want {
			t.Errorf("%s: there is such an alert: %t", name, got)
		}
	}
}
