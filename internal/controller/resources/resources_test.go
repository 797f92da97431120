// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// cache is a resource as the API server completes it.
func cache(edit func(*v1alpha1.WriteBehindCache)) *v1alpha1.WriteBehindCache {
	c := &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop-eu", Name: "shop", UID: "6f1c9a52-0000-4000-8000-000000000000", Generation: 3,
		},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Redis: v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{
				Image: "redis:7.2", MaxMemory: resource.MustParse("256Mi"), AppendFsync: v1alpha1.AppendFsyncEverySecond,
				Storage: v1alpha1.Storage{Size: resource.MustParse("1Gi")},
			}},
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{
				URLSecretRef:   v1alpha1.URLSecretRef{Name: "shop-db", Key: "uri"},
				MaxConnections: 4, StatementTimeoutSeconds: 30, LedgerSchema: "writebehind",
			}},
			Mappings: []v1alpha1.Mapping{{
				Name: "products", KeyPrefix: "product:", Table: "public.products", KeyColumn: "id",
				Mode: v1alpha1.ModeLatest, Encoding: v1alpha1.EncodingJSON, OnDelete: v1alpha1.OnDeleteDelete,
				Partitions: 16, TimeToLiveSeconds: new(int32(3600)),
				Columns: []v1alpha1.Column{{Field: "title", Column: "name"}},
			}},
			Flush: v1alpha1.Flush{
				IntervalMilliseconds: 5000, BatchSize: 100, Concurrency: 4, MaxInFlightMebibytes: 64, MaxRetries: new(int32(3)),
				CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 5, OpenMilliseconds: 10000},
			},
			Backpressure: v1alpha1.Backpressure{
				MaxQueueDepth: 100000, WarningQueueDepth: 1000, CriticalQueueDepth: 10000, WhenFull: v1alpha1.WhenFullReject,
			},
			Flusher:        v1alpha1.Flusher{Replicas: new(int32(1))},
			DeletionPolicy: v1alpha1.DeletionPolicyDrain,
		},
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func externalRedis(c *v1alpha1.WriteBehindCache) {
	c.Spec.Redis = v1alpha1.Redis{External: &v1alpha1.ExternalRedis{
		Addresses: []string{"redis.shop:6379"}, Mode: v1alpha1.RedisModeStandalone,
		CredentialsSecretRef: &v1alpha1.CredentialsSecretRef{Name: "redis-user", UsernameKey: "user", PasswordKey: "pass"},
		TLS: &v1alpha1.RedisTLS{
			CASecretRef:         &v1alpha1.CASecretRef{Name: "redis-ca", Key: "ca.pem"},
			ClientCertSecretRef: &v1alpha1.SecretRef{Name: "redis-client"},
		},
	}}
}

func securedRedis(c *v1alpha1.WriteBehindCache) {
	c.Spec.Redis.Managed.TLS = &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: "shop-redis-tls"}}
}

func sentinelRedis(c *v1alpha1.WriteBehindCache) {
	externalRedis(c)
	c.Spec.Redis.External.Addresses = []string{"s0.shop:26379", "s1.shop:26379", "s2.shop:26379"}
	c.Spec.Redis.External.Mode, c.Spec.Redis.External.MasterName = v1alpha1.RedisModeSentinel, "mymaster"
	c.Spec.Redis.External.SentinelCredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "sentinel-user", UsernameKey: "name", PasswordKey: "word"}
}

func securedDatabase(c *v1alpha1.WriteBehindCache) {
	c.Spec.Database.Postgres.TLS = &v1alpha1.PostgresTLS{
		CASecretRef:         &v1alpha1.CASecretRef{Name: "shop-db-ca", Key: "ca.pem"},
		ClientCertSecretRef: &v1alpha1.SecretRef{Name: "shop-db-client"},
	}
}

