// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// world is one resource in a namespace of its own, with what the API server of
// the tests lacks: controllers of Deployments and StatefulSets, and flushers.
type world struct {
	cache *v1alpha1.WriteBehindCache
}

// newWorld makes the resource and waits for its objects.
func newWorld(ctx context.Context, edits ...change) *world {
	GinkgoHelper()
	cache := minimal(newNamespace(ctx))
	for _, edit := range edits {
		edit(cache)
	}
	Expect(k8s.Create(ctx, cache)).To(Succeed())
	w := &world{cache: cache}
	DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
	Eventually(func() error { return k8s.Get(ctx, w.key("-flusher"), &appsv1.Deployment{}) }).Should(Succeed())
	return w
}

// discard takes the resource away, so that it is no longer looked at.
func (w *world) discard(ctx context.Context) {
	GinkgoHelper()
	Expect(k8s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(w.cache.Namespace), client.GracePeriodSeconds(0))).To(Succeed())
	Expect(client.IgnoreNotFound(k8s.Delete(ctx, w.cache.DeepCopy()))).To(Succeed())
	Eventually(func() error {
		cache := &v1alpha1.WriteBehindCache{}
		if err := k8s.Get(ctx, w.key(""), cache); err != nil {
			return client.IgnoreNotFound(err)
		}
		before := cache.DeepCopy()
		metav1.SetMetaDataAnnotation(&cache.ObjectMeta, v1alpha1.AnnotationForceDelete, "true")
		if err := k8s.Patch(ctx, cache, client.MergeFrom(before)); err != nil {
			return client.IgnoreNotFound(err)
		}
		return fmt.Errorf("%s is still there", cache.Name)
	}).Should(Succeed())
}

func (w *world) key(suffix string) client.ObjectKey {
	return client.ObjectKey{Namespace: w.cache.Namespace, Name: w.cache.Name + suffix}
}

// now reads the resource.
func (w *world) now(ctx context.Context) *v1alpha1.WriteBehindCache {
	GinkgoHelper()
	cache := &v1alpha1.WriteBehindCache{}
	Expect(k8s.Get(ctx, w.key(""), cache)).To(Succeed())
	return cache
}

// poll reads the resource; it is made for Eventually.
func (w *world) poll(ctx context.Context) func() (*v1alpha1.WriteBehindCache, error) {
	return func() (*v1alpha1.WriteBehindCache, error) {
		cache := &v1alpha1.WriteBehindCache{}
		return cache, k8s.Get(ctx, w.key(""), cache)
	}
}

// change changes the resource as a person would.
func (w *world) change(ctx context.Context, edit change) {
	GinkgoHelper()
	cache := w.now(ctx)
	before := cache.DeepCopy()
	edit(cache)
	Expect(k8s.Patch(ctx, cache, client.MergeFrom(before))).To(Succeed())
}

func (w *world) deployment(ctx context.Context) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Expect(k8s.Get(ctx, w.key("-flusher"), d)).To(Succeed())
	return d
}

// settings reads the flushers' config file as they would.
func (w *world) settings(ctx context.Context) (*config.Config, error) {
	configMap := &corev1.ConfigMap{}
	if err := k8s.Get(ctx, w.key("-flusher"), configMap); err != nil {
		return nil, err
	}
	return config.Parse([]byte(configMap.Data[resources.ConfigFile]))
}

// planned waits until the operator has brought about what the present spec asks for,
// or has said why not: the settings are written before the Deployment.
func (w *world) planned(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() (bool, error) {
		cache, err := w.poll(ctx)()
		return err != nil || cache.Status.ObservedGeneration == cache.Generation, client.IgnoreNotFound(err)
	}).Should(BeTrue())
}

// rollOut plays the controllers: every replica is of the present template and
// ready.
func (w *world) rollOut(ctx context.Context) {
	GinkgoHelper()
	w.planned(ctx)
	Eventually(func() error { // the operator may write it at the same time
		d := w.deployment(ctx)
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
		return k8s.Status().Update(ctx, d)
	}).Should(Succeed())
	if w.cache.Spec.Redis.Managed == nil {
		return
	}
	Eventually(func() error {
		set := &appsv1.StatefulSet{}
		if err := k8s.Get(ctx, w.key("-redis"), set); err != nil {
			return err
		}
		set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1}
		return k8s.Status().Update(ctx, set)
	}).Should(Succeed())
}

