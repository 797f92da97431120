// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/plural"
)

// Marks are the depths of a queue that turn a condition, and the newest settings.
func Marks(cache *v1alpha1.WriteBehindCache) observe.Marks {
	b := &cache.Spec.Backpressure
	return observe.Marks{Warning: int64(b.WarningQueueDepth), Critical: int64(b.CriticalQueueDepth), Full: int64(b.MaxQueueDepth), Revision: cache.Generation}
}

// deepest is the deepest queue by the last known numbers, nil while no queue has
// any.
func deepest(status *v1alpha1.WriteBehindCacheStatus) (queue *v1alpha1.MappingStatus, depth int64) {
	for i := range status.Mappings {
		m := &status.Mappings[i]
		if m.QueueDepth == nil || m.DeadLetters == nil {
			continue
		}
		if n := *m.QueueDepth + *m.DeadLetters; queue == nil || n > depth {
			queue, depth = m, n
		}
	}
	return queue, depth
}

func depthsUnknown(f *facts) *Condition {
	if queue, _ := deepest(f.status); queue != nil {
		return nil
	}
	return noNumbers(f)
}

// markReached compares the deepest queue with the marks. The capacity comes first:
// it may be set below the others.
func markReached(f *facts) *Condition {
	queue, depth := deepest(f.status)
	marks := Marks(f.Cache)
	reached := func(reason, field string, mark int64, remedy string) *Condition {
		return bad(reason, fmt.Sprintf("Queue %s holds %s and %s; backpressure.%s is %d: %s",
			queue.Name, plural.Of(*queue.QueueDepth, "entry", "entries"), plural.Of(*queue.DeadLetters, "dead letter", "dead letters"), field, mark, remedy))
	}
	switch {
	case depth >= marks.Full && f.Replicates():
		return reached(v1alpha1.ReasonFull, "maxQueueDepth", marks.Full, "writes are still accepted, until the flusher's memory and Redis' backlog are full")
	case depth >= marks.Full && f.Cache.Spec.Backpressure.WhenFull == v1alpha1.WhenFullAccept:
		return reached(v1alpha1.ReasonFull, "maxQueueDepth", marks.Full, "writes are still accepted, until Redis is out of memory")
	case depth >= marks.Full:
		return reached(v1alpha1.ReasonFull, "maxQueueDepth", marks.Full, "writes of keys that are not dirty yet are refused with WBFULL")
	case depth >= marks.Critical && f.Replicates():
		return reached(v1alpha1.ReasonCritical, "criticalQueueDepth", marks.Critical, "more is written than is flushed, or flushing has stopped")
	case depth >= marks.Critical:
		return reached(v1alpha1.ReasonCritical, "criticalQueueDepth", marks.Critical, fmt.Sprintf("at %d the queue is full", marks.Full))
	case depth >= marks.Warning:
		return reached(v1alpha1.ReasonWarning, "warningQueueDepth", marks.Warning, "more is written than is flushed, or flushing has stopped")
	default:
		return nil
	}
}

func underEveryMark(f *facts) *Condition {
	marks := Marks(f.Cache)
	if marks.Full < marks.Warning {
		return good(fmt.Sprintf("Every queue is under backpressure.maxQueueDepth (%d), which lies below the marks", marks.Full))
	}
	return good(fmt.Sprintf("Every queue is under backpressure.warningQueueDepth (%d)", marks.Warning))
}

func deadLettersUnknown(f *facts) *Condition {
	for i := range f.status.Mappings {
		if f.status.Mappings[i].DeadLetters != nil {
			return nil
		}
	}
	return noNumbers(f)
}

// deadLettersPresent counts the dead letters by the last known numbers. Its message
// names mappings and never a key: a key may identify a person.
func deadLettersPresent(f *facts) *Condition {
	more := 0
	var counts []string
	for i := range f.status.Mappings {
		m := &f.status.Mappings[i]
		switch {
		case valueOf(m.DeadLetters) == 0:
		case len(counts) < mostNamed:
			counts = append(counts, fmt.Sprintf("%d of mapping %s", *m.DeadLetters, m.Name))
		default:
			more++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	if more > 0 {
		counts = append(counts, "and more of "+plural.Of(more, "other mapping", "other mappings"))
	}
	return bad(v1alpha1.ReasonDeadLetters, fmt.Sprintf("Dead letters: %s; shown with their reasons by: %s list",
		strings.Join(counts, ", "), f.DeadLetterCommand()))
}

// noNumbers is a condition while no queue was ever looked at.
func noNumbers(f *facts) *Condition {
	if c := nobodyKnows(f); c != nil {
		return c
	}
	return unknown(v1alpha1.ReasonProgressing, "No flusher has reported a queue yet")
}
