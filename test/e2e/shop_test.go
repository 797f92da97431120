// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	"github.com/onsi/gomega/types"
	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/kube"
	"github.com/writebehind/operator/test/load"
)

// namespacePrefix begins the namespaces of the specs.
const namespacePrefix = "e2e-"

// databaseSecret is the Secret that the sample names.
const databaseSecret = "shop-db"

// shop is the sample's WriteBehindCache in a namespace of its own.
type shop struct {
	namespace string
	key       client.ObjectKey
	database  *database
	load      *load.Load
	// redis is another client of the Redis that load writes to.
	redis *redis.Client
}

// newShop makes the namespace, in which only pods of the restricted profile are
// let in, and a database without a table.
func newShop(ctx context.Context, name string) *shop {
	GinkgoHelper()
	s := &shop{namespace: namespacePrefix + name}
	Expect(cluster.EnsureNamespace(ctx, s.namespace)).To(Succeed())
	s.database = newDatabase(ctx, name)
	DeferCleanup(func(ctx SpecContext) {
		if s.load != nil {
			s.load.Close()
			_ = s.redis.Close()
		}
		_, drained := cluster.Kubectl(ctx, "delete", "wbc", "--all", "-n", s.namespace, "--timeout", drainTimeout.String())
		if drained != nil {
			// The namespace must not stay for the next run.
			_, _ = cluster.Kubectl(ctx, "annotate", "wbc", "--all", "-n", s.namespace, v1alpha1.AnnotationForceDelete+"=true", "--overwrite")
		}
		_, gone := cluster.Kubectl(ctx, "delete", "namespace", s.namespace, "--timeout", drainTimeout.String())
		Expect(errors.Join(drained, gone)).To(Succeed())
	}, NodeTimeout(3*drainTimeout))
	return s
}

// apply applies the sample, as it is but for the image of Redis, which the local
// cluster cannot pull.
func (s *shop) apply(ctx context.Context) {
	GinkgoHelper()
	s.applySample(ctx, cluster.Path())
}

// applySample applies the sample of the project in a folder.
func (s *shop) applySample(ctx context.Context, project string) {
	GinkgoHelper()
	s.applyObject(ctx, sample(project))
}

// sample is the sample of the project in a folder, with an image of Redis that
// the local cluster has.
func sample(project string) *unstructured.Unstructured {
	GinkgoHelper()
	manifest, err := os.ReadFile(filepath.Join(project, "config", "samples", "cache_v1alpha1_writebehindcache.yaml"))
	Expect(err).NotTo(HaveOccurred())
	return resourceOf(manifest)
}

// resourceOf is the WriteBehindCache of a sample's text, with that image of Redis, and without the
// TLS that the cluster's database does not speak.
func resourceOf(manifest []byte) *unstructured.Unstructured {
	GinkgoHelper()
	objects, err := kube.Objects(manifest)
	Expect(err).NotTo(HaveOccurred())
	index := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "WriteBehindCache" })
	Expect(index).To(BeNumerically(">=", 0), "config/samples holds no WriteBehindCache")
	Expect(unstructured.SetNestedField(objects[index].Object, kube.RedisImage, "spec", "redis", "managed", "image")).To(Succeed())
	unstructured.RemoveNestedField(objects[index].Object, "spec", "database", "postgres", "tls")
	return objects[index]
}

// applyObject makes the object the shop's resource.
func (s *shop) applyObject(ctx context.Context, object *unstructured.Unstructured) {
	GinkgoHelper()
	object.SetNamespace(s.namespace)
	manifest, err := yaml.Marshal(object.Object)
	Expect(err).NotTo(HaveOccurred())
	_, err = cluster.Apply(ctx, manifest)
	Expect(err).NotTo(HaveOccurred())
	s.key = client.ObjectKeyFromObject(object)
}

func (s *shop) applySecret(ctx context.Context) {
	GinkgoHelper()
	Expect(cluster.ApplySecret(ctx, s.namespace, databaseSecret, map[string]string{"uri": s.database.url()})).To(Succeed())
}

// hurry makes the kubelet look at the Secrets of the Pods, which it otherwise does
// about once a minute. The spec of a rotation has the patience to wait for that.
func (s *shop) hurry(ctx context.Context) {
	GinkgoHelper()
	_, err := cluster.Kubectl(ctx, "annotate", "pods", "--all", "-n", s.namespace, "look=now")
	Expect(err).NotTo(HaveOccurred())
}

// cache reads the resource; it is made to be polled.
func (s *shop) cache(ctx context.Context) func() (*v1alpha1.WriteBehindCache, error) {
	return func() (*v1alpha1.WriteBehindCache, error) { return cluster.Cache(ctx, s.key) }
}

// now reads the resource once.
func (s *shop) now(ctx context.Context) *v1alpha1.WriteBehindCache {
	GinkgoHelper()
	cache, err := cluster.Cache(ctx, s.key)
	Expect(err).NotTo(HaveOccurred())
	return cache
}