// flusher is a Pod that serves /status as a flusher that runs the settings in
// the ConfigMap and finds everything right, but for what the test says.
type flusher struct {
	pod *corev1.Pod

	mu     sync.Mutex
	edit   func(*config.Status)
	frozen *config.Config
	silent bool
	// read are the settings of the file that it has read last.
	file string
	read *config.Config
}

// startFlusher makes the Pod from the Deployment's template. says is what it
// answers from the first time on: the operator may ask before a later say, and
// keeps numbers and verdicts that it has seen.
func (w *world) startFlusher(ctx context.Context, name string, says ...func(*config.Status)) *flusher {
	GinkgoHelper()
	f := &flusher{}
	for _, edit := range says {
		f.say(edit)
	}
	return w.serve(ctx, name, f)
}

// startSilentFlusher makes the Pod of one that has not answered yet.
func (w *world) startSilentFlusher(ctx context.Context, name string) *flusher {
	GinkgoHelper()
	return w.serve(ctx, name, &flusher{silent: true})
}

func (w *world) serve(ctx context.Context, name string, f *flusher) *flusher {
	GinkgoHelper()
	server := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		f.serve(request.Context(), w, response)
	}))
	DeferCleanup(server.Close)
	f.pod = w.startFlusherAt(ctx, name, server.Listener.Addr().String())
	return f
}

// startFlusherAt makes the Pod of a flusher that serves at an address.
func (w *world) startFlusherAt(ctx context.Context, name, address string) *corev1.Pod {
	GinkgoHelper()
	w.planned(ctx)
	template := w.deployment(ctx).Spec.Template
	f := &flusher{}
	f.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.cache.Namespace, Name: w.cache.Name + "-flusher-" + name,
			Labels: template.Labels, Annotations: template.Annotations,
		},
		Spec: template.Spec,
	}
	metav1.SetMetaDataAnnotation(&f.pod.ObjectMeta, endpointAnnotation, address)
	madeBy(f.pod, w.deployment(ctx).Name)
	Expect(k8s.Create(ctx, f.pod)).To(Succeed())
	f.setStatus(ctx, corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}})
	return f.pod
}

// madeBy makes a Pod one of a Deployment.
func madeBy(pod *corev1.Pod, deployment string) {
	const hash = "6c8f7d9b5"
	pod.Labels = maps.Clone(pod.Labels)
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: deployment + "-" + hash, UID: "of-the-replica-set", Controller: new(true),
	}}
}

func (f *flusher) setStatus(ctx context.Context, status corev1.PodStatus) {
	GinkgoHelper()
	Eventually(func() error {
		if err := k8s.Get(ctx, client.ObjectKeyFromObject(f.pod), f.pod); err != nil {
			return err
		}
		f.pod.Status = status
		return k8s.Status().Update(ctx, f.pod)
	}).Should(Succeed())
}

func (f *flusher) end(ctx context.Context) {
	GinkgoHelper()
	Expect(k8s.Delete(ctx, f.pod, client.GracePeriodSeconds(0))).To(Succeed())
}

