// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
)

// Progress is how far a pass got in carrying out the plan.
type Progress struct {
	// Failure is what ended the pass early, nil when nothing did.
	Failure error
	// Redis is how an application reaches a managed Redis, nil until its Secret is
	// known to be there.
	Redis *v1alpha1.RedisStatus
	// Draining is how far a deletion got, nil outside one.
	Draining *Condition
	// Again is when another pass is due although no watch asks for one; zero when
	// none is.
	Again time.Duration
}

// PassAgain asks for another pass after d at the latest.
func (p *Progress) PassAgain(d time.Duration) { p.Again = failure.Sooner(p.Again, d) }

// Drain is how a deletion goes on.
type Drain struct {
	// Condition is the condition Draining. Once nothing needs to be waited for, it is the
	// record of why.
	Condition *Condition
	// Done reports that nothing needs to be waited for any more.
	Done bool
	// GivenUp is what is lost with the namespace, empty when nothing is.
	GivenUp string
	// Err ends the pass while something needs to be waited for.
	Err error
	// Again is when another pass is due although no watch asks for one.
	Again time.Duration
}

func drained(why string) Drain {
	return Drain{Condition: abnormal(v1alpha1.ReasonDrained, why+"; the objects are being removed"), Done: true}
}
