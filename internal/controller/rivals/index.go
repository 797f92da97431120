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
	// longestBeginning is how many bytes of a keyPrefix the index tells apart. With
	// all 128 that a prefix may have, the 32 mappings of one resource would take
	// several megabytes of the operator's memory.
	longestBeginning = 32
)

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

// terms returns what a queue is indexed by: its name, its prefix, and each beginning of its
// prefix. The index finds conflicting queues by them without listing every resource of the
// same Redis.
func (q Queue) terms() []string {
	terms := q.term("name", q.Name)
	for i := range min(len(q.Prefix), longestBeginning) {
		terms = append(terms, q.term("begins", q.Prefix[:i+1])...)
	}
	if len(q.Prefix) <= longestBeginning {
		terms = append(terms, q.term("is", q.Prefix)...)
	}
	return terms
}

// Lookups returns the terms of the queues that may conflict with this one: queues of its
// name, queues whose prefix begins with its own, and queues whose prefix begins its own.
func (q Queue) Lookups() []string {
	terms := append(q.term("name", q.Name), q.term("begins", q.Prefix[:min(len(q.Prefix), longestBeginning)])...)
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
