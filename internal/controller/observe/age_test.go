// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/internal/flusher/config"
)

// told is the age that the metrics tell, or less than nothing where they tell none.
func (o *Observer) told(t *testing.T) time.Duration {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(o)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "writebehind_operator_oldest_observation_seconds" {
			return time.Duration(family.GetMetric()[0].GetGauge().GetValue() * float64(time.Second))
		}
	}
	return -1
}

func TestTheAgeIsThatOfTheResourceThatHasWaitedLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.set(shop, "a", says(fine(0)))
		o, _ := run(t, c, Options{})
		// The look at this resource never ends.
		stuck := types.NamespacedName{Namespace: "ns", Name: "stuck"}
		list := o.options.List
		o.options.List = func(ctx context.Context, key types.NamespacedName, uid types.UID) (pods []corev1.Pod, err error) {
			if key == stuck {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return list(ctx, key, uid)
		}
		synctest.Wait()
		if age := o.told(t); age != 0 {
			t.Errorf("without a resource the age is %v", age)
		}
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if age := o.told(t); age < 0 || age > 2*time.Second {
			t.Errorf("of a resource that is looked at once a second the age is %v", age)
		}
		o.Track(stuck, "u", marks)
		time.Sleep(time.Minute)
		if age := o.told(t); age != time.Minute {
			t.Errorf("a minute after a look began the age is %v", age)
		}
		o.Forget(stuck)
		if age := o.told(t); age < 0 || age > 2*time.Second {
			t.Errorf("a resource that is gone still counts: the age is %v", age)
		}
	})
}

// An operator that waits for its turn has no age: an alert misses the series where none leads.
func TestWhoDoesNotLeadTellsNoAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(Options{})
		o.Track(shop, "u", marks)
		time.Sleep(time.Minute)
		if age := o.told(t); age >= 0 {
			t.Errorf("before it leads the age is %v", age)
		}
		c := newCluster()
		c.set(shop, "a", func(context.Context) (*config.Status, error) { return fine(0), nil })
		o.options.List, o.options.Endpoint, o.client.Transport = c.list, podName, c
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- o.Start(ctx) }()
		synctest.Wait()
		if age := o.told(t); age < 0 || age > time.Second {
			t.Errorf("once it leads the age is %v", age)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if age := o.told(t); age >= 0 {
			t.Errorf("when it leads no more the age is %v", age)
		}
	})
}

func podName(pod *corev1.Pod) string { return pod.Name }
