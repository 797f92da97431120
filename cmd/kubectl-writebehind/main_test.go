// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/test/apiserver"
)

// kubectl is the plugin at a real API server, on which no pod runs: commands in pods are played.
type kubectl struct {
	t       *testing.T
	cluster *cluster
	// ran are the commands that were run, as NAMESPACE/POD/CONTAINER: WORDS; code and says are what
	// the next one answers.
	ran  []string
	code int
	says string
	err  error
}

func (k *kubectl) dial(t *target) (*cluster, error) {
	c := *k.cluster
	c.namespace = "default"
	if t.namespace != "" {
		c.namespace = t.namespace
	}
	c.exec = func(_ context.Context, namespace, pod, container string, words []string, out, problems io.Writer) (int, error) {
		k.ran = append(k.ran, fmt.Sprintf("%s/%s/%s: %s", namespace, pod, container, strings.Join(words, " ")))
		fmt.Fprint(out, k.says)
		fmt.Fprint(problems, "progress\n")
		return k.code, k.err
	}
	return &c, nil
}

// run runs the plugin, which must end with the code.
func (k *kubectl) run(code int, args ...string) (out, problems string) {
	k.t.Helper()
	var o, p bytes.Buffer
	if got := command.Run(k.t.Context(), rootCommand(k.dial), args, command.Streams{Out: &o, Problems: &p}); got != code {
		k.t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, o.String(), p.String())
	}
	return o.String(), p.String()
}

func (k *kubectl) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func newKubectl(t *testing.T) *kubectl {
	t.Helper()
	environment := apiserver.New(filepath.Join("..", "..", "config", "crd", "bases"))
	config, err := apiserver.Start(environment)
	t.Cleanup(func() { _ = environment.Stop() })
	if err != nil {
		t.Fatal(err)
	}
	c, err := reach(config, "default")
	if err != nil {
		t.Fatal(err)
	}
	return &kubectl{t: t, cluster: c}
}

// cache makes a resource, as far as the plugin reads it.
func (k *kubectl) cache(namespace, name string, managed bool, status v1alpha1.WriteBehindCacheStatus) {
	k.t.Helper()
	cache := &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{URLSecretRef: v1alpha1.URLSecretRef{Name: "db"}}},
			Mappings: []v1alpha1.Mapping{
				{Name: "products", KeyPrefix: "product:", Table: "public.products", KeyColumn: "id"},
				{Name: "carts", KeyPrefix: "cart:", Table: "public.carts", KeyColumn: "id"},
			},
		},
	}
	if managed {
		cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{}
	} else {
		cache.Spec.Redis.External = &v1alpha1.ExternalRedis{Addresses: []string{"redis:6379"}}
	}
	k.must(k.cluster.client.Create(k.t.Context(), cache))
	cache.Status = status
	cache.Status.ObservedGeneration = cache.Generation
	k.must(k.cluster.client.Status().Update(k.t.Context(), cache))
}

// pod makes one of the flushers.
func (k *kubectl) pod(namespace, name, of string, phase corev1.PodPhase, ready bool) {
	k.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"of": of}},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: flusherContainer, Image: "flusher"}}},
	}
	k.must(k.cluster.client.Create(k.t.Context(), p))
	p.Status.Phase = phase
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: flusherContainer, Image: "flusher", RestartCount: 3}}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	k.must(k.cluster.client.Status().Update(k.t.Context(), p))
}

// statusOfShop is that of a resource with something to tell.
func statusOfShop() v1alpha1.WriteBehindCacheStatus {
	return v1alpha1.WriteBehindCacheStatus{
		Selector: "of=shop", Capture: v1alpha1.CaptureFunctions, QueueDepth: new(int64(12)), DeadLetters: new(int64(1)), OldestPendingSeconds: new(int64(90)),
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "DeadLetters", Message: "1 dead letter\x1b[31m\tof products", LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour)),
		}},
		Mappings: []v1alpha1.MappingStatus{{Name: "products", KeyPrefix: "product:", QueueDepth: new(int64(12)), DeadLetters: new(int64(1)), FlushedTotal: new(int64(345)), LastError: "SQLSTATE 23514"}},
	}
}

