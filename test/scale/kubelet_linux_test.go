// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/programs"
)

// play plays the controllers of Deployments and StatefulSets and the kubelet, and
// follows what the operator writes, until the test ends.
func (w *world) play() {
	w.t.Helper()
	own := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{resources.LabelManagedBy: resources.ManagedBy})}
	informers, err := cache.New(w.config, cache.Options{Scheme: w.scheme, ByObject: map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: own, &appsv1.StatefulSet{}: own, &corev1.ConfigMap{}: own,
	}})
	programs.Must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- informers.Start(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	// A kubelet works beside others; a cluster's controllers do a few things at once.
	slots := make(chan struct{}, 8)
	apart := func(act func() error) {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := act(); err != nil && ctx.Err() == nil {
				w.t.Errorf("play the cluster: %v", err)
			}
		}()
	}
	follow(ctx, w, informers, &v1alpha1.WriteBehindCache{}, func(c *v1alpha1.WriteBehindCache) {
		if r := w.byKey[client.ObjectKeyFromObject(c)]; r != nil {
			r.published(c)
		}
	})
	follow(ctx, w, informers, &corev1.ConfigMap{}, func(c *corev1.ConfigMap) {
		if r := w.ownerOf(c); r != nil && c.Name == r.key.Name+"-flusher" {
			r.mount(w, c)
		}
	})
	follow(ctx, w, informers, &appsv1.Deployment{}, func(d *appsv1.Deployment) {
		apart(func() error { return w.rollOut(ctx, w.ownerOf(d), d.DeepCopy()) })
	})
	follow(ctx, w, informers, &appsv1.StatefulSet{}, func(s *appsv1.StatefulSet) {
		apart(func() error { return w.rollOutRedis(ctx, w.ownerOf(s), s.DeepCopy()) })
	})
	if !informers.WaitForCacheSync(ctx) {
		w.t.Fatal("the watches do not begin")
	}
}

// follow calls do with each state of each object of one kind.
func follow[T client.Object](ctx context.Context, w *world, informers cache.Informers, kind T, do func(T)) {
	w.t.Helper()
	informer, err := informers.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	programs.Must(w.t, err)
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { do(object.(T)) },
		UpdateFunc: func(_, object any) { do(object.(T)) },
	})
	programs.Must(w.t, err)
}

func (w *world) ownerOf(object client.Object) *resource {
	return w.byKey[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetLabels()[resources.LabelInstance]}]
}

// mount gives a flusher the settings in its ConfigMap.
func (r *resource) mount(w *world, c *corev1.ConfigMap) {
	settings, err := config.Parse([]byte(c.Data[resources.ConfigFile]))
	if err != nil {
		w.t.Errorf("%s: %v", r.key, err)
		return
	}
	if r.played != nil {
		r.played.run(settings)
		return
	}
	select {
	case r.settings <- settings:
	default: // the first are in force, and nothing changes them
	}
}

// rollOut makes the Pods that a Deployment asks for and says so.
func (w *world) rollOut(ctx context.Context, r *resource, d *appsv1.Deployment) error {
	var err error
	r.flusherPod.Do(func() { err = w.runPod(ctx, d.Name, d.Name+"-a", d.Namespace, r.ip, &d.Spec.Template) })
	if err != nil || d.Status.ObservedGeneration == d.Generation {
		return err
	}
	before := d.DeepCopy()
	d.Status = rolledOut(d)
	return w.client.Status().Patch(ctx, d, client.MergeFrom(before))
}

func (w *world) rollOutRedis(ctx context.Context, r *resource, s *appsv1.StatefulSet) error {
	var err error
	r.redisPod.Do(func() {
		if err = w.claim(ctx, s); err == nil {
			err = w.runPod(ctx, s.Name, s.Name+"-0", s.Namespace, "10.0.0.2", &s.Spec.Template)
		}
	})
	if err != nil || s.Status.ObservedGeneration == s.Generation {
		return err
	}
	before := s.DeepCopy()
	s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1}
	return w.client.Status().Patch(ctx, s, client.MergeFrom(before))
}

// claim makes the volume of a StatefulSet's only Pod, and mounts it in the template.
func (w *world) claim(ctx context.Context, s *appsv1.StatefulSet) error {
	for i := range s.Spec.VolumeClaimTemplates {
		template := &s.Spec.VolumeClaimTemplates[i]
		own := maps.Clone(template.Labels)
		if own == nil {
			own = map[string]string{}
		}
		maps.Copy(own, s.Spec.Selector.MatchLabels)
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: template.Name + "-" + s.Name + "-0", Labels: own},
			Spec:       template.Spec,
		}
		if err := w.client.Create(ctx, claim); err != nil {
			return fmt.Errorf("make claim %s: %w", claim.Name, err)
		}
		s.Spec.Template.Spec.Volumes = append(s.Spec.Template.Spec.Volumes, corev1.Volume{
			Name: template.Name,
			VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
			},
		})
	}
	return nil
}

// runPod makes a Pod that runs, as one of a Deployment.
func (w *world) runPod(ctx context.Context, owner, name, namespace, ip string, template *corev1.PodTemplateSpec) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: template.Labels, Annotations: template.Annotations},
		Spec:       template.Spec,
	}
	const hash = "6c8f7d9b5"
	pod.Labels = maps.Clone(pod.Labels)
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner + "-" + hash, UID: "of-the-replica-set", Controller: new(true),
	}}
	if err := w.client.Create(ctx, pod); err != nil {
		return fmt.Errorf("make Pod %s: %w", name, err)
	}
	before := pod.DeepCopy()
	pod.Status = podStatus(ip, pod.Spec.Containers[0].Name)
	return w.client.Status().Patch(ctx, pod, client.MergeFrom(before))
}
