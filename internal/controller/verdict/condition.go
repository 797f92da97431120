// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// MaxMessage bounds a condition's message, which comes in part from a Pod.
const MaxMessage = 1024

// Condition is a condition before it is put into the status.
type Condition struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

func good(message string) *Condition {
	return &Condition{metav1.ConditionTrue, v1alpha1.ReasonAsExpected, message}
}

func bad(reason, message string) *Condition {
	return &Condition{metav1.ConditionFalse, reason, message}
}

func unknown(reason, message string) *Condition {
	return &Condition{metav1.ConditionUnknown, reason, message}
}

// abnormal is a condition that is absent while all is well.
func abnormal(reason, message string) *Condition {
	return &Condition{metav1.ConditionTrue, reason, message}
}

// mostNamed is how many mappings or Pods one message names: with names of 63
// characters it then still holds the remedy.
const mostNamed = 8

// clause joins a cause to a sentence.
func clause(why string) string {
	if why == "" {
		return ""
	}
	return "; " + why
}