// patch changes the spec as a person would.
func (s *shop) patch(ctx context.Context, spec string) {
	GinkgoHelper()
	_, err := cluster.Kubectl(ctx, "patch", "wbc", s.key.Name, "-n", s.namespace, "--type", "merge", "-p", `{"spec":`+spec+`}`)
	Expect(err).NotTo(HaveOccurred())
}

// tune changes live settings and waits until all flushers run them.
func (s *shop) tune(ctx context.Context, spec string) {
	GinkgoHelper()
	s.patch(ctx, spec)
	Eventually(ctx, s.cache(ctx)).WithTimeout(settingsTimeout).Should(HaveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue))
}

// connect makes the connections of the application to a managed Redis. They stay
// until the shop goes.
func (s *shop) connect(ctx context.Context, options load.Options) *load.Load {
	GinkgoHelper()
	address, err := cluster.Redis(ctx, s.now(ctx))
	Expect(err).NotTo(HaveOccurred())
	return s.connectTo(ctx, address, options)
}

// connectTo makes them to the Redis at the address.
func (s *shop) connectTo(ctx context.Context, address *redis.Options, options load.Options) *load.Load {
	GinkgoHelper()
	secrets = append(secrets, address.Password)
	mapping := s.now(ctx).Spec.Mappings[0]
	options.Redis, options.Queue, options.KeyPrefix = address, mapping.Name, mapping.KeyPrefix
	options.Seed = uint64(GinkgoRandomSeed())
	s.redis = redis.NewClient(address)
	return load.New(options)
}

// expectEqual compares every row with the last acknowledged write of its key.
func (s *shop) expectEqual(ctx context.Context) {
	GinkgoHelper()
	_, differences, err := load.Compare(ctx, s.database.db, s.load.Last())
	Expect(err).NotTo(HaveOccurred())
	Expect(differences).To(BeEmpty(), "rows that are not what was last acknowledged")
}

// depth reads the queue's depth from Redis; it is made to be polled.
func (s *shop) depth(ctx context.Context) func() (int64, error) {
	return func() (int64, error) {
		stats, err := s.load.Stats(ctx)
		return stats.Depth, err
	}
}

// name reads the name of a product's row, "" when there is none; it is made to
// be polled.
func (s *shop) name(ctx context.Context, id int64) func() (string, error) {
	return func() (name string, err error) {
		err = s.database.db.QueryRow(ctx, "SELECT coalesce((SELECT name FROM products WHERE id = $1), '')", id).Scan(&name)
		return name, err
	}
}

// flusherPods names the flusher pods by UID, with their restarts.
func (s *shop) flusherPods(ctx context.Context) []string {
	GinkgoHelper()
	pods, err := cluster.Pods(ctx, s.namespace, s.now(ctx).Status.Selector)
	Expect(err).NotTo(HaveOccurred())
	names := make([]string, 0, len(pods))
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			names = append(names, fmt.Sprintf("%s %s %d", pod.UID, container.Name, container.RestartCount))
		}
	}
	slices.Sort(names)
	return names
}

// readyFlusher waits for a flusher pod that is ready and not on its way out.
func (s *shop) readyFlusher(ctx context.Context) *corev1.Pod {
	GinkgoHelper()
	var found *corev1.Pod
	Eventually(ctx, func() (bool, error) {
		pods, err := cluster.Pods(ctx, s.namespace, s.now(ctx).Status.Selector)
		for i := range pods {
			for _, c := range pods[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pods[i].DeletionTimestamp.IsZero() {
					found = &pods[i]
					return true, nil
				}
			}
		}
		return false, err
	}).WithTimeout(startTimeout).Should(BeTrue(), "a flusher pod is ready")
	return found
}

// HaveCondition matches a WriteBehindCache whose condition has the status, for
// its present spec, and the reason and parts of the message if they are given.
func HaveCondition(kind string, status metav1.ConditionStatus, reasonAndMessage ...string) types.GomegaMatcher {
	fields := gstruct.Fields{"Status": Equal(status)}
	if len(reasonAndMessage) > 0 {
		fields["Reason"] = Equal(reasonAndMessage[0])
		var parts []types.GomegaMatcher
		for _, part := range reasonAndMessage[1:] {
			parts = append(parts, ContainSubstring(part))
		}
		fields["Message"] = SatisfyAll(parts...)
	}
	matcher := gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, fields))
	return WithTransform(func(cache *v1alpha1.WriteBehindCache) (*metav1.Condition, error) {
		if cache == nil {
			return nil, errors.New("there is no WriteBehindCache")
		}
		for i := range cache.Status.Conditions {
			c := &cache.Status.Conditions[i]
			if c.Type == kind && c.ObservedGeneration == cache.Generation {
				return c, nil
			}
		}
		return &metav1.Condition{Type: kind, Message: "not there for this generation"}, nil
	}, matcher)
}