// replicated has a mapping of each encoding.
func replicated(c *v1alpha1.WriteBehindCache) {
	c.Spec.Capture = v1alpha1.CaptureReplication
	c.Spec.Redis.Managed.Replication = &v1alpha1.ManagedReplication{Backlog: resource.MustParse("128Mi")}
	like := c.Spec.Mappings[0]
	like.Columns = nil
	mapping := func(name, key string, encoding v1alpha1.Encoding) v1alpha1.Mapping {
		m := like
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Encoding = name, name+":", "public."+name, key, encoding
		return m
	}
	sessions, views := mapping("sessions", "id", v1alpha1.EncodingHash), mapping("views", "page", v1alpha1.EncodingNumber)
	scores, events := mapping("scores", "board", v1alpha1.EncodingSortedSet), mapping("events", "source", v1alpha1.EncodingStream)
	views.ValueColumn, scores.MemberColumn, scores.ScoreColumn = "hits", "player", "score"
	events.Mode, events.IDColumn = v1alpha1.ModeAppend, "id"
	c.Spec.Mappings = append(c.Spec.Mappings, sessions, views, scores, events)
}

// must is the object, or the end of the test.
func must[T any](object T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
}

func deployment(t *testing.T, c *v1alpha1.WriteBehindCache) *appsv1ac.DeploymentApplyConfiguration {
	t.Helper()
	return must(resources.FlusherDeployment(c, nil, false, "restart-hash", "operator:1"))(t)
}

// golden holds what an object is made to against what it was.
func golden(t *testing.T, file, header string, object any) {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	got := append([]byte(header), text...)
	if *rewrite {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./internal/controller/resources -rewrite makes it)", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs (-want +got):\n%s", file, cmp.Diff(string(want), string(got)))
	}
}

func TestGolden(t *testing.T) {
	managed, external, streamed := cache(nil), cache(externalRedis), cache(replicated)
	sentinels := cache(sentinelRedis)
	placed, narrow, secured, encrypted := cache(placement), cache(narrowNetwork), cache(securedDatabase), cache(securedRedis)
	for name, object := range map[string]any{
		"flusher_configmap":           must(resources.FlusherConfigMap(managed, resources.FlusherConfig(managed)))(t),
		"flusher_configmap_external":  must(resources.FlusherConfigMap(external, resources.FlusherConfig(external)))(t),
		"flusher_configmap_sentinel":  must(resources.FlusherConfigMap(sentinels, resources.FlusherConfig(sentinels)))(t),
		"flusher_deployment_sentinel": deployment(t, sentinels),
		"flusher_service":             resources.FlusherService(managed),
		"flusher_deployment":          deployment(t, managed),
		"flusher_deployment_external": deployment(t, external),
		"flusher_deployment_placed":   deployment(t, placed),
		"flusher_configmap_secured":   must(resources.FlusherConfigMap(secured, resources.FlusherConfig(secured)))(t),
		"flusher_deployment_secured":  deployment(t, secured),
		"flusher_disruption_budget":   resources.FlusherDisruptionBudget(managed),
		"flusher_network_policy":      must(resources.FlusherNetworkPolicy(managed))(t),
		"flusher_network_policy_rule": must(resources.FlusherNetworkPolicy(narrow))(t),
		"redis_network_policy":        must(resources.RedisNetworkPolicy(managed))(t),
		"redis_network_policy_peer":   must(resources.RedisNetworkPolicy(narrow))(t),
		"settings_pod":                resources.SettingsPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop-eu", Name: "p", UID: "u"}}, "settings-hash"),
		"redis_configmap":             resources.RedisConfigMap(managed),
		"redis_service":               resources.RedisService(managed),
		"redis_secret_application":    resources.RedisSecret(managed, resources.RedisApplication, "PASSWORD"),
		"redis_secret_flusher":        resources.RedisSecret(managed, resources.RedisFlusher, "PASSWORD"),
		"redis_secret_default":        resources.DefaultSecret(managed, "PASSWORD"),
		"redis_users":                 resources.RedisUsersConfigMap(managed, resources.FlusherConfig(managed).Mappings),
		"redis_users_replication":     resources.RedisUsersConfigMap(streamed, resources.FlusherConfig(streamed).Mappings),
		"flusher_deployment_default":  must(resources.FlusherDeployment(managed, nil, true, "restart-hash", "operator:1"))(t),
		"redis_statefulset":           must(resources.RedisStatefulSet(managed, nil))(t),

		"flusher_configmap_managed_tls":  must(resources.FlusherConfigMap(encrypted, resources.FlusherConfig(encrypted)))(t),
		"flusher_deployment_managed_tls": deployment(t, encrypted),
		"redis_configmap_tls":            resources.RedisConfigMap(encrypted),
		"redis_statefulset_placed":       must(resources.RedisStatefulSet(cache(placedRedis), nil))(t),
		"redis_statefulset_tls":          must(resources.RedisStatefulSet(encrypted, nil))(t),

		"flusher_configmap_replication":  must(resources.FlusherConfigMap(streamed, resources.FlusherConfig(streamed)))(t),
		"flusher_deployment_replication": deployment(t, streamed),
		"redis_configmap_replication":    resources.RedisConfigMap(streamed),
		"redis_statefulset_replication":  must(resources.RedisStatefulSet(streamed, nil))(t),
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, filepath.Join("testdata", name+".yaml"), "", object)
		})
	}
}

