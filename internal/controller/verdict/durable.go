// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

// durableReasons are the reasons for Durable not to be True, the gravest first: what
// is lost, what may lose the whole queue, what may lose parts of it, and what may
// lose a table.
var durableReasons = []string{
	v1alpha1.ReasonDataLoss, v1alpha1.ReasonAppendOnlyOff, v1alpha1.ReasonEvictionUnsafe, v1alpha1.ReasonTableUnlogged,
}

// endangered reports every danger; the gravest is the reason.
func endangered(f *facts) *Condition {
	found, _ := dangers(f.documents)
	if loss := unacknowledged(f); loss != nil {
		found = append(found, *loss)
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortStableFunc(found, func(a, b config.Check) int {
		return cmp.Compare(slices.Index(durableReasons, a.Reason), slices.Index(durableReasons, b.Reason))
	})
	var messages []string
	for _, danger := range found {
		messages = append(messages, danger.Message)
	}
	return bad(found[0].Reason, strings.Join(messages, "; "))
}

// dangersUnknown applies while a flusher could not check something: what nobody
// could check is never reported as right.
func dangersUnknown(f *facts) *Condition {
	_, unchecked := dangers(f.documents)
	if unchecked == nil {
		return nil
	}
	return unknown(unchecked.Reason, unchecked.Message)
}

func unreportedIsNotDurable(f *facts) *Condition {
	missing := f.unreported()
	if missing == "" {
		return nil
	}
	return unknown(v1alpha1.ReasonProgressing, fmt.Sprintf("No flusher reports mapping %s yet", missing))
}

func lossesUnknown(f *facts) *Condition {
	if f.status.DataLossEvents != nil {
		return nil
	}
	return noNumbers(f)
}

func kept(f *facts) *Condition {
	if f.Replicates() {
		if events := *f.status.DataLossEvents; events > 0 {
			return good(fmt.Sprintf("Redis persists, the tables are logged, and every data-loss event is acknowledged (%d)", events))
		}
		return good("Redis persists, the tables are logged, and no data loss is known")
	}
	if events := *f.status.DataLossEvents; events > 0 {
		return good(fmt.Sprintf("Redis persists and evicts no dirty entry, the tables are logged, and every data-loss event is acknowledged (%d)", events))
	}
	return good("Redis persists and evicts no dirty entry, the tables are logged, and no data loss is known")
}

// whatIsLost is what a data-loss event means. A stream that could not be read on is no
// certain loss: every key is read again, but nobody knows which deletions were missed.
func whatIsLost(f *facts) string {
	switch r := f.status.Replication; {
	case !f.Replicates():
		return "Redis or PostgreSQL lost confirmed data"
	case r != nil && r.Notice != "":
		return "Deletions or writes may be missing in the tables, last because " + r.Notice
	}
	return "Deletions or writes may be missing in the tables"
}

// dangers are what the flushers found that may lose data, each once, and the first
// thing that one of them could not check.
func dangers(documents []*config.Status) (found []config.Check, unchecked *config.Check) {
	collect := func(check config.Check) {
		switch {
		case check.OK:
		case check.Endangers():
			// Several pods say the same.
			same := func(other config.Check) bool {
				return other.Reason == check.Reason && observe.WhatWasSaid(other.Message) == observe.WhatWasSaid(check.Message)
			}
			if !slices.ContainsFunc(found, same) {
				found = append(found, check)
			}
		case unchecked != nil:
		case check.Reason == "":
			unchecked = &config.Check{Reason: v1alpha1.ReasonProgressing, Message: "A flusher has not checked yet whether confirmed data is kept"}
		default:
			unchecked = &check
		}
	}
	for _, d := range documents {
		collect(d.Durability.Persistence)
		collect(d.Durability.Eviction)
		collect(d.Durability.Ledger)
		for i := range d.Queues {
			collect(d.Queues[i].Durable)
		}
	}
	return found, unchecked
}

// unacknowledged is the loss that nobody has acknowledged, by the last known
// numbers; nil when there is none.
func unacknowledged(f *facts) *config.Check {
	name, status := f.Cache.Name, f.status
	events, known := valueOf(status.DataLossEvents), acknowledged(status)
	if events <= known {
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
		Message: fmt.Sprintf("%s: %s (%s), acknowledged: %d. Flushing goes on; "+
			"once the tables are checked, run: kubectl annotate --overwrite wbc %s %s=%d",
			whatIsLost(f), plural.Of(events, "data-loss event", "data-loss events"), strings.Join(parts, ", "), known, name, v1alpha1.AnnotationAcknowledgeDataLoss, events),
	}
}
