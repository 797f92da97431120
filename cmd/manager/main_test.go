// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func TestOwnImage(t *testing.T) {
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "operator"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "sidecar", Image: "sidecar:1"}, {Name: name, Image: "operator:2"},
			}},
		}
	}
	for name, c := range map[string]struct {
		pod       *corev1.Pod
		podName   string
		want      string
		wantNoWay bool
	}{
		"the container's image":  {pod("manager"), "operator", "operator:2", false},
		"another container name": {pod("other"), "operator", "", true},
		"no environment":         {pod("manager"), "", "", true},
		"no such Pod":            {pod("manager"), "another", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAME", c.podName)
			t.Setenv("POD_NAMESPACE", "system")
			got, err := ownImage(t.Context(), fake.NewClientBuilder().WithObjects(c.pod).Build())
			if got != c.want || (err == nil) != (c.want != "") || errors.Is(err, errNoImage) != c.wantNoWay {
				t.Errorf("image is %q, error %v", got, err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	o := defaultOptions()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o.bind(flags)
	if err := flags.Parse([]string{"--metrics-bind-address=:8443", "--leader-elect", "--leader-election-namespace=system", "--flusher-image=a:1"}); err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	m := o.manager(scheme)
	if !m.LeaderElection || !m.LeaderElectionReleaseOnCancel || m.Metrics.BindAddress != ":8443" || o.site.FlusherImage != "a:1" {
		t.Errorf("options are %+v", m)
	}
	if m.LeaderElectionNamespace != "system" || !*m.Controller.EnableWarmup || !*m.Controller.UsePriorityQueue {
		t.Errorf("leader election and controllers are %q, %+v", m.LeaderElectionNamespace, m.Controller)
	}
	if m.Metrics.FilterProvider == nil || !m.Metrics.SecureServing || len(m.Metrics.TLSOpts) != 1 {
		t.Error("the metrics are open to everybody, or to HTTP/2")
	}
}

// An empty text is what a chart gives for a list of nothing.
func TestListsOfOptions(t *testing.T) {
	o := defaultOptions()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o.bind(flags)
	if err := flags.Parse([]string{
		"--watch-namespaces=shop, cart", "--watch-namespaces=", "--watch-namespaces=mail",
		"--allowed-flusher-images=a:*,b:1", "--allowed-redis-images=redis:*",
	}); err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(o.manager(scheme).Cache.DefaultNamespaces)); !slices.Equal(got, []string{"cart", "mail", "shop"}) || o.complete() != nil {
		t.Errorf("it watches %q", got)
	}
	if !slices.Equal(o.site.AllowedFlusherImages, []string{"a:*", "b:1"}) || !slices.Equal(o.site.AllowedRedisImages, []string{"redis:*"}) {
		t.Errorf("it allows %+v", o.site)
	}
	if got := metav1.FormatLabelSelector(o.site.Admitted.Scrapers); got != "metrics=enabled" {
		t.Errorf("it admits scrapers of %q", got)
	}
	o.prometheusNamespaces = "a in"
	if err := o.complete(); err == nil || !strings.Contains(err.Error(), `--prometheus-namespace-selector: "a in" is not a selector`) {
		t.Errorf("a selector that cannot be is answered with %v", err)
	}
	o.watchNamespaces = []string{"shop", "Shop"}
	if err := o.complete(); err == nil || !strings.Contains(err.Error(), `--watch-namespaces: "Shop" is not the name of a namespace`) {
		t.Errorf("a namespace that cannot be is answered with %v", err)
	}
}

// Whoever looks for a flag finds it in the documents, with its default; and nothing
// there is made up.
func TestEveryFlagIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## The operator's flags\n")
	if !found {
		t.Fatal("docs/operations.md has no section on the operator's flags")
	}
	documented := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `--") {
			if len(documented) > 0 {
				break
			}
			continue
		}
		for _, name := range regexp.MustCompile("`--([a-z0-9-]+)`").FindAllStringSubmatch(cells[0], -1) {
			documented[name[1]] = cells[1]
		}
	}
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o := defaultOptions()
	o.bind(flags)
	own := map[string]string{}
	flags.VisitAll(func(f *flag.Flag) { own[f.Name] = f.DefValue })
	(&zap.Options{}).BindFlags(flags)
	// controller-runtime brings this one with its package.
	flags.String("kubeconfig", "", "")
	flags.VisitAll(func(f *flag.Flag) {
		told, there := documented[f.Name]
		if !there {
			t.Errorf("--%s is not in docs/operations.md", f.Name)
		}
		if value := own[f.Name]; !strings.HasPrefix(told, value) {
			t.Errorf("docs/operations.md says that --%s is by default %q, but it is %q", f.Name, told, value)
		}
		delete(documented, f.Name)
	})
	for name := range documented {
		t.Errorf("there is no flag --%s", name)
	}
}

// cacheState is a cache that is complete, or never will be.
type cacheState bool

func (c cacheState) WaitForCacheSync(ctx context.Context) bool {
	if !c {
		<-ctx.Done()
	}
	return bool(c)
}

func TestReadyMeansInformed(t *testing.T) {
	request := httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil)
	if err := informed(cacheState(true))(request); err != nil {
		t.Errorf("with a cache that is complete: %v", err)
	}
	if err := informed(cacheState(false))(request); !errors.Is(err, errNotInformed) {
		t.Errorf("with a cache that is not: %v", err)
	}
}