// say changes what the flusher answers from now on.
func (f *flusher) say(edit func(*config.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit = edit
}

// silence makes it answer nothing of use, or end that.
func (f *flusher) silence(silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = silent
}

// freeze keeps it at settings, as one whose file was not synced yet.
func (f *flusher) freeze(settings *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = settings
}

func (f *flusher) serve(ctx context.Context, w *world, response http.ResponseWriter) {
	f.mu.Lock()
	edit, settings, silent := f.edit, f.frozen, f.silent
	f.mu.Unlock()
	if silent {
		http.Error(response, "not now", http.StatusInternalServerError)
		return
	}
	if settings == nil {
		var err error
		if settings, err = f.look(ctx, w); err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	document := answerOf(settings)
	if edit != nil {
		edit(document)
	}
	_ = json.NewEncoder(response).Encode(document)
}

// look reads the file, if it is another than before.
func (f *flusher) look(ctx context.Context, w *world) (*config.Config, error) {
	configMap := &corev1.ConfigMap{}
	if err := mounted.Get(ctx, w.key("-flusher"), configMap); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := configMap.Data[resources.ConfigFile]; f.read == nil || file != f.file {
		read, err := config.Parse([]byte(file))
		if err != nil {
			return nil, err
		}
		f.file, f.read = file, read
	}
	return f.read, nil
}

func answerOf(settings *config.Config) *config.Status {
	document := &config.Status{
		Instance: "test", Owner: settings.Owner, Revision: settings.Revision, RunningRevision: settings.Revision,
		Suspended: settings.Suspend, Draining: settings.Draining,
		ObservedTime: time.Now(),
		Redis:        config.Check{OK: true}, Database: config.Check{OK: true},
		Durability: config.Durability{
			Persistence: config.Check{OK: true}, Eviction: config.Check{OK: true}, Ledger: config.Check{OK: true},
		},
	}
	for _, m := range settings.Mappings {
		q := config.QueueStatus{Name: m.Name, Journal: "journal-of-" + m.Name, Retired: m.Retired, State: "open", Ready: config.Check{OK: true}, Durable: config.Check{OK: true}}
		if m.Retired || settings.Draining {
			q.State = "paused"
		}
		document.Queues = append(document.Queues, q)
	}
	return document
}

// haveCondition matches a resource by one condition. Texts are what the message
// has to hold.
func haveCondition(kind string, status metav1.ConditionStatus, reason string, texts ...string) gomegatypes.GomegaMatcher {
	return WithTransform(func(cache *v1alpha1.WriteBehindCache) string {
		c := meta.FindStatusCondition(cache.Status.Conditions, kind)
		switch {
		case c == nil:
			return "absent"
		case c.Status != status || c.Reason != reason || c.ObservedGeneration != cache.Generation:
			return fmt.Sprintf("%s %s of generation %d (now %d): %s", c.Status, c.Reason, c.ObservedGeneration, cache.Generation, c.Message)
		}
		for _, text := range texts {
			if !strings.Contains(c.Message, text) {
				return fmt.Sprintf("message %q, which lacks %q", c.Message, text)
			}
		}
		return "as wanted"
	}, Equal("as wanted"))
}

func haveNoCondition(kind string) gomegatypes.GomegaMatcher {
	return WithTransform(func(cache *v1alpha1.WriteBehindCache) *metav1.Condition {
		return meta.FindStatusCondition(cache.Status.Conditions, kind)
	}, BeNil())
}

// beReady matches a resource at which nothing is left to do.
func beReady() gomegatypes.GomegaMatcher {
	return SatisfyAll(
		haveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionRedisReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionDurable, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionBacklogHealthy, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveCondition(v1alpha1.ConditionDeadLetterQueueEmpty, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		haveNoCondition(v1alpha1.ConditionReconciling),
		haveNoCondition(v1alpha1.ConditionStalled),
		haveNoCondition(v1alpha1.ConditionDraining),
		HaveField("Status.ObservedGeneration", BeNumerically(">", 0)),
	)
}

// readyWorld is one with a flusher, at which nothing is left to do.
func readyWorld(ctx context.Context, edits ...change) (*world, *flusher) {
	GinkgoHelper()
	w := newWorld(ctx, edits...)
	w.rollOut(ctx)
	f := w.startFlusher(ctx, "a")
	Eventually(w.poll(ctx)).Should(beReady())
	return w, f
}

// twoFlushers is a ready world with a second flusher.
func twoFlushers(ctx SpecContext) (w *world, a, b *flusher) {
	GinkgoHelper()
	w, a = readyWorld(ctx)
	w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas = new(int32(2)) })
	Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionFalse, v1alpha1.ReasonRolling, "1 of 2"))
	w.rollOut(ctx)
	b = w.startFlusher(ctx, "b")
	Eventually(w.poll(ctx)).Should(beReady())
	return w, a, b
}

// objects are all that the operator made for the resource, by kind and name.
func (w *world) objects(ctx context.Context) map[string]client.Object {
	GinkgoHelper()
	found := map[string]client.Object{}
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{},
		&corev1.SecretList{}, &corev1.PersistentVolumeClaimList{}, &corev1.PodList{},
		&networkingv1.NetworkPolicyList{}, &policyv1.PodDisruptionBudgetList{},
	} {
		Expect(k8s.List(ctx, list, client.InNamespace(w.cache.Namespace),
			client.MatchingLabels{v1alpha1.LabelOwnerUID: string(w.cache.UID)})).To(Succeed())
		Expect(meta.EachListItem(list, func(item runtime.Object) error {
			object := item.(client.Object)
			found[fmt.Sprintf("%T %s", object, object.GetName())] = object
			return nil
		})).To(Succeed())
	}
	return found
}

// versions are the resource versions of all objects and of the resource itself.
func (w *world) versions(ctx context.Context) map[string]string {
	GinkgoHelper()
	versions := map[string]string{"resource": w.now(ctx).ResourceVersion}
	for name, object := range w.objects(ctx) {
		versions[name] = object.GetResourceVersion()
	}
	return versions
}