func TestConfigIsOneThatTheFlusherTakes(t *testing.T) {
	for name, c := range map[string]*v1alpha1.WriteBehindCache{
		"managed": cache(nil), "external": cache(externalRedis), "sentinel": cache(sentinelRedis), "secured": cache(securedDatabase), "replicated": cache(replicated), "managed with TLS": cache(securedRedis),
	} {
		t.Run(name, func(t *testing.T) {
			want := resources.FlusherConfig(c)
			text, err := want.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := config.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigHasWhatTheSpecSays(t *testing.T) {
	got := resources.FlusherConfig(cache(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Flush = v1alpha1.Flush{
			IntervalMilliseconds: 11, BatchSize: 12, Concurrency: 13, MaxInFlightMebibytes: 19, MaxRetries: new(int32(0)),
			CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 14, OpenMilliseconds: 150},
		}
		c.Spec.Backpressure = v1alpha1.Backpressure{
			MaxQueueDepth: 16, WarningQueueDepth: 17, CriticalQueueDepth: 18, WhenFull: v1alpha1.WhenFullAccept,
		}
	}))
	flush := config.Flush{
		IntervalMilliseconds: 11, BatchSize: 12, Concurrency: 13, MaxInFlightMebibytes: 19, MaxRetries: 0,
		CircuitBreaker: config.CircuitBreaker{FailureThreshold: 14, OpenMilliseconds: 150},
	}
	if diff := cmp.Diff(flush, got.Flush); diff != "" {
		t.Errorf("flush (-want +got):\n%s", diff)
	}
	backpressure := config.Backpressure{MaxQueueDepth: 16, WarningQueueDepth: 17, CriticalQueueDepth: 18, WhenFull: config.WhenFullAccept}
	if diff := cmp.Diff(backpressure, got.Backpressure); diff != "" {
		t.Errorf("backpressure (-want +got):\n%s", diff)
	}
	without := resources.FlusherConfig(cache(func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.MaxRetries = nil }))
	if want := config.Default().Flush.MaxRetries; without.Flush.MaxRetries != want {
		t.Errorf("%d retries where none are given, want %d", without.Flush.MaxRetries, want)
	}
}

func TestConfigOfADeletedResource(t *testing.T) {
	for policy, want := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.DeletionPolicyDrain: true, v1alpha1.DeletionPolicyRetain: false} {
		deleted := cache(func(c *v1alpha1.WriteBehindCache) {
			c.DeletionTimestamp = new(metav1.Now())
			c.Spec.DeletionPolicy = policy
		})
		if got := resources.FlusherConfig(deleted).Draining; got != want {
			t.Errorf("policy %s: draining is %t, want %t", policy, got, want)
		}
	}
}