func TestThePlugin(t *testing.T) {
	k := newKubectl(t)
	k.cache("default", "shop", false, statusOfShop())
	k.cache("default", "managed", true, v1alpha1.WriteBehindCacheStatus{Redis: &v1alpha1.RedisStatus{Address: "managed-redis:6379", SecretName: "managed-redis-app"}})
	k.must(k.cluster.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web"}}))
	k.cache("web", "shop", false, v1alpha1.WriteBehindCacheStatus{Selector: "of=shop"})
	k.pod("default", "shop-flusher-a", "shop", corev1.PodPending, false)
	k.pod("default", "shop-flusher-b", "shop", corev1.PodRunning, false)
	k.pod("default", "shop-flusher-c", "shop", corev1.PodRunning, true)
	k.pod("default", "other", "other", corev1.PodRunning, true)
	// Of two that are not ready one waits to be started again.
	k.pod("web", "web-crashes", "shop", corev1.PodRunning, false)
	k.pod("web", "web-flusher", "shop", corev1.PodRunning, false)
	runs := &corev1.Pod{}
	k.must(k.cluster.client.Get(t.Context(), client.ObjectKey{Namespace: "web", Name: "web-flusher"}, runs))
	runs.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
	k.must(k.cluster.client.Status().Update(t.Context(), runs))

	for name, test := range map[string]func(*testing.T, *kubectl){
		"status": statusOfOne, "status of all": statusOfAll, "acl": aclOfResources, "commands in pods": commandsInPods, "what cannot be meant": cannotBeMeant,
	} {
		t.Run(name, func(t *testing.T) { test(t, &kubectl{t: t, cluster: k.cluster}) })
	}
}

func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, part := range parts {
		if !strings.Contains(strings.Join(lines, "\n"), part) {
			t.Errorf("it says\n%s\nand not %q", text, part)
		}
	}
}

func statusOfOne(t *testing.T, k *kubectl) {
	out, _ := k.run(0, "status", "shop")
	says(t, out, "Resource: default/shop", "Capture: Functions", "CONDITION STATUS REASON SINCE MESSAGE\nReady False DeadLetters 60m 1 dead letter\\x1b[31m\\tof products",
		"QUEUE PREFIX DEPTH DLQ OLDEST FLUSHED LAST FLUSH LAST ERROR\nproducts product: 12 1 - 345 - SQLSTATE 23514",
		"shop-flusher-a false Pending 3 node-1", "shop-flusher-c true Running 3 node-1")
	if strings.Contains(out, "\x1b") || strings.Contains(out, "other") {
		t.Errorf("it prints what a terminal would obey, or another's pod\n%q", out)
	}
	out, _ = k.run(0, "status", "shop", "-o", "json")
	var s status
	k.must(json.Unmarshal([]byte(out), &s))
	if s.Name != "shop" || !s.Current || len(s.Pods) != 3 || *s.Status.QueueDepth != 12 || s.Status.Conditions[0].Reason != "DeadLetters" {
		t.Errorf("-o json prints %s", out)
	}
	out, _ = k.run(0, "status", "managed")
	says(t, out, "Redis: managed-redis:6379 (managed, Secret managed-redis-app)")
	_, problems := k.run(command.ExitFailed, "status", "nope")
	says(t, problems, "read WriteBehindCache nope of namespace default: ", "not found")
}

func statusOfAll(t *testing.T, k *kubectl) {
	out, _ := k.run(0, "status")
	says(t, out, "NAME READY REASON QUEUE DLQ OLDEST PODS AGE", "shop False DeadLetters 12 1 90s 1/3", "managed Unknown - - - - 0/0")
	out, _ = k.run(0, "status", "-o", "json")
	var all []status
	k.must(json.Unmarshal([]byte(out), &all))
	if len(all) != 2 {
		t.Errorf("-o json prints %s", out)
	}
	if out, problems := k.run(0, "status", "-n", "empty"); out != "" || !strings.Contains(problems, "There are no WriteBehindCaches") {
		t.Errorf("of none it says %q, %q", out, problems)
	}
}

