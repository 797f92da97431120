// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strconv"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
)

// longestAcknowledgement is the longest value of the annotation that counts as a
// number: every number of events has fewer digits.
const longestAcknowledgement = 20

// acknowledgement reads the annotation. ok is false when it is no number of events.
func acknowledgement(cache *v1alpha1.WriteBehindCache) (text string, number int64, given, ok bool) {
	text, given = cache.Annotations[v1alpha1.AnnotationAcknowledgeDataLoss]
	if !given {
		return "", 0, false, true
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || len(text) > longestAcknowledgement {
		return text, 0, true, false
	}
	return text, int64(n), true, true
}

// acknowledgeLoss takes the annotation over once, when its value is new. A value
// above the number of events acknowledges those that there are; were it read again at
// each pass, it would acknowledge losses that nobody has seen yet.
func acknowledgeLoss(f *facts) {
	if f.status.DataLossEvents == nil {
		return // nobody knows how many there are to acknowledge
	}
	text, number, given, ok := acknowledgement(f.Cache)
	d := dataLoss(f.status)
	switch {
	case !given || !ok:
		d.Acknowledged, d.Annotation = 0, ""
	case text != d.Annotation:
		d.Acknowledged, d.Annotation = min(number, *f.status.DataLossEvents), text
	}
	keepDataLoss(f.status, d)
}

// acknowledged is how many events a person knows of.
func acknowledged(status *v1alpha1.WriteBehindCacheStatus) int64 {
	if d := status.DataLoss; d != nil {
		return d.Acknowledged
	}
	return 0
}

// aboutAcknowledgement is what is wrong with the annotation, empty when nothing is.
func aboutAcknowledgement(f *facts) string {
	text, number, given, ok := acknowledgement(f.Cache)
	switch {
	case !given || f.status.DataLossEvents == nil:
		return ""
	case !ok:
		return fmt.Sprintf("the annotation %s is %q, which acknowledges nothing: a whole number from 0 to %d is allowed",
			v1alpha1.AnnotationAcknowledgeDataLoss, observe.Cut(text, 40), *f.status.DataLossEvents)
	case number > acknowledged(f.status):
		return fmt.Sprintf("the annotation %s is %q, but when it was set the number of events was %d, and 0 to %d was allowed: it acknowledges those events and no later ones",
			v1alpha1.AnnotationAcknowledgeDataLoss, text, acknowledged(f.status), acknowledged(f.status))
	}
	return ""
}
