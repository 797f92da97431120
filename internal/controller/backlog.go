// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
)

// mostNamed is how many mappings one message names: with names of 63 characters
// it then still holds the remedy.
const mostNamed = 8

// marksOf are the depths of a queue that turn a condition.
func marksOf(cache *v1alpha1.WriteBehindCache) observe.Marks {
	b := &cache.Spec.Backpressure
	return observe.Marks{Warning: int64(b.WarningQueueDepth), Critical: int64(b.CriticalQueueDepth), Full: int64(b.MaxQueueDepth)}
}

// backlogHealthy judges the deepest queue by the last known numbers. The
// capacity comes first: it may be set below the marks.
func (s *scope) backlogHealthy() verdict {
	var deepest *v1alpha1.MappingStatus
	var depth int64
	for i := range s.cache.Status.Mappings {
		m := &s.cache.Status.Mappings[i]
		if m.QueueDepth == nil || m.DeadLetters == nil {
			continue
		}
		if n := *m.QueueDepth + *m.DeadLetters; deepest == nil || n > depth {
			deepest, depth = m, n
		}
	}
	if deepest == nil {
		return s.noNumbers()
	}
	marks := marksOf(s.cache)
	reached := func(reason, field string, mark int64, remedy string) verdict {
		return bad(reason, fmt.Sprintf("Queue %s holds %d entries and %d dead letters; backpressure.%s is %d: %s",
			deepest.Name, *deepest.QueueDepth, *deepest.DeadLetters, field, mark, remedy))
	}
	switch {
	case depth >= marks.Full && s.cache.Spec.Backpressure.WhenFull == v1alpha1.WhenFullAccept:
		return reached(v1alpha1.ReasonFull, "maxQueueDepth", marks.Full, "writes are still accepted, until Redis is out of memory")
	case depth >= marks.Full:
		return reached(v1alpha1.ReasonFull, "maxQueueDepth", marks.Full, "writes of keys that are not dirty yet are refused with WBFULL")
	case depth >= marks.Critical:
		return reached(v1alpha1.ReasonCritical, "criticalQueueDepth", marks.Critical, fmt.Sprintf("at %d the queue is full", marks.Full))
	case depth >= marks.Warning:
		return reached(v1alpha1.ReasonWarning, "warningQueueDepth", marks.Warning, "more is written than is flushed, or flushing has stopped")
	}
	if marks.Full < marks.Warning {
		return good(fmt.Sprintf("Every queue is under backpressure.maxQueueDepth (%d), which lies below the marks", marks.Full))
	}
	return good(fmt.Sprintf("Every queue is under backpressure.warningQueueDepth (%d)", marks.Warning))
}

// deadLetterQueueEmpty counts the dead letters by the last known numbers. It
// names mappings and never a key: a key may tell who a person is.
func (s *scope) deadLetterQueueEmpty() verdict {
	known, more := false, 0
	var counts []string
	for i := range s.cache.Status.Mappings {
		m := &s.cache.Status.Mappings[i]
		if m.DeadLetters == nil {
			continue
		}
		known = true
		switch {
		case *m.DeadLetters == 0:
		case len(counts) < mostNamed:
			counts = append(counts, fmt.Sprintf("%d of mapping %s", *m.DeadLetters, m.Name))
		default:
			more++
		}
	}
	if !known {
		return s.noNumbers()
	}
	if len(counts) == 0 {
		return good("No queue has dead letters")
	}
	if more > 0 {
		counts = append(counts, fmt.Sprintf("and more of %d other mappings", more))
	}
	return bad(v1alpha1.ReasonDeadLetters, fmt.Sprintf("Dead letters: %s; shown with their reasons by: %s list",
		strings.Join(counts, ", "), s.deadLetterCommand()))
}

// noNumbers is the verdict while no queue was ever looked at.
func (s *scope) noNumbers() verdict {
	if len(s.seen.Answering()) == 0 {
		return verdict{metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers()}
	}
	return verdict{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "No flusher has looked at a queue yet"}
}
