// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// durableReasons are what keeps Durable from being True, the gravest first: what
// is lost, what may lose the whole queue, what may lose parts of it, and what may
// lose a table.
var durableReasons = []string{
	v1alpha1.ReasonDataLoss, v1alpha1.ReasonAppendOnlyOff, v1alpha1.ReasonEvictionUnsafe, v1alpha1.ReasonTableUnlogged,
}

// durable says whether what was confirmed is kept. Every danger is told, and the
// gravest is the reason. What nobody could look at is never told as right.
func (s *scope) durable() verdict {
	found, unknown := s.dangers()
	if loss := s.unacknowledged(); loss != nil {
		found = append(found, *loss)
	}
	slices.SortStableFunc(found, func(a, b config.Check) int {
		return cmp.Compare(slices.Index(durableReasons, a.Reason), slices.Index(durableReasons, b.Reason))
	})
	note := behindText(s.aboutAcknowledgement())
	switch {
	case len(found) > 0:
		var messages []string
		for _, danger := range found {
			messages = append(messages, danger.Message)
		}
		return bad(found[0].Reason, strings.Join(messages, "; ")+note)
	case len(s.seen.Answering()) == 0:
		return verdict{metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers() + note}
	case unknown != nil:
		return verdict{metav1.ConditionUnknown, unknown.Reason, unknown.Message + note}
	}
	if missing := s.unreported(); missing != "" {
		return verdict{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, fmt.Sprintf("No flusher reports mapping %s yet", missing) + note}
	}
	if s.cache.Status.DataLossEvents == nil {
		return s.noNumbers()
	}
	text := "Redis persists and evicts no dirty entry, the tables are logged, and no data loss is known"
	if events := *s.cache.Status.DataLossEvents; events > 0 {
		text = fmt.Sprintf("Redis persists and evicts no dirty entry, the tables are logged, and all of the %d data-loss events are acknowledged", events)
	}
	return good(text + note)
}

// dangers are what the flushers found that may lose data, each told once, and the
// first thing that one of them could not look at.
func (s *scope) dangers() (found []config.Check, unknown *config.Check) {
	look := func(check config.Check) {
		switch {
		case check.OK:
		case check.Endangers():
			if !slices.Contains(found, check) {
				found = append(found, check)
			}
		case unknown != nil:
		case check.Reason == "":
			unknown = &config.Check{Reason: v1alpha1.ReasonProgressing, Message: "A flusher has not looked yet whether what is confirmed is kept"}
		default:
			unknown = &check
		}
	}
	for _, d := range s.seen.Answering() {
		look(d.Durability.Persistence)
		look(d.Durability.Eviction)
		look(d.Durability.Ledger)
		for i := range d.Queues {
			look(d.Queues[i].Durable)
		}
	}
	return found, unknown
}

// unacknowledged is the loss that nobody has acknowledged, by the last known
// numbers.
func (s *scope) unacknowledged() *config.Check {
	status := &s.cache.Status
	events, acknowledged := valueOf(status.DataLossEvents), s.acknowledged()
	if events <= acknowledged {
		return nil
	}
	var parts []string
	others, more := events, int64(0)
	for i := range status.Mappings {
		n := valueOf(status.Mappings[i].DataLossEvents)
		others -= n
		switch {
		case n == 0:
		case len(parts) < mostNamed:
			parts = append(parts, fmt.Sprintf("%d of mapping %s", n, status.Mappings[i].Name))
		default:
			more += n
		}
	}
	if others += more; others > 0 {
		parts = append(parts, fmt.Sprintf("%d of other mappings", others))
	}
	return &config.Check{
		Reason: v1alpha1.ReasonDataLoss,
		Message: fmt.Sprintf("Redis or PostgreSQL lost what it had confirmed: %d data-loss events (%s), %d of them acknowledged. Flushing goes on; "+
			"when the tables are checked: kubectl annotate --overwrite wbc %s %s=%d",
			events, strings.Join(parts, ", "), acknowledged, s.cache.Name, v1alpha1.AnnotationAcknowledgeDataLoss, events),
	}
}
