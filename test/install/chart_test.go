// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/test/programs"
)

const (
	release          = "writebehind"
	releaseNamespace = "writebehind-system"
)

func chart() string { return root("charts", "writebehind") }

// helm is the program with folders of its own.
func helm(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), tool(t, "HELM"), args...)
	home := t.TempDir()
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	return command
}

// render is the chart with values, as --set takes them.
func render(t *testing.T, values ...string) []*unstructured.Unstructured {
	t.Helper()
	out, err := tryRender(t, values...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

func tryRender(t *testing.T, values ...string) ([]byte, error) {
	t.Helper()
	args := []string{"template", release, chart(), "--namespace", releaseNamespace}
	for _, value := range values {
		flag := "--set"
		if strings.Contains(value, "=[") || strings.Contains(value, "={") {
			flag = "--set-json"
		}
		args = append(args, flag, value)
	}
	return try(helm(t, args...))
}

// normal are the objects by what names them, without the labels and the annotation
// that say who manages an object: by value those of the one side, which must be
// there on each object that has any.
func normal(t *testing.T, objects []*unstructured.Unstructured, managed map[string]string) map[string]any {
	t.Helper()
	named := map[string]any{}
	for _, object := range objects {
		name := strings.Join([]string{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()}, " ")
		if named[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		labels := object.GetLabels()
		for label, value := range managed {
			if got, there := labels[label]; there && got != value {
				t.Errorf("%s has the label %s: %s, want %s", name, label, got, value)
			}
			delete(labels, label)
		}
		if len(labels) == 0 {
			labels = nil
		}
		object.SetLabels(labels)
		named[name] = object.Object
	}
	return named
}

// Every field of every object is compared: one that is only in the chart, or only
// in config/, fails.
func TestTheChartInstallsWhatKustomizeDoes(t *testing.T) {
	for folder, values := range map[string][]string{
		"default": nil,
		"chart":   {"networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true"},
	} {
		t.Run(folder, func(t *testing.T) {
			rendered := render(t, values...)
			for _, object := range rendered {
				labels := object.GetLabels()
				if labels["app.kubernetes.io/managed-by"] != "Helm" || labels["helm.sh/chart"] != "writebehind-0.1.0" {
					t.Errorf("%s %s is labelled %v, not as Helm's", object.GetKind(), object.GetName(), labels)
				}
				if object.GetKind() == "CustomResourceDefinition" {
					annotations := object.GetAnnotations()
					if annotations["helm.sh/resource-policy"] != "keep" {
						t.Error("helm uninstall would remove the CRD, and every resource with it")
					}
					delete(annotations, "helm.sh/resource-policy")
					object.SetAnnotations(annotations)
				}
			}
			got := normal(t, rendered, map[string]string{"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "writebehind-0.1.0"})
			want := normal(t, manifests(t, folder), map[string]string{"app.kubernetes.io/managed-by": "kustomize"})
			namespace := "v1 Namespace  " + releaseNamespace
			if want[namespace] == nil {
				t.Errorf("config/%s has no %s: the test would not notice others", folder, namespace)
			}
			// Helm must have the namespace before it reads the chart.
			delete(want, namespace)
			if len(got) < 10 {
				t.Errorf("the chart has %d objects only", len(got))
			}
			for name := range union(want, got) {
				if difference := cmp.Diff(want[name], got[name]); difference != "" {
					t.Errorf("%s of config/%s (-) and of the chart (+) differ:\n%s", name, folder, difference)
				}
			}
		})
	}
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func TestTheChartIsWithoutComplaint(t *testing.T) {
	if out := run(t, helm(t, "lint", "--strict", chart())); !bytes.Contains(out, []byte("1 chart(s) linted, 0 chart(s) failed")) {
		t.Errorf("helm lint says %s", out)
	}
}

// TestEveryValueOfTheChartDoesSomething gives each value of values.yaml another,
// and looks for what it is to change.
func TestEveryValueOfTheChartDoesSomething(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart(), "values.yaml"))
	programs.Must(t, err)
	var values map[string]any
	programs.Must(t, yaml.UnmarshalStrict(text, &values))
	changes := map[string]struct {
		set  []string
		in   string
		want string
		gone bool
	}{
		"image.repository":          {[]string{"image.repository=registry.example:5000/op"}, "Deployment", `"image":"registry.example:5000/op:v0.1.0"`, false},
		"image.tag":                 {[]string{"image.tag=v9"}, "Deployment", `"image":"writebehind/operator:v9"`, false},
		"image.digest":              {[]string{"image.digest=sha256:" + strings.Repeat("0a", 32)}, "Deployment", `"image":"writebehind/operator@sha256:0a0a`, false},
		"image.pullPolicy":          {[]string{"image.pullPolicy=Always"}, "Deployment", `"imagePullPolicy":"Always"`, false},
		"imagePullSecrets":          {[]string{"imagePullSecrets[0].name=pull"}, "Deployment", `"imagePullSecrets":[{"name":"pull"}]`, false},
		"flusherImage":              {[]string{"flusherImage=flusher:v2"}, "Deployment", `"--flusher-image=flusher:v2"`, false},
		"watchNamespaces":           {[]string{`watchNamespaces=["shop","cart"]`}, "Deployment", `"--watch-namespaces=shop,cart"`, false},
		"allowedFlusherImages":      {[]string{`allowedFlusherImages=["a/*:1","b@*"]`}, "Deployment", `"--allowed-flusher-images=a/*:1,b@*"`, false},
		"allowedRedisImages":        {[]string{`allowedRedisImages=["redis:*"]`}, "Deployment", `"--allowed-redis-images=redis:*"`, false},
		"maxConcurrentRollouts":     {[]string{"maxConcurrentRollouts=0"}, "Deployment", `"--max-concurrent-rollouts=0"`, false},
		"fullnameOverride":          {[]string{"fullnameOverride=wb"}, "Service", `"name":"wb-controller-manager-metrics-service"`, false},
		"replicas":                  {[]string{"replicas=3"}, "Deployment", `"replicas":3`, false},
		"leaderElection.enabled":    {[]string{"leaderElection.enabled=false"}, "Deployment", `"--leader-elect"`, true},
		"resources.limits.cpu":      {[]string{"resources.limits.cpu=2"}, "Deployment", `"limits":{"cpu":2,`, false},
		"resources.limits.memory":   {[]string{"resources.limits.memory=1Gi"}, "Deployment", `"memory":"1Gi"`, false},
		"resources.requests.cpu":    {[]string{"resources.requests.cpu=33m"}, "Deployment", `"requests":{"cpu":"33m"`, false},
		"resources.requests.memory": {[]string{"resources.requests.memory=99Mi"}, "Deployment", `"memory":"99Mi"`, false},
		"goMemoryLimit":             {[]string{"goMemoryLimit=1GiB"}, "Deployment", `{"name":"GOMEMLIMIT","value":"1GiB"}`, false},
		"nodeSelector":              {[]string{"nodeSelector.disk=ssd"}, "Deployment", `"nodeSelector":{"disk":"ssd"}`, false},
		"tolerations":               {[]string{`tolerations=[{"operator":"Exists"}]`}, "Deployment", `"tolerations":[{"operator":"Exists"}]`, false},
		"affinity":                  {[]string{`affinity={"podAffinity":{}}`}, "Deployment", `"affinity":{"podAffinity":{}}`, false},
		"metrics.enabled":           {[]string{"metrics.enabled=false"}, "Service", "metrics", true},
		"metrics.certificateSecret": {[]string{"metrics.certificateSecret=cert"}, "Deployment", `"--metrics-cert-path=/etc/metrics-certificate"`, false},
		"metrics.serviceMonitor.enabled": {
			[]string{"metrics.serviceMonitor.enabled=true"},
			"ServiceMonitor", `"name":"writebehind-controller-manager-metrics-monitor"`, false,
		},
		"metrics.prometheusRule.enabled": {
			[]string{"metrics.prometheusRule.enabled=true"},
			"PrometheusRule", `"name":"writebehind-controller-manager-alerts"`, false,
		},
		"networkPolicy.enabled": {[]string{"networkPolicy.enabled=true"}, "NetworkPolicy", `"name":"writebehind-allow-metrics-traffic"`, false},
		"networkPolicy.prometheusNamespaceSelector": {
			[]string{"networkPolicy.prometheusNamespaceSelector=team=monitoring"},
			"Deployment", `"--prometheus-namespace-selector=team=monitoring"`, false,
		},
		"crds.install": {[]string{"crds.install=false"}, "CustomResourceDefinition", "writebehindcaches", true},
		"crds.keep":    {[]string{"crds.keep=false"}, "CustomResourceDefinition", "helm.sh/resource-policy", true},
	}
	// found is whether the text stands in an object of the kind.
	found := func(objects []*unstructured.Unstructured, kind, text string) bool {
		return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
			encoded, err := o.MarshalJSON()
			programs.Must(t, err)
			return o.GetKind() == kind && strings.Contains(string(encoded), text)
		})
	}
	before := render(t)
	left := maps.Clone(changes)
	for _, name := range leaves("", values) {
		c, known := changes[name]
		if !known {
			t.Errorf("values.yaml has %s, and no change of it is tested", name)
			continue
		}
		delete(left, name)
		after := render(t, c.set...)
		if found(before, c.in, c.want) != c.gone || found(after, c.in, c.want) == c.gone {
			t.Errorf("%s does not do to the %s what it is there for: %s", name, c.in, c.want)
		}
	}
	for name := range left {
		t.Errorf("%s is tested, and not in values.yaml", name)
	}
}

// leaves are the paths of the values that are no maps with something in them.
func leaves(path string, value any) []string {
	fields, isMap := value.(map[string]any)
	if !isMap || len(fields) == 0 {
		return []string{path}
	}
	var all []string
	for name, field := range fields {
		all = append(all, leaves(strings.TrimPrefix(path+"."+name, "."), field)...)
	}
	slices.Sort(all)
	return all
}

func TestTheChartWithACertificateMountsIt(t *testing.T) {
	for _, object := range render(t, "metrics.certificateSecret=cert") {
		if object.GetKind() != "Deployment" {
			continue
		}
		volumes, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "volumes")
		programs.Must(t, err)
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		programs.Must(t, err)
		mounts := containers[0].(map[string]any)["volumeMounts"]
		if difference := cmp.Diff([]any{
			map[string]any{"name": "metrics-certificate", "secret": map[string]any{"secretName": "cert"}},
		}, volumes); difference != "" {
			t.Errorf("volumes: %s", difference)
		}
		if difference := cmp.Diff([]any{
			map[string]any{"name": "metrics-certificate", "mountPath": "/etc/metrics-certificate", "readOnly": true},
		}, mounts); difference != "" {
			t.Errorf("mounts: %s", difference)
		}
		return
	}
	t.Error("the chart has no Deployment")
}

// What Helm prints in the end is pasted: an operator of some namespaces is not to have the
// resources of all deleted.
func TestTheChartsNotesAreOfItsNamespaces(t *testing.T) {
	for values, want := range map[string]string{
		`watchNamespaces=["shop","cart"]`: "\n  kubectl delete writebehindcaches --all --namespace shop\n  kubectl delete writebehindcaches --all --namespace cart\n\nThe CRD",
		`watchNamespaces=[]`:              "\n  kubectl delete writebehindcaches --all --all-namespaces\n\nThe CRD",
	} {
		text, err := try(helm(t, "install", release, chart(), "--namespace", releaseNamespace, "--dry-run=client", "--set-json", values))
		programs.Must(t, err)
		_, notes, _ := strings.Cut(string(text), "NOTES:")
		_, deletes, _ := strings.Cut(notes, "only the operator can do that.\n")
		if !strings.HasPrefix(deletes, want) {
			t.Errorf("%s: the notes are %q, want %q", values, notes, want)
		}
	}
}

// A value that cannot work is refused before anything is installed, by its name.
func TestTheChartRefusesAWrongValue(t *testing.T) {
	for value, want := range map[string]string{
		"replicas=two":               "at '/replicas': got string, want integer",
		"replicas=-1":                "at '/replicas': minimum: got -1, want 0",
		"image.pullPolicy=Sometime":  "at '/image/pullPolicy': value must be one of '', 'Always', 'IfNotPresent', 'Never'",
		"image.repository=":          "at '/image/repository'",
		"image.tga=v1":               "at '/image': additional properties 'tga' not allowed",
		"image.tag=a b":              "at '/image/tag'",
		"image.digest=sha256:1":      "at '/image/digest'",
		"flusherImage=a --b":         "at '/flusherImage'",
		`watchNamespaces=["Shop"]`:   "at '/watchNamespaces/0'",
		`allowedRedisImages=["a,b"]`: "at '/allowedRedisImages/0'",
		"allowedFlusherImages=a:1":   "at '/allowedFlusherImages': got string, want array",
		"maxConcurrentRollouts=-1":   "at '/maxConcurrentRollouts': minimum: got -1, want 0",
		"fullnameOverride=Upper":     "at '/fullnameOverride'",
		"leaderElection=false":       "at '/leaderElection': got boolean, want object",
		"metrics.enabled=yes":        "at '/metrics/enabled': got string, want boolean",
		"resources.limits.cpu=lots":  "at '/resources/limits/cpu'",
		"watchNamespace=shop":        "additional properties 'watchNamespace' not allowed",
		"crds.keep=maybe":            "at '/crds/keep': got string, want boolean",
	} {
		t.Run(value, func(t *testing.T) {
			if _, err := tryRender(t, value); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it is answered with %v, want %s", err, want)
			}
		})
	}
	t.Run("two that nobody leads", func(t *testing.T) {
		const want = "at '/replicas': maximum: got 2, want 1"
		if _, err := tryRender(t, "replicas=2", "leaderElection.enabled=false"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it is answered with %v, want %s", err, want)
		}
	})
}

