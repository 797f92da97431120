// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestEvents(t *testing.T) {
	const True, False = metav1.ConditionTrue, metav1.ConditionFalse
	type status = v1alpha1.WriteBehindCacheStatus
	with := func(conditions ...metav1.Condition) status { return status{Conditions: conditions} }
	is := func(kind string, value metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: value, Reason: reason, Message: "why"}
	}
	fine := func(kind string) metav1.Condition { return is(kind, True, v1alpha1.ReasonAsExpected) }
	const ready, durable, backlog = v1alpha1.ConditionReady, v1alpha1.ConditionDurable, v1alpha1.ConditionBacklogHealthy
	dead := func(n int64) status {
		s := with(is(v1alpha1.ConditionDeadLetterQueueEmpty, False, v1alpha1.ReasonDeadLetters))
		s.DeadLetters = &n
		return s
	}
	lost := func(n int64, conditions ...metav1.Condition) status {
		s := with(conditions...)
		s.DataLossEvents = &n
		return s
	}
	lostLast := "Warning DataLoss: Redis or PostgreSQL lost confirmed data, by what a flusher pod reports: new data-loss events: 2, in all: 3; flushing goes on"
	for name, c := range map[string]struct {
		before, after status
		want          []string
	}{
		"nothing changed":       {with(fine(ready)), with(fine(ready)), nil},
		"born":                  {with(), with(is(ready, False, v1alpha1.ReasonFlushersDown)), nil},
		"born ready":            {with(), with(fine(ready)), []string{"Normal Ready: why"}},
		"became ready":          {with(is(ready, False, v1alpha1.ReasonFlushersDown)), with(fine(ready)), []string{"Normal Ready: why"}},
		"another reason":        {with(is(ready, False, "A")), with(is(ready, False, "B")), []string{"Warning B: why"}},
		"suspended by a person": {with(fine(ready)), with(is(ready, False, v1alpha1.ReasonSuspended)), []string{"Normal Suspended: why"}},
		"stalled, which Ready repeats": {
			with(fine(ready)), with(is(ready, False, "X"), is(v1alpha1.ConditionStalled, True, "X")), []string{"Warning X: why"},
		},
		"deleted, which Ready repeats": {
			with(fine(ready)), with(is(ready, False, v1alpha1.ReasonDraining), is(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining)), []string{"Normal Draining: why"},
		},
		"blocked": {with(), with(is(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrainBlocked)), []string{"Warning DrainBlocked: why"}},

		"a mark passed":          {with(fine(backlog)), with(is(backlog, False, v1alpha1.ReasonWarning)), []string{"Warning BacklogWarning: why"}},
		"the next mark":          {with(is(backlog, False, v1alpha1.ReasonWarning)), with(is(backlog, False, v1alpha1.ReasonCritical)), []string{"Warning BacklogCritical: why"}},
		"under all marks again":  {with(is(backlog, False, v1alpha1.ReasonWarning)), with(fine(backlog)), []string{"Normal BacklogHealthy: why"}},
		"under all from unknown": {with(is(backlog, metav1.ConditionUnknown, "X")), with(fine(backlog)), nil},

		"dead letters rose":     {dead(1), dead(2), []string{"Warning DeadLetters: why"}},
		"dead letters fell":     {dead(2), dead(1), nil},
		"the last one is gone":  {dead(1), dead(0), []string{"Normal DeadLetterQueueEmpty: why"}},
		"a loss":                {lost(1, fine(durable)), lost(3, is(durable, False, v1alpha1.ReasonDataLoss)), []string{lostLast}},
		"a loss and a danger":   {lost(1, fine(durable)), lost(3, is(durable, False, v1alpha1.ReasonAppendOnlyOff)), []string{lostLast, "Warning AppendOnlyOff: why"}},
		"a danger":              {with(fine(durable)), with(is(durable, False, v1alpha1.ReasonEvictionUnsafe)), []string{"Warning EvictionUnsafe: why"}},
		"an old loss is put up": {lost(1, is(durable, False, v1alpha1.ReasonEvictionUnsafe)), lost(1, is(durable, False, v1alpha1.ReasonDataLoss)), []string{"Warning DataLoss: why"}},
		"durable again":         {with(is(durable, False, "X")), with(fine(durable)), []string{"Normal Durable: why"}},
	} {
		var got []string
		for _, e := range events(&c.before, &c.after) {
			got = append(got, fmt.Sprintf("%s %s: %s", map[bool]string{true: "Warning", false: "Normal"}[e.Warning], e.Reason, e.Note))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: the events are %q, want %q", name, got, c.want)
		}
	}
}