// Each Pod is told since which generation the spec names the Secret that it mounts.
func TestURLRevision(t *testing.T) {
	// live is a Deployment of a generation, as the API server has it.
	live := func(c *v1alpha1.WriteBehindCache, before *appsv1.Deployment) *appsv1.Deployment {
		t.Helper()
		text, err := yaml.Marshal(must(resources.FlusherDeployment(c, before, false, "restart-hash", "operator:1"))(t))
		if err != nil {
			t.Fatal(err)
		}
		d := &appsv1.Deployment{}
		if err := yaml.UnmarshalStrict(text, d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	revision := func(d *appsv1.Deployment) string {
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == config.URLRevisionVariable {
				return e.Value
			}
		}
		return ""
	}
	c := cache(func(c *v1alpha1.WriteBehindCache) { c.Generation = 3 })
	ref := &c.Spec.Database.Postgres.URLSecretRef
	first := *ref
	var d *appsv1.Deployment
	for _, step := range []struct {
		name string
		edit func()
		want string
	}{
		{"a new resource", func() {}, "3"},
		{"another interval", func() { c.Spec.Flush.IntervalMilliseconds = 7 }, "3"},
		{"another Secret", func() { ref.Name = "another" }, "5"},
		{"nothing", func() { c.Generation-- }, "5"},
		{"another image", func() { c.Spec.Flusher.Image = "flusher:2" }, "5"},
		{"another key", func() { ref.Key = "url" }, "7"},
		{"the Secret of the beginning", func() { *ref = first }, "8"},
		{"a Deployment of the release before", func() { d.Spec.Template.Spec.Containers[0].Env = nil }, "9"},
		{"a number by hand that lies ahead", func() { d.Spec.Template.Spec.Containers[0].Env[0].Value = "1000" }, "10"},
		{"no number", func() { d.Spec.Template.Spec.Containers[0].Env[0].Value = "ten" }, "11"},
		{"another source", func() { d.Spec.Template.Spec.Volumes[1].Secret = nil }, "12"},
		{"no volume", func() { d.Spec.Template.Spec.Volumes = nil }, "13"},
		{"a Deployment that was deleted", func() { d = nil }, "14"},
		{"deletion", func() { c.DeletionTimestamp = new(metav1.Now()) }, "14"},
	} {
		step.edit()
		d = live(c, d)
		if got := revision(d); got != step.want {
			t.Errorf("%s: %s is %q, want %q", step.name, config.URLRevisionVariable, got, step.want)
		}
		c.Generation++
	}
}

func TestRestartHash(t *testing.T) {
	hash := func(edit func(*v1alpha1.WriteBehindCache)) string {
		t.Helper()
		h, err := resources.RestartHash(resources.FlusherConfig(cache(edit)))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := hash(nil)
	for name, edit := range map[string]func(*v1alpha1.WriteBehindCache){
		"suspend":    func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true },
		"generation": func(c *v1alpha1.WriteBehindCache) { c.Generation++ },
		"deletion":   func(c *v1alpha1.WriteBehindCache) { c.DeletionTimestamp = new(metav1.Now()) },
		"flush": func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flush = v1alpha1.Flush{
				IntervalMilliseconds: 10, BatchSize: 1, Concurrency: 1, MaxInFlightMebibytes: 8, MaxRetries: new(int32(0)),
				CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 1, OpenMilliseconds: 100},
			}
		},
		"marks": func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Backpressure.WarningQueueDepth, c.Spec.Backpressure.CriticalQueueDepth = 1, 2
		},
		"backpressure": func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.WhenFull = v1alpha1.WhenFullAccept },
		"time to live": func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].TimeToLiveSeconds = new(int32(1)) },
	} {
		if hash(edit) != base {
			t.Errorf("%s is live, but rolls the Pods", name)
		}
	}
	for name, edit := range map[string]func(*v1alpha1.WriteBehindCache){
		"redis":     externalRedis,
		"database":  securedDatabase,
		"ledger":    func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.LedgerSchema = "other" },
		"time-out":  func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.StatementTimeoutSeconds = 1 },
		"table":     func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].Table = "other" },
		"columns":   func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].Columns = nil },
		"version":   func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].VersionColumn = "v" },
		"mappings":  func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].Name = "other" },
		"key field": func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].KeyColumn = "other" },
	} {
		if hash(edit) == base {
			t.Errorf("%s takes a restart, but does not roll the Pods", name)
		}
	}
}

func TestRedisStatefulSetKeepsTheSizeOfItsTemplate(t *testing.T) {
	live := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("512Mi")},
		}},
	}}}}
	set := must(resources.RedisStatefulSet(cache(nil), live))(t)
	got := (*set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests)[corev1.ResourceStorage]
	if got.String() != "512Mi" {
		t.Errorf("the template asks for %s, want the 512Mi that are there: it cannot change", got.String())
	}
}

