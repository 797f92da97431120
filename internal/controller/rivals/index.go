// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
)

const (
	// Index is the name of the index that finds the resources whose queues may meet
	// one, by the terms of theirs.
	Index = "queues"
	// longestBeginning is how many bytes of a keyPrefix the index tells apart, and
	// beginningStep how far the beginnings lie apart by which it finds a longer prefix.
	// Each beginning takes some 500 bytes of the operator's memory, and a step too many
	// prefixes that only share a beginning, which are compared one by one.
	longestBeginning = 32
	beginningStep    = 4
)

// indexedBeginning is how many bytes of a prefix's beginning, at most so many, the index has:
// one byte, or a multiple of the step.
func indexedBeginning(most int) int {
	if most < beginningStep {
		return min(most, 1)
	}
	return min(most, longestBeginning) / beginningStep * beginningStep
}

// Terms returns the terms by which the index finds a resource.
func Terms(object client.Object) []string {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	var terms []string
	for _, q := range QueuesOf(cache) {
		terms = append(terms, q.terms()...)
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// terms returns what a queue is indexed by: its name, its prefix, and some beginnings of its
// prefix. The index finds conflicting queues by them without listing every resource of the
// same Redis. A managed Redis has one resource, and all of that one's queues one term.
func (q Queue) terms() []string {
	if q.managed {
		return q.term("managed", "")
	}
	terms := q.term("name", q.Name)
	for length := 1; length <= len(q.Prefix); length++ {
		if length == indexedBeginning(length) {
			terms = append(terms, q.term("begins", q.Prefix[:length])...)
		}
	}
	if len(q.Prefix) <= longestBeginning {
		terms = append(terms, q.term("is", q.Prefix)...)
	}
	return terms
}

// Lookups returns the terms of the queues that may conflict with this one: those of a managed
// Redis, queues of its name, queues whose prefix begins with its own as far as the index has it, and queues whose
// prefix begins its own.
func (q Queue) Lookups() []string {
	terms := append(q.term("managed", ""), q.term("name", q.Name)...)
	terms = append(terms, q.term("begins", q.Prefix[:indexedBeginning(len(q.Prefix))])...)
	for i := range min(len(q.Prefix)-1, longestBeginning) {
		terms = append(terms, q.term("is", q.Prefix[:i+1])...)
	}
	return terms
}

// term is one for each name of the Redis, since another queue may have any of them.
func (q Queue) term(kind, text string) []string {
	terms := make([]string, len(q.Redis))
	for i, name := range q.Redis {
		terms[i] = name + " " + kind + " " + text
	}
	return terms
}
