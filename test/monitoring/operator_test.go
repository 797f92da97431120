// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/internal/controller/resources"
)

const (
	operatorDown    = "WriteBehindOperatorDown"
	operatorErrors  = "WriteBehindOperatorErrors"
	observationsOld = "WriteBehindObservationsOld"
)

// operatorRules are the alerts on the operator itself.
func operatorRules(t *testing.T) resources.RuleFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "prometheus", "operator_alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec resources.RuleFile `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object.Spec
}

// ofOperator is a series of one of two operators.
func ofOperator(metric, instance, values string, terms ...string) series {
	text := fmt.Sprintf(`%s{namespace="writebehind-system",job="operator",instance=%q`, metric, instance)
	for _, term := range terms {
		text += "," + term
	}
	return series{text + "}", values}
}

func operatorAge(instance, values string) series {
	return ofOperator("writebehind_operator_oldest_observation_seconds", instance, values)
}

func operatorErrorsOf(controller, values string) series {
	return ofOperator("controller_runtime_reconcile_errors_total", "a", values, fmt.Sprintf("controller=%q", controller))
}

// TestEachAlertOnTheOperatorFiresWhenItShouldAndThenOnly has promtool play every history against
// every alert.
func TestEachAlertOnTheOperatorFiresWhenItShouldAndThenOnly(t *testing.T) {
	rules := operatorRules(t)
	well := operatorAge("a", "1+0x300")
	file := testFile{RuleFiles: []string{"rules.yaml"}, EvaluationInterval: "1m"}
	fired := map[string]bool{}
	for _, h := range []struct {
		name   string
		series []series
		minute int
		fires  string
	}{
		{"all is well", []series{well, operatorErrorsOf("writebehindcache", "0+0x300")}, 200, ""},
		{"no operator was ever there", nil, 11, operatorDown},
		{"the operator ends", []series{operatorAge("a", "1+0x5 stale")}, 17, operatorDown},
		{"another operator takes over", []series{operatorAge("a", "1+0x5 stale"), operatorAge("b", "_x12 1+0x30")}, 17, ""},
		{"an operator waits for a Lease that nobody holds", []series{
			ofOperator("up", "a", "1+0x30"), ofOperator("controller_runtime_max_concurrent_reconciles", "a", "4+0x30", `controller="writebehindcache"`),
		}, 12, operatorDown},
		{"a pass fails for ever, at last every 17 minutes", []series{well, operatorErrorsOf("writebehindcache", "0 12 13 14 15+0x16 16+0x16 17+0x16 18+0x16 19+0x16")}, 85, operatorErrors},
		{"passes fail for five minutes", []series{well, operatorErrorsOf("writebehindcache", "0 3 6 9 12 15+0x300")}, 36, ""},
		{"passes failed long ago", []series{well, operatorErrorsOf("writebehindcache", "15+0x300")}, 100, ""},
		{"another controller's passes fail", []series{well, operatorErrorsOf("other", "0+5x300")}, 100, ""},
		{"a resource is not looked at any more", []series{operatorAge("a", "1+0x5 61+60x30")}, 12, observationsOld},
		{"a look takes long", []series{operatorAge("a", "1+0x5 61 121 1+0x30")}, 12, ""},
		{"looks take almost a minute", []series{operatorAge("a", "59+0x30")}, 20, ""},
	} {
		group := testGroup{Name: h.name, Interval: "1m", Series: h.series}
		for _, rule := range rules.Groups[0].Rules {
			test := alertTest{EvalTime: fmt.Sprintf("%dm", h.minute), Alert: rule.Alert, Expected: []activeAlert{}}
			if rule.Alert == h.fires {
				labels := maps.Clone(rule.Labels)
				if rule.Alert != operatorDown { // which misses series, and so knows no label of them
					labels["namespace"], labels["job"] = "writebehind-system", "operator"
				}
				test.Expected = append(test.Expected, activeAlert{labels, rule.Annotations})
				fired[rule.Alert] = true
			}
			group.Alerts = append(group.Alerts, test)
		}
		file.Tests = append(file.Tests, group)
	}
	for _, rule := range rules.Groups[0].Rules {
		if !fired[rule.Alert] {
			t.Errorf("no history fires %s", rule.Alert)
		}
		if rule.Labels["severity"] != "warning" || rule.Annotations["summary"] == "" || len(rule.Annotations["description"]) < 50 {
			t.Errorf("%s does not say how bad it is and what to do: %v %v", rule.Alert, rule.Labels, rule.Annotations)
		}
	}
	if want := []string{observationsOld, operatorDown, operatorErrors}; !slices.Equal(slices.Sorted(maps.Keys(fired)), want) {
		t.Errorf("alerts are %v, want %v", fired, want)
	}
	play(t, rules, file)
}