func aclOfResources(t *testing.T, k *kubectl) {
	out, _ := k.run(0, "acl", "shop", "--queue", "carts")
	says(t, out, "# the application of carts\nACL SETUSER app reset on >PASSWORD ~cart:* ~wb:{carts}:* ~wb:{carts:*}:* +@read +@connection ",
		"# the flushers of products, carts\nACL SETUSER writebehind reset on >PASSWORD ~product:* ")
	out, _ = k.run(0, "acl", "shop", "-o", "json", "--user", "web")
	var r rights
	k.must(json.Unmarshal([]byte(out), &r))
	if len(r.Rules) != 2 || !slices.Equal(r.Rules[0].Queues, []string{"products", "carts"}) || !strings.HasPrefix(r.Rules[0].Command, "ACL SETUSER web ") {
		t.Errorf("-o json prints %s", out)
	}
	out, _ = k.run(0, "acl", "managed")
	says(t, out, "the Secret managed-redis-app has the user and the password of an application")
	if strings.Contains(out, "ACL SETUSER") {
		t.Errorf("of a managed Redis it prints a command\n%s", out)
	}
}

func commandsInPods(t *testing.T, k *kubectl) {
	k.says = "Key: product:1\n"
	out, problems := k.run(0, "explain", "shop", "product:1", "-o", "json", "--whole")
	if out != k.says || problems != "progress\n" {
		t.Errorf("the command's output is %q, %q", out, problems)
	}
	k.code = 3
	if _, problems := k.run(3, "-n", "web", "verify", "shop", "--queue", "products"); problems != "progress\n" {
		t.Errorf("beside what the command says there is %q", problems)
	}
	k.code = 0
	k.run(0, "repair", "--namespace=web", "shop", "-ndefault", "--", "-n")
	k.run(0, "dlq", "shop", "list", "--key", "product:1*", "--help")
	want := []string{
		"default/shop-flusher-c/flusher: /flusher explain --until-stdin-ends product:1 -o json --whole",
		// One that is not ready is asked where there is no other: a server may be away.
		"web/web-flusher/flusher: /flusher verify --until-stdin-ends --queue products",
		"default/shop-flusher-c/flusher: /flusher repair --until-stdin-ends -- -n",
		"default/shop-flusher-c/flusher: /flusher dlq --until-stdin-ends list --key product:1* --help",
	}
	if !slices.Equal(k.ran, want) {
		t.Errorf("the commands are %q, want %q", k.ran, want)
	}
	_, problems = k.run(command.ExitFailed, "explain", "managed", "product:1")
	says(t, problems, "no flusher of managed runs in namespace default (pods: 0)")
	k.err = errors.New("upgrade refused")
	_, problems = k.run(command.ExitFailed, "explain", "shop", "product:1")
	says(t, problems, "run /flusher explain in pod shop-flusher-c: upgrade refused")
}

func cannotBeMeant(t *testing.T, k *kubectl) {
	for want, args := range map[string][]string{
		`"now" is not allowed: give status, explain`:      {"now"},
		`"b" is not allowed: status takes one`:            {"status", "a", "b"},
		`--output: "xml" is not allowed`:                  {"status", "-o", "xml"},
		"acl: give the WriteBehindCache":                  {"acl"},
		`--queue: "x" is not allowed: give a mapping of`:  {"acl", "shop", "--queue", "x"},
		`--user: "a b" is not allowed`:                    {"acl", "shop", "--user", "a b"},
		`"--queue" is not allowed here: give the WriteBe`: {"verify", "--queue", "products"},
		"--namespace: a value is missing":                 {"verify", "shop", "-n"},
	} {
		out, problems := k.run(command.ExitUnusable, args...)
		if out != "" || strings.Count(problems, "\n") != 1 {
			t.Errorf("%q prints %q, %q", args, out, problems)
		}
		says(t, problems, want)
	}
	for _, args := range [][]string{{"--help"}, {"explain", "--help"}, {"verify"}, {"status", "-h"}} {
		if out, problems := k.run(0, args...); !strings.Contains(out, "writebehind") || problems != "" {
			t.Errorf("%q prints %q, %q", args, out, problems)
		}
	}
}