// TestBuildersShareNothing keeps one resource's object from being changed through
// another's: the client decodes the API server's answer into what it has applied.
func TestBuildersShareNothing(t *testing.T) {
	c := cache(nil)
	limits := func() corev1.ResourceList {
		return *deployment(t, c).Spec.Template.Spec.Containers[0].Resources.Limits
	}
	limits()[corev1.ResourceMemory] = resource.MustParse("1Ki")
	if got := limits()[corev1.ResourceMemory]; got.String() != "512Mi" {
		t.Errorf("a second Deployment has a limit of %s", got.String())
	}
	c.Spec.Flusher.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	limits()[corev1.ResourceMemory] = resource.MustParse("1Ki")
	if got := c.Spec.Flusher.Resources.Limits[corev1.ResourceMemory]; got.String() != "1Gi" {
		t.Errorf("the resource's own limit became %s", got.String())
	}
}

// TestRedisHasRoomForTheBacklog: Redis counts the backlog and what waits for a flusher as its
// own memory, and would evict the whole cache for it.
func TestRedisHasRoomForTheBacklog(t *testing.T) {
	c := cache(replicated)
	container := must(resources.RedisStatefulSet(c, nil))(t).Spec.Template.Spec.Containers[0]
	request, limit := (*container.Resources.Requests)[corev1.ResourceMemory], (*container.Resources.Limits)[corev1.ResourceMemory]
	if request.String() != "512Mi" || limit.String() != "1Gi" {
		t.Errorf("256Mi of data and a backlog of 128Mi request %s and are limited to %s, want 512Mi and 1Gi", request.String(), limit.String())
	}
	conf := resources.RedisConf(c)
	for _, line := range []string{
		"maxmemory 536870912", "repl-backlog-size 134217728", "repl-backlog-ttl 0", "client-output-buffer-limit replica 134217728 0 0",
		"lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes", "lazyfree-lazy-user-del no",
	} {
		if !strings.Contains(conf, line+"\n") {
			t.Errorf("no line %q in:\n%s", line, conf)
		}
	}
	c.Spec.Redis.Managed.Replication = nil
	if conf := resources.RedisConf(c); !strings.Contains(conf, "repl-backlog-size 67108864\n") {
		t.Errorf("a backlog that is not given is not 64Mi in:\n%s", conf)
	}
	if conf := resources.RedisConf(cache(nil)); strings.Contains(conf, "repl-") || strings.Contains(conf, "lazyfree") {
		t.Errorf("capture Functions has settings of Replication:\n%s", conf)
	}
}

// TestWhatRestartsRedisIsNamed: a restart that the annotation does not name is one that
// nothing waits for.
func TestWhatRestartsRedisIsNamed(t *testing.T) {
	hash := func(edits ...func(*v1alpha1.WriteBehindCache)) string {
		c := cache(replicated)
		for _, edit := range edits {
			edit(c)
		}
		return must(resources.RedisStatefulSet(c, nil))(t).Spec.Template.Annotations[v1alpha1.AnnotationConfigHash]
	}
	for name, edit := range map[string]func(*v1alpha1.WriteBehindCache){
		"image":  func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.Image = "valkey:8" },
		"memory": func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.MaxMemory = resource.MustParse("1Gi") },
		"backlog": func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Replication.Backlog = resource.MustParse("1Gi")
		},
		"limits": func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		},
	} {
		if hash(edit) == hash() {
			t.Errorf("%s restarts Redis and does not change the annotation", name)
		}
	}
	if hash(func(c *v1alpha1.WriteBehindCache) { c.Generation++ }) != hash() {
		t.Error("another generation alone changes the annotation")
	}
}

func TestRedisConf(t *testing.T) {
	conf := resources.RedisConf(cache(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis.Managed.AppendFsync = v1alpha1.AppendFsyncAlways
		c.Spec.Redis.Managed.MaxMemory = resource.MustParse("1G")
	}))
	for _, line := range []string{"appendfsync always", "maxmemory 1000000000", "maxmemory-policy volatile-lru"} {
		if !strings.Contains(conf, line+"\n") {
			t.Errorf("no line %q in:\n%s", line, conf)
		}
	}
}
