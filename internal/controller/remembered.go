// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remembered is an in-memory cache between the passes over one resource. Losing it
// costs at most one more API request.
type remembered struct {
	mu   sync.Mutex
	byID map[types.UID]*memory
}

type memory struct {
	// version is the resource version that the operator's own last write made.
	version string
	// passwordTried is when the Secret was last known to be there, and
	// passwordPods what the Pods were like then.
	passwordTried time.Time
	passwordPods  string
	// monitoring has by kind what was last wanted of an object of the Prometheus
	// Operator, and when that was checked.
	monitoring map[string]monitoringMemory
}

type monitoringMemory struct {
	intent string
	at     time.Time
	// obstacle is what was reported to be in the way.
	obstacle string
}

// of is called with m.mu locked.
func (m *remembered) of(uid types.UID) *memory {
	if m.byID == nil {
		m.byID = map[types.UID]*memory{}
	}
	if m.byID[uid] == nil {
		m.byID[uid] = &memory{}
	}
	return m.byID[uid]
}

// wrote records the version that a write of the operator made.
func (m *remembered) wrote(object client.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(object.GetUID()).version = object.GetResourceVersion()
}

// older reports whether a copy was made before the operator's own last write. A pass
// that compares with such a copy takes a correction that is due for one that was made,
// and nothing would wake another pass.
func (m *remembered) older(object client.Object) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.byID[object.GetUID()]
	if !ok || known.version == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), known.version)
	return err != nil || order < 0
}

// passwordKnown is when the Secret was last known to be there. It is zero when the
// Secret was never created, or the Pods have changed since.
func (m *remembered) passwordKnown(uid types.UID, pods string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(uid)
	if known.passwordPods != pods {
		return time.Time{}
	}
	return known.passwordTried
}

// passwordThere records that the Secret is there.
func (m *remembered) passwordThere(uid types.UID, pods string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(uid)
	known.passwordPods, known.passwordTried = pods, now
}

// monitoringDue is how long an object of the Prometheus Operator still counts as being
// what was wanted. It is zero when the object has to be checked: something else is
// wanted, or the interval is over.
func (m *remembered) monitoringDue(uid types.UID, kind, intent string, now time.Time, interval time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(uid).monitoring[kind]
	if known.intent != intent {
		return 0
	}
	return max(known.at.Add(interval).Sub(now), 0)
}

// monitored records what was checked, or what was in the way, and reports whether that
// is news; an empty intent forgets it.
func (m *remembered) monitored(uid types.UID, kind string, latest monitoringMemory) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(uid)
	if known.monitoring == nil {
		known.monitoring = map[string]monitoringMemory{}
	}
	news = known.monitoring[kind].obstacle != latest.obstacle
	known.monitoring[kind] = latest
	return news
}

func (m *remembered) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byID, uid)
}
