// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/kube"
)

// printed is what do prints.
func printed(t *testing.T, do func()) string {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	standard := os.Stdout
	os.Stdout = writer
	defer func() { os.Stdout = standard }()
	read := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	do()
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return <-read
}

// Seven conditions that all say that no flusher answers would hide the one that says why.
func TestConditionsThatSayTheSameShareALine(t *testing.T) {
	conditions := []metav1.Condition{
		{Type: "RedisReady", Status: "Unknown", Reason: "FlushersDown", Message: "No flusher answers"},
		{Type: "Reconciling", Status: "True", Reason: "Progressing", Message: "Redis is being made"},
		{Type: "Ready", Status: "False", Reason: "FlushersDown", Message: "No flusher answers"},
	}
	shown := map[string]string{}
	want := []string{"RedisReady=Unknown Ready=False  FlushersDown: No flusher answers", "Reconciling=True  Progressing: Redis is being made"}
	if got := changed(conditions, shown); !slices.Equal(got, want) {
		t.Errorf("it shows %q, want %q", got, want)
	}
	conditions[2].Status = "True"
	want = []string{"Ready=True  FlushersDown: No flusher answers"}
	if got := changed(conditions, shown); !slices.Equal(got, want) {
		t.Errorf("after a change it shows %q, want %q", got, want)
	}
}

// The README's commands name no namespace, and are what a person tries next.
func TestTheLastWordsLeadToTheReadmesCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, write, found := strings.Cut(string(readme), "$ redis-cli ")
	write, _, _ = strings.Cut(write, "\n")
	if !found || !strings.HasPrefix(write, "--user application SET product:") {
		t.Fatalf("README.md begins with no write, but with %q", write)
	}
	d := &demo{
		options: &options{namespace: "shop"}, screen: newScreen(),
		cluster: &kube.Cluster{Local: true, Kubeconfig: "/the/kubeconfig"},
		cache:   client.ObjectKey{Namespace: "shop", Name: "shop"},
		mapping: v1alpha1.Mapping{Name: "products", KeyPrefix: "product:"},
	}
	redis := &v1alpha1.RedisStatus{Address: "shop-redis.shop.svc:6379", SecretName: "shop-redis-1"}
	functions := &v1alpha1.RedisStatus{Address: "functions-redis.shop.svc:6379", SecretName: "functions-redis-1"}
	words := printed(t, func() { d.printCommands(redis, functions) })
	at := 0
	for _, want := range []string{
		"export KUBECONFIG=/the/kubeconfig\n",
		"kubectl config set-context --current --namespace shop\n",
		"kubectl writebehind explain shop product:1 -n shop ",
		"kubectl port-forward -n shop svc/shop-redis 6379 &\n",
		"redis-cli " + write + "\n",
		"kubectl port-forward -n shop svc/functions-redis 6380:6379 &\n",
		"redis-cli --user application -p 6380 FCALL wb_set 1 product:123 products ",
	} {
		next := strings.Index(words[at:], want)
		if next < 0 {
			t.Fatalf("%q is not said, or not in its place:\n%s", want, words)
		}
		at += next
	}

	d.cluster.Local = false
	if words := printed(t, func() { d.printCommands(redis, functions) }); strings.Contains(words, "set-context") || strings.Contains(words, "writebehind explain") {
		t.Errorf("the user's own context would be changed, or has a plugin that was not built:\n%s", words)
	}
}

func TestWhatRedisRefusesEndsTheDemo(t *testing.T) {
	for printed, want := range map[string]string{
		"OK\n1\n1\n": "",
		"OK\n1\n0\n": "WAIT 1 answers \"0\"",
		"OK\nWRONGTYPE Operation against a key\n1\n": "redis-cli: WRONGTYPE Operation",
	} {
		if err := answersOf(printed); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q is judged %v, want %q", printed, err, want)
		}
	}
}
