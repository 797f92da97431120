// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"hash/maphash"
	"reflect"
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// The objects of all resources have the same few records of owned fields, and those of one
// resource the same labels and owners. Each object would hold some kilobytes of its own
// otherwise. Nobody changes what is in the cache, so equal values may be one.
var (
	// records are the API server's records of owned fields, of a few releases.
	records = shared[*metav1.FieldsV1]{most: 256}
	entries = shared[[]metav1.ManagedFieldsEntry]{most: 256}
	// A list gives the objects of one kind, then those of the next: there are a few of each
	// for a thousand resources.
	labelSets = shared[map[string]string]{most: 8192}
	owners    = shared[[]metav1.OwnerReference]{most: 4096}
)

const (
	// mostShape is over the largest record of owned fields, in bytes, and mostTexts over an
	// object's own labels or its owner: others' may be as large as an object.
	mostShape = 8 << 10
	mostTexts = 1 << 10
)

// shared remembers values, the most of them, so that equal ones are kept once.
type shared[T any] struct {
	most int

	mu    sync.Mutex
	known map[uint64]T
}

// of is an equal value that others have too. Nobody changes it.
func (s *shared[T]) of(hash uint64, value T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[hash]; ok && reflect.DeepEqual(known, value) {
		return known
	}
	if s.known == nil || len(s.known) >= s.most {
		s.known = map[uint64]T{}
	}
	s.known[hash] = value
	return value
}

var seed = maphash.MakeSeed()

// text is an equal text that others have too, for as long as one of them has it.
func text[T ~string](of T) T { return T(unique.Make(string(of)).Value()) }

// sharedRecord is for a record of owned fields.
func sharedRecord(record *metav1.FieldsV1) *metav1.FieldsV1 {
	if record == nil || len(record.GetRawBytes()) > mostShape {
		return record
	}
	return records.of(maphash.Bytes(seed, record.GetRawBytes()), record)
}

// sharedEntries is for the own entries of the API server's record of owned fields.
func sharedEntries(own []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	for i := range own {
		e := &own[i]
		e.Manager, e.Operation, e.APIVersion = text(e.Manager), text(e.Operation), text(e.APIVersion)
		e.FieldsType, e.FieldsV1 = text(e.FieldsType), sharedRecord(e.FieldsV1)
	}
	if len(own) != 1 || own[0].Time != nil || own[0].FieldsV1 == nil || own[0].FieldsV1.Size() > mostShape {
		return own
	}
	return entries.of(maphash.Bytes(seed, own[0].FieldsV1.GetRawBytes()), own)
}

// sharedLabels is for the labels of an object.
func sharedLabels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	var hash uint64
	size := 0
	for name, value := range labels {
		size += len(name) + len(value)
		hash += maphash.Comparable(seed, [2]string{name, value})
	}
	if size > mostTexts {
		return labels
	}
	return labelSets.of(hash, withSharedTexts(labels))
}

func withSharedTexts(texts map[string]string) map[string]string {
	if len(texts) == 0 {
		return nil
	}
	same := make(map[string]string, len(texts))
	for name, value := range texts {
		same[text(name)] = text(value)
	}
	return same
}

// sharedOwners is for the owners of an object.
func sharedOwners(of []metav1.OwnerReference) []metav1.OwnerReference {
	if len(of) != 1 || of[0].Size() > mostTexts {
		return of
	}
	// A copy: an object is trimmed twice, and the second time its owners are those of others too.
	o := of[0]
	o.APIVersion, o.Kind, o.Name, o.UID = text(o.APIVersion), text(o.Kind), text(o.Name), text(o.UID)
	return owners.of(maphash.String(seed, string(o.UID)), []metav1.OwnerReference{o})
}

// shareStatus is for the conditions of the resources, most of which say the same.
func shareStatus(cache *v1alpha1.WriteBehindCache) {
	for i := range cache.Finalizers {
		cache.Finalizers[i] = text(cache.Finalizers[i])
	}
	for i := range cache.Status.Conditions {
		c := &cache.Status.Conditions[i]
		c.Type, c.Status, c.Reason, c.Message = text(c.Type), text(c.Status), text(c.Reason), text(c.Message)
	}
	for i := range cache.Status.Mappings {
		m := &cache.Status.Mappings[i]
		m.RedisAddress = text(m.RedisAddress)
	}
}
