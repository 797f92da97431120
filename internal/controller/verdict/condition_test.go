// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// TestWhichGenerationAConditionSpeaksOf begins with conditions that an earlier pass
// left under generation 2.
func TestWhichGenerationAConditionSpeaksOf(t *testing.T) {
	const (
		stays   = "True AsExpected 2: as it was"
		not     = "Unknown Progressing 3: No flusher that answers has tried the settings of generation 3 yet"
		reaches = "True AsExpected 3: Redis is reachable and writable, and has the capture functions"
		flows   = "True AsExpected 3: Data is reaching the database"
	)
	left := func(kind string, generation int64) snapshottest.Edit {
		return earlier(kind, metav1.ConditionTrue, v1alpha1.ReasonAsExpected, "as it was", generation)
	}
	bothLeft := func(s *snapshot.Snapshot) {
		left(v1alpha1.ConditionRedisReady, 2)(s)
		left(v1alpha1.ConditionReady, 2)(s)
		left(v1alpha1.ConditionSettingsApplied, 2)(s)
		left(v1alpha1.ConditionDurable, 2)(s)
	}
	running := snapshottest.Says(func(d *config.Status) { d.Revision = 2 }) // tried, and not in force
	lost := func(s *snapshot.Snapshot) { s.Cache.Status.DataLossEvents = new(int64(1)) }
	blocks := &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec, Message: "no"}
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		did   Progress
		want  map[string]string
	}{
		"present settings in force": {[]snapshottest.Edit{bothLeft}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady: reaches, v1alpha1.ConditionReady: flows,
		}},
		"nobody looked yet": {[]snapshottest.Edit{bothLeft, snapshottest.NotLooked}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady: stays, v1alpha1.ConditionReady: stays, v1alpha1.ConditionSettingsApplied: stays, v1alpha1.ConditionDurable: stays,
			v1alpha1.ConditionReconciling: "absent",
		}},
		"nobody looked yet, and nothing was earlier": {[]snapshottest.Edit{snapshottest.NotLooked}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady:      "Unknown FlushersDown 3: No flusher answers: Pod shop-flusher-a is starting",
			v1alpha1.ConditionSettingsApplied: "False FlushersDown 3: No flusher answers: Pod shop-flusher-a is starting",
			v1alpha1.ConditionReady:           "False FlushersDown 3: No flusher answers: Pod shop-flusher-a is starting",
		}},
		"nobody looked yet, and a loss is known": {[]snapshottest.Edit{left(v1alpha1.ConditionDurable, 2), lost, snapshottest.NotLooked}, Progress{}, map[string]string{
			v1alpha1.ConditionDurable: "False DataLoss 3: Redis or PostgreSQL lost confirmed data: 1 data-loss event (1 of other mappings), acknowledged: 0. " +
				"Flushing goes on; once the tables are checked, run: kubectl annotate --overwrite wbc shop cache.writebehind.dev/acknowledge-data-loss=1",
		}},
		"only earlier settings were tried": {[]snapshottest.Edit{bothLeft, snapshottest.Behind}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady: "True AsExpected 2: Redis is reachable and writable, and has the capture functions",
			v1alpha1.ConditionReady:      "True AsExpected 2: Data is reaching the database",
		}},
		"only earlier settings were tried, and nothing was earlier of those": {[]snapshottest.Edit{left(v1alpha1.ConditionRedisReady, 3), snapshottest.Behind}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady: not, v1alpha1.ConditionReady: not,
		}},
		"the capture functions lack the present settings": {[]snapshottest.Edit{bothLeft, running}, Progress{}, map[string]string{
			v1alpha1.ConditionRedisReady: reaches, v1alpha1.ConditionReady: "True AsExpected 2: Data is reaching the database",
		}},
		"blocked, and nobody looked yet": {[]snapshottest.Edit{bothLeft, snapshottest.NotLooked}, Progress{Failure: blocks}, map[string]string{
			v1alpha1.ConditionRedisReady: stays, v1alpha1.ConditionReady: "False InvalidSpec 3: no",
			v1alpha1.ConditionSettingsApplied: "False InvalidSpec 3: no", v1alpha1.ConditionStalled: "True InvalidSpec 3: no",
		}},
		"a record of a deletion, and a pass that failed early": {
			[]snapshottest.Edit{func(s *snapshot.Snapshot) { snapshottest.Deleted(s.Cache) }, earlier(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDrained, "done", 3)},
			Progress{Failure: &failure.Waiting{What: "x"}},
			map[string]string{v1alpha1.ConditionDraining: "True Drained 3: done"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(nil)
			for _, edit := range c.edits {
				edit(s)
			}
			v := reach(t, s, c.did)
			for kind, want := range c.want {
				if got := shown(&v.Status, kind); got != want {
					t.Errorf("%s is %s, want %s", kind, got, want)
				}
			}
		})
	}
}

func TestAReasonThatTheAPIServerWouldRefuseIsReplaced(t *testing.T) {
	s := snapshottest.Ready(nil)
	snapshottest.Says(func(d *config.Status) { d.Redis = failing("no reason at all", "x") })(s)
	v := reach(t, s, Progress{})
	if got := shown(&v.Status, v1alpha1.ConditionRedisReady); got != "False CommandFailed 3: x" {
		t.Errorf("RedisReady is %s", got)
	}
}

// A transition is timed by the pass and not by the clock.
func TestATransitionHasTheTimeOfThePass(t *testing.T) {
	v := reach(t, snapshottest.Ready(nil), Progress{})
	for _, c := range v.Status.Conditions {
		if !c.LastTransitionTime.Time.Equal(snapshottest.Now) {
			t.Errorf("%s changed at %s", c.Type, c.LastTransitionTime)
		}
	}
	if len(v.Status.Conditions) != 7 {
		t.Errorf("a resource at which all is well has %d conditions, want 7", len(v.Status.Conditions))
	}
}
