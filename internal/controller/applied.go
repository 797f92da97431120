// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/internal/controller/resources"
)

// An object that somebody else keeps changing is applied again at most applyBurst
// times in one applyWindow: often enough for people and tools that change it now and
// then, and too seldom for two controllers to keep an API server busy.
const (
	applyBurst  = 5
	applyWindow = time.Minute

	// maxApplied is about a thousand resources' objects.
	maxApplied = 8192
)

// applied remembers what was written, by the UID of the object.
type applied struct {
	mu      sync.Mutex
	entries map[types.UID]appliedEntry
}

type appliedEntry struct {
	// intent is the hash of what was applied, and version what the API server
	// made of it.
	intent, version string
	// count is how often this intent was applied since since.
	count int
	since time.Time
}

// intentHash names an intent. It has to be taken before applying, since the
// client decodes the answer into the intent.
func intentHash(intent runtime.ApplyConfiguration) (string, error) {
	text, err := json.Marshal(intent)
	if err != nil {
		return "", fmt.Errorf("encode intent: %w", err)
	}
	return resources.Hash(string(text)), nil
}

// identity is the UID and the version of the object that an intent was applied to.
func identity(answer runtime.ApplyConfiguration) (uid types.UID, version string) {
	var object metav1.PartialObjectMetadata
	text, err := json.Marshal(answer)
	if err != nil || json.Unmarshal(text, &object) != nil {
		return "", ""
	}
	return object.UID, object.ResourceVersion
}

// unchanged reports whether live is what the API server made of this very intent:
// applying it again would make the same.
func (a *applied) unchanged(live client.Object, intent string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[live.GetUID()]
	return e.intent == intent && e.version == live.GetResourceVersion()
}

// wait is how long the intent has to wait because it was applied too often.
func (a *applied) wait(uid types.UID, intent string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[uid]
	if e.intent != intent || e.count < applyBurst {
		return 0
	}
	return max(0, applyWindow-now.Sub(e.since))
}

// record keeps that the intent was applied. When there are many entries, those whose
// window has passed are dropped, which costs at most one apply more.
func (a *applied) record(uid types.UID, intent, version string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entries == nil {
		a.entries = map[types.UID]appliedEntry{}
	}
	if len(a.entries) >= maxApplied {
		maps.DeleteFunc(a.entries, func(_ types.UID, e appliedEntry) bool { return now.Sub(e.since) >= applyWindow })
	}
	e := a.entries[uid]
	if e.intent != intent || now.Sub(e.since) >= applyWindow {
		e = appliedEntry{intent: intent, since: now}
	}
	e.version = version
	e.count++
	a.entries[uid] = e
}