// A chart that leaves its CRD in the folder crds/ never upgrades it; this one does,
// and when the release goes, no resource goes with it.
func TestHelmUpgradesTheCRDAndLeavesItBehind(t *testing.T) {
	c := emptyCluster(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	programs.Must(t, os.WriteFile(kubeconfig, c.KubeConfig, 0o600))
	to := []string{"--kubeconfig", kubeconfig, "--namespace", releaseNamespace}

	// An older chart, whose CRD does not know a field yet.
	older := filepath.Join(t.TempDir(), "writebehind")
	programs.Must(t, os.CopyFS(older, os.DirFS(chart())))
	template := filepath.Join(older, "templates", "crd.yaml")
	text, err := os.ReadFile(template)
	programs.Must(t, err)
	renamed := strings.Replace(string(text), "\n              drainTimeoutSeconds:\n", "\n              anotherField:\n", 1)
	if renamed == string(text) {
		t.Fatal("the CRD has no drainTimeoutSeconds where it is looked for")
	}
	programs.Must(t, os.WriteFile(template, []byte(renamed), 0o600))

	run(t, helm(t, append([]string{"install", release, older, "--create-namespace"}, to...)...))
	if hasField(t, c, "drainTimeoutSeconds") || !hasField(t, c, "anotherField") {
		t.Fatal("the older CRD is not installed")
	}
	run(t, helm(t, append([]string{"upgrade", release, chart()}, to...)...))
	if !hasField(t, c, "drainTimeoutSeconds") || hasField(t, c, "anotherField") {
		t.Error("the upgrade left the CRD as it was")
	}

	run(t, helm(t, append([]string{"uninstall", release}, to...)...))
	if !hasField(t, c, "drainTimeoutSeconds") {
		t.Error("the CRD is gone with the release")
	}
	deployments := &unstructured.UnstructuredList{}
	deployments.SetAPIVersion("apps/v1")
	deployments.SetKind("DeploymentList")
	programs.Must(t, c.client.List(t.Context(), deployments, client.InNamespace(releaseNamespace)))
	if len(deployments.Items) != 0 {
		t.Errorf("%d Deployments are left", len(deployments.Items))
	}
	// What was left does not stand in the way of another try.
	run(t, helm(t, append([]string{"install", release, chart()}, to...)...))
}

// hasField is whether the CRD in the cluster knows a field of the spec.
func hasField(t *testing.T, c *cluster, field string) bool {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	programs.Must(t, c.client.Get(t.Context(), client.ObjectKey{Name: "writebehindcaches.cache.writebehind.dev"}, crd))
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	programs.Must(t, err)
	version, ok := versions[0].(map[string]any)
	if !ok {
		t.Fatal("the CRD's version is not a map")
	}
	_, found, err := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", field)
	programs.Must(t, err)
	return found
}
