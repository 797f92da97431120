// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// kstatus is what tools that know nothing of the kind make of a resource, by the
// rules of kstatus: the generation first, then what is abnormal, then Ready.
func kstatus(cache *v1alpha1.WriteBehindCache) string {
	is := func(kind string, status metav1.ConditionStatus) bool {
		return meta.IsStatusConditionPresentAndEqual(cache.Status.Conditions, kind, status)
	}
	switch {
	case !cache.DeletionTimestamp.IsZero():
		return "Terminating"
	case cache.Status.ObservedGeneration != cache.Generation, is(v1alpha1.ConditionReconciling, metav1.ConditionTrue):
		return "InProgress"
	case is(v1alpha1.ConditionStalled, metav1.ConditionTrue):
		return "Failed"
	case !is(v1alpha1.ConditionReady, metav1.ConditionTrue):
		return "InProgress"
	}
	return "Current"
}

func haveStatus(want string) OmegaMatcher { return WithTransform(kstatus, Equal(want)) }

// offences is what no status may ever be, whatever happens.
func offences(cache *v1alpha1.WriteBehindCache) []string {
	var found []string
	offence := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	find := func(kind string) *metav1.Condition { return meta.FindStatusCondition(cache.Status.Conditions, kind) }
	if len(cache.Status.Conditions) == 0 {
		return nil // the operator has not seen it yet
	}
	for i := range cache.Status.Conditions {
		c := &cache.Status.Conditions[i]
		switch {
		case c.ObservedGeneration < 1 || c.ObservedGeneration > cache.Generation:
			offence("%s is of generation %d, and the resource of %d", c.Type, c.ObservedGeneration, cache.Generation)
		case c.Message == "":
			offence("%s has no message", c.Type)
		case (c.Reason == v1alpha1.ReasonAsExpected) != (c.Status == metav1.ConditionTrue) && !abnormal(c.Type):
			offence("%s is %s for %s", c.Type, c.Status, c.Reason)
		case abnormal(c.Type) && c.Status != metav1.ConditionTrue:
			offence("%s is %s: it has to be absent when all is well", c.Type, c.Status)
		case abnormal(c.Type) && c.ObservedGeneration != cache.Generation && cache.Status.ObservedGeneration == cache.Generation:
			offence("%s of generation %d is left of an earlier one", c.Type, c.ObservedGeneration)
		}
	}
	for _, kind := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionDurable,
		v1alpha1.ConditionBacklogHealthy, v1alpha1.ConditionDeadLetterQueueEmpty, v1alpha1.ConditionSettingsApplied,
	} {
		if find(kind) == nil {
			offence("%s is missing", kind)
		}
	}
	if find(v1alpha1.ConditionReconciling) != nil && find(v1alpha1.ConditionStalled) != nil {
		offence("it is both on its way and stalled")
	}
	if (find(v1alpha1.ConditionDraining) != nil) && cache.DeletionTimestamp.IsZero() {
		offence("it drains and is not being deleted")
	}
	return found
}

// abnormal reports whether True is no good news.
func abnormal(kind string) bool {
	return kind == v1alpha1.ConditionReconciling || kind == v1alpha1.ConditionStalled || kind == v1alpha1.ConditionDraining
}

// watchStatuses holds every status that is written during the suite against the
// rules.
func watchStatuses(config *rest.Config, scheme *runtime.Scheme) {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := watcher.Watch(ctx, &v1alpha1.WriteBehindCacheList{})
	Expect(err).NotTo(HaveOccurred())
	var (
		mu    sync.Mutex
		found []string
		count int
	)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for event := range stream.ResultChan() {
			cache, ok := event.Object.(*v1alpha1.WriteBehindCache)
			if !ok {
				continue
			}
			mu.Lock()
			count++
			for _, text := range offences(cache) {
				found = append(found, fmt.Sprintf("%s/%s at generation %d: %s", cache.Namespace, cache.Name, cache.Generation, text))
			}
			mu.Unlock()
		}
	}()
	DeferCleanup(func() {
		stream.Stop()
		cancel()
		<-ended
		if ranMuch() {
			Expect(count).To(BeNumerically(">", 0), "no status was seen")
		}
		Expect(found).To(BeEmpty())
	})
}

var _ = Describe("kstatus", func() {
	It("tells what is on its way, current, failed and going", func(ctx SpecContext) {
		w := newWorld(ctx, address("redis.kstatus:6379"))
		Eventually(w.poll(ctx)).Should(HaveField("Status.ObservedGeneration", Equal(w.cache.Generation)))
		Consistently(w.poll(ctx)).Should(haveStatus("InProgress"))
		w.rollOut(ctx)
		f := w.startFlusher(ctx, "a")
		Eventually(w.poll(ctx)).Should(haveStatus("Current"))
		f.say(func(s *config.Status) { s.Database = failing(v1alpha1.ReasonConnectionFailed, "connection refused") })
		Eventually(w.poll(ctx)).Should(haveStatus("InProgress"))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(haveStatus("Current"))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true })
		Eventually(w.poll(ctx)).Should(SatisfyAll(haveStatus("InProgress"), HaveField("Status.ObservedGeneration", Equal(int64(2)))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = false })
		Eventually(w.poll(ctx)).Should(haveStatus("Current"))

		By("asking for what has to wait for a person")
		f.say(func(s *config.Status) { s.Queues[0].Depth = 3 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		w.change(ctx, address("another.kstatus:6379"))
		Eventually(w.poll(ctx)).Should(SatisfyAll(haveStatus("Failed"), haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueNotEmpty)))
		w.change(ctx, address("redis.kstatus:6379"))
		Eventually(w.poll(ctx)).Should(haveStatus("Current"))
		Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
		Expect(w.now(ctx)).To(haveStatus("Terminating"))
	})
})
