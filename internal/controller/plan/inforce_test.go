// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

func usableMapping(name string) config.Mapping {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = name, name+":", "public."+name, "id"
	return m
}

func TestInForceIsBelievedOnlyAsItWasWritten(t *testing.T) {
	written := &InForce{Revision: 3, Mappings: []config.Mapping{usableMapping("products")}}
	text, err := written.text()
	if err != nil {
		t.Fatal(err)
	}
	read := parseInForce(text)
	if read == nil || read.Revision != 3 || len(read.Mappings) != 1 || read.Mappings[0].Partitions != 16 {
		t.Fatalf("read %+v", read)
	}
	other, err := (&InForce{Revision: 4, Mappings: written.Mappings}).text()
	if err != nil {
		t.Fatal(err)
	}
	hash, _, _ := strings.Cut(text, ".")
	_, payload, _ := strings.Cut(other, ".")
	for name, broken := range map[string]string{
		"nothing": "", "no hash": payload, "another's payload": hash + "." + payload,
		"half": text[:len(text)/2], "no base64": hash + ".%", "no gzip": hash + ".AAAA",
	} {
		if parseInForce(broken) != nil {
			t.Errorf("%s is believed", name)
		}
	}
}

// The hash is no secret: who may edit the annotation may write what it likes.
func TestInForceIsNotUnpackedBeyondReason(t *testing.T) {
	pack := func(plain string) string {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write([]byte(plain)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return resources.Hash(plain) + "." + base64.StdEncoding.EncodeToString(packed.Bytes())
	}
	mappings := func(n int) string { return `{"mappings":[{}` + strings.Repeat(",{}", n-1) + `]}` }
	var most InForce
	for i := range maxQueues {
		most.Mappings = append(most.Mappings, usableMapping(fmt.Sprintf("m%02d", i)))
	}
	text, err := most.text()
	if err != nil || parseInForce(text) == nil {
		t.Errorf("as many mappings as there may be are not believed: %v", err)
	}
	plain, err := json.Marshal(most)
	if err != nil || parseInForce(pack(string(plain)+" ")) == nil {
		t.Errorf("a space more is not believed: %v", err)
	}
	for name, plain := range map[string]string{
		"a mapping too many":     mappings(maxQueues + 1),
		"many mappings":          mappings(1 << 17),
		"text beyond the bound":  string(plain) + strings.Repeat(" ", maxUnpacked),
		"mappings of other kind": `{"mappings":[1]}`,
		"nothing":                `null`,
		"no mapping":             `{"mappings":null}`,
		"a mapping of nothing":   mappings(1),
		"a Redis of no address":  `{"external":{},"mappings":[{"name":"a","keyPrefix":"a:","table":"a","keyColumn":"id","mode":"Latest","encoding":"JSON","partitions":1,"onDelete":"Delete"}]}`,
	} {
		if parseInForce(pack(plain)) != nil {
			t.Errorf("%s: believed", name)
		}
	}
	bomb := pack(mappings(1 << 17))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	parseInForce(bomb)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 32<<20 {
		t.Errorf("131072 empty mappings take %d MiB", allocated>>20)
	}
}

// Settings gather: a mapping that was removed stays among them until its queue is empty.
func TestSettingsThatFitNowhereAreToldWithTheRoomThatThereIs(t *testing.T) {
	for name, c := range map[string]struct {
		bound *int
		small int
	}{"a ConfigMap": {&maxConfigMap, 3000}, "the annotations": {&maxInForce, 600}} {
		t.Run(name, func(t *testing.T) {
			usual := *c.bound
			t.Cleanup(func() { *c.bound = usual })
			try := func(mappings int) error {
				_, err := Make(snapshottest.Ready(func(cache *v1alpha1.WriteBehindCache) {
					cache.Spec.Mappings = nil
					for i := range mappings {
						cache.Spec.Mappings = append(cache.Spec.Mappings, snapshottest.Mapping(fmt.Sprintf("m%02d", i), fmt.Sprintf("m%02d:", i)))
					}
				}), &Site{FlusherImage: "image"})
				return err
			}
			*c.bound = c.small
			if err := try(2); err != nil {
				t.Errorf("two mappings: %v", err)
			}
			stalled, ok := errors.AsType[*failure.Stalled](try(maxQueues))
			if !ok || stalled.Reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(stalled.Message, fmt.Sprintf("there is room for %d: name fewer columns", c.small)) {
				t.Errorf("%d mappings: %v", maxQueues, stalled)
			}
		})
	}
}

// TestARecordGivesNobodyASecret: who may edit ConfigMaps, and not read Secrets, names a listener
// and somebody's Secret in the record of what is in force.
func TestARecordGivesNobodyASecret(t *testing.T) {
	redis := func(address, secret string) *v1alpha1.ExternalRedis {
		return &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeStandalone, Addresses: []string{address}, CredentialsSecretRef: &v1alpha1.CredentialsSecretRef{Name: secret, PasswordKey: "password"}}
	}
	fields := map[string]func(*v1alpha1.ExternalRedis){
		"credentials": func(r *v1alpha1.ExternalRedis) { r.CredentialsSecretRef.Name = "payroll" },
		"sentinels": func(r *v1alpha1.ExternalRedis) {
			r.SentinelCredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "payroll", PasswordKey: "password"}
		},
		"an authority": func(r *v1alpha1.ExternalRedis) {
			r.TLS = &v1alpha1.RedisTLS{CASecretRef: &v1alpha1.CASecretRef{Name: "payroll", Key: "ca.crt"}}
		},
		"a certificate": func(r *v1alpha1.ExternalRedis) {
			r.TLS = &v1alpha1.RedisTLS{ClientCertSecretRef: &v1alpha1.SecretRef{Name: "payroll"}}
		},
	}
	for name, forge := range fields {
		t.Run(name, func(t *testing.T) {
			for _, deleted := range []bool{false, true} {
				s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External = redis("other:6379", "own") })
				before := s.Cache.DeepCopy()
				before.Spec.Redis.External = redis("redis:6379", "own")
				before.Spec.Redis.External.Addresses = []string{"redis:6379", "listener.evil:6379"}
				forge(before.Spec.Redis.External)
				inForce(t, s, before)
				s.Cache.Status.Mappings[0].RedisAddress = "redis:6379"
				if deleted {
					s.Flushers.Deployment = nil
				}
				p, err := Make(s, &Site{FlusherImage: "image"})
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range p.Objects {
					text, err := json.Marshal(o.Intent)
					if err != nil {
						t.Fatal(err)
					}
					if o.Kind == "Deployment" && strings.Contains(string(text), "payroll") {
						t.Errorf("with the Deployment deleted (%t), flushers are given the Secret", deleted)
					}
				}
			}
		})
	}

	// A Deployment that was refused does not name the Secret of the spec before. The queues that
	// were removed since are in the record alone.
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External = redis("redis:6379", "third") })
	before := s.Cache.DeepCopy()
	before.Spec.Redis.External = redis("redis:6379", "second")
	before.Spec.Mappings = append(before.Spec.Mappings, snapshottest.Mapping("orders", "order:"))
	inForce(t, s, before, "orders")
	s.Flushers.Deployment.Spec.Template.Spec = mounting("first")
	if p, err := Make(s, &Site{FlusherImage: "image"}); err != nil || planned(p) != "products (orders)" {
		t.Errorf("the plan has %s, %v", planned(p), err)
	}

	// The Secret of a Redis that the flushers must not leave yet stays theirs.
	s = snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External = redis("new:6379", "new") })
	before = s.Cache.DeepCopy()
	before.Spec.Redis.External = redis("old:6379", "old")
	inForce(t, s, before)
	snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = 3 })(s)
	for _, live := range []bool{true, false} {
		if s.Flushers.Deployment.Spec.Template.Spec = mounting("old"); !live {
			s.Flushers.Deployment = nil
		}
		p, err := Make(s, &Site{FlusherImage: "image"})
		if err != nil || p.Settings.Redis.External.Addresses[0] != "old:6379" {
			t.Errorf("with the Deployment there (%t), the flushers leave a Redis that holds entries: %v", live, err)
		}
	}
}
