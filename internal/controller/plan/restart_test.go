// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// TestRedisIsRestartedOnlyWhileNothingWaits changes the size of the backlog, which takes a
// restart of Redis.
func TestRedisIsRestartedOnlyWhileNothingWaits(t *testing.T) {
	says := func(edit func(*config.QueueStatus)) snapshottest.Edit {
		return snapshottest.Says(func(d *config.Status) { edit(&d.Queues[0]) })
	}
	larger := func(s *snapshot.Snapshot) {
		s.Cache.Spec.Redis.Managed.Replication = &v1alpha1.ManagedReplication{Backlog: resource.MustParse("1Gi")}
	}
	both := func(edit snapshottest.Edit) snapshottest.Edit {
		return func(s *snapshot.Snapshot) { larger(s); edit(s) }
	}
	waits := says(func(q *config.QueueStatus) { q.Depth = 3 })
	for name, c := range map[string]struct {
		edit snapshottest.Edit
		// held is what is said of what is held back; without it nothing is.
		held string
	}{
		"no change":                         {waits, ""},
		"nothing waits":                     {larger, ""},
		"entries wait":                      {both(waits), "of mapping products: 3 entries and 0 dead letters"},
		"the stream is not read to its end": {both(snapshottest.Streams(func(r *config.Replication) { r.BehindBytes = 9 })), "9 bytes of the replication stream"},
		"a scan":                            {both(snapshottest.Streams(func(r *config.Replication) { r.Scanned = false })), "keys that were there before"},
		"no flusher answers":                {both(snapshottest.Silent), "no flusher has reported it yet"},
		"dead letters alone":                {both(says(func(q *config.QueueStatus) { q.DeadLetters = 3 })), ""},
		"Redis does not run":                {both(func(s *snapshot.Snapshot) { waits(s); s.Redis.StatefulSet.Status.ReadyReplicas = 0 }), ""},
		"given up":                          {both(func(s *snapshot.Snapshot) { waits(s); snapshottest.Forced(s.Cache) }), ""},
		"given up in other words": {both(func(s *snapshot.Snapshot) {
			waits(s)
			snapshottest.Forced(s.Cache)
			s.Cache.Annotations[v1alpha1.AnnotationForceDelete] = "yes"
		}), "which does nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(snapshottest.Replicated)
			set, err := resources.RedisStatefulSet(s.Cache, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Redis.StatefulSet.Spec.Template.Annotations = set.Spec.Template.Annotations
			c.edit(s)
			p, err := Make(s, "image")
			if err != nil {
				t.Fatal(err)
			}
			has := func(kind string) bool {
				return slices.ContainsFunc(p.Objects, func(o Object) bool { return o.Kind == kind && o.Name == resources.RedisName(s.Cache) })
			}
			held := ""
			if p.HeldBack != nil {
				held = p.HeldBack.Message
			}
			if (held == "") != (c.held == "") || !strings.Contains(held, c.held) {
				t.Errorf("held back is %q, want %q", held, c.held)
			}
			if has("StatefulSet") != (c.held == "") || has("ConfigMap") != (c.held == "") || !has("Service") {
				t.Errorf("the plan has the StatefulSet: %t, the ConfigMap: %t, the Service: %t", has("StatefulSet"), has("ConfigMap"), has("Service"))
			}
		})
	}
}

// TestARestartOfFunctionsWaitsForNothing: the queue is in Redis, and comes back with it.
func TestARestartOfFunctionsWaitsForNothing(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		snapshottest.Replicated(c)
		c.Spec.Capture = v1alpha1.CaptureFunctions
	})
	snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = 3 })(s)
	p, err := Make(s, "image")
	if err != nil || p.HeldBack != nil {
		t.Errorf("held back is %+v, %v", p.HeldBack, err)
	}
}

func TestInForceKeepsTheCapture(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		snapshottest.Replicated(c)
		c.Spec.Mappings[0].Encoding = v1alpha1.EncodingHash
	})
	p, err := Make(s, "image")
	if err != nil {
		t.Fatal(err)
	}
	text, err := (&InForce{Revision: 3, Capture: p.Settings.Capture, Mappings: p.Settings.Mappings}).text()
	if err != nil {
		t.Fatal(err)
	}
	if read := parseInForce(text); read == nil || read.Capture != config.CaptureReplication || read.Mappings[0].Encoding != config.EncodingHash {
		t.Errorf("read back %+v", read)
	}
	s.Flushers.ConfigMap.Annotations = map[string]string{v1alpha1.AnnotationInForce: text}
	s.Cache.Spec.Mappings = []v1alpha1.Mapping{snapshottest.Mapping("pages", "page:")}
	snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = 3 })(s)
	if p, err = Make(s, "image"); err != nil || planned(p) != "pages (products)" {
		t.Errorf("after products was removed: %s, %v", planned(p), err)
	}
}

// TestFlushersReachAManagedRedisAsItIs turns TLS on while entries wait, so that Redis stays as
// it is: flushers that began with TLS would reach it no more, and never flush what is waited for.
func TestFlushersReachAManagedRedisAsItIs(t *testing.T) {
	with := func(s *snapshot.Snapshot, name string) {
		s.Cache.Spec.Redis.Managed.TLS = nil
		if name != "" {
			s.Cache.Spec.Redis.Managed.TLS = &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: name}}
		}
	}
	for name, c := range map[string]struct{ before, after, waiting string }{
		"TLS comes": {"", "new", ""}, "TLS goes": {"old", "", "old"}, "another Secret": {"old", "new", "old"},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(snapshottest.Replicated)
			with(s, c.before)
			set, err := resources.RedisStatefulSet(s.Cache, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(set.Spec.Template)
			if err == nil {
				err = json.Unmarshal(text, &s.Redis.StatefulSet.Spec.Template)
			}
			if err != nil {
				t.Fatal(err)
			}
			with(s, c.after)
			for depth, want := range map[int64]string{3: c.waiting, 0: c.after} {
				snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = depth })(s)
				p, err := Make(s, "image")
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if tls := p.Settings.Redis.External.TLS; tls != nil {
					got, _, _ = config.CutSecretKey(tls.CASecret)
				}
				if got != want || p.RedisTLSSecret != want {
					t.Errorf("with %d entries the flushers trust Secret %q, and applications %q, want %q", depth, got, p.RedisTLSSecret, want)
				}
			}
		})
	}
}
