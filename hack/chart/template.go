// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Where config/default puts everything; a release says both again.
const (
	namespace  = "writebehind-system"
	namePrefix = "writebehind-"
)

// conditions are the values that turn an object on, by kind and name behind the
// prefix; every other object is always there.
var conditions = map[string]string{
	"Service controller-manager-metrics-service":        ".Values.metrics.enabled",
	"ServiceMonitor controller-manager-metrics-monitor": "and .Values.metrics.enabled .Values.metrics.serviceMonitor.enabled",
	"PrometheusRule controller-manager-alerts":          "and .Values.metrics.enabled .Values.metrics.prometheusRule.enabled",
	"ClusterRole metrics-auth-role":                     ".Values.metrics.enabled",
	"ClusterRoleBinding metrics-auth-rolebinding":       ".Values.metrics.enabled",
	"ClusterRole metrics-reader":                        ".Values.metrics.enabled",
	"Role leader-election-role":                         ".Values.leaderElection.enabled",
	"RoleBinding leader-election-rolebinding":           ".Values.leaderElection.enabled",
	"NetworkPolicy allow-metrics-traffic":               ".Values.networkPolicy.enabled",
}

// snippets are what takes the place of a mark. Each stands alone on its line, and
// its lines are indented as the mark was.
var snippets = map[string]string{
	"labels": `{{- include "writebehind.labels" . | nindent INDENT }}`,
	"keep": `{{- if .Values.crds.keep }}
helm.sh/resource-policy: keep
{{- end }}`,
	"replicas": `replicas: {{ .Values.replicas }}`,
	"image": `image: {{ include "writebehind.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}`,
	"goMemoryLimit": `value: {{ .Values.goMemoryLimit }}`,
	"resources": `{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent INDENT+2 }}
{{- end }}`,
	"placing": `{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent INDENT+2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent INDENT+2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent INDENT+2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent INDENT+2 }}
{{- end }}`,
	"metrics": `{{- if .Values.metrics.enabled }}
- --metrics-bind-address=:8443
{{- if .Values.metrics.certificateSecret }}
- --metrics-cert-path=/etc/metrics-certificate
{{- end }}
{{- end }}`,
	"leaderElection": `{{- if .Values.leaderElection.enabled }}
- --leader-elect
{{- end }}`,
	"settings": `{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- if .Values.flusherImage }}
- --flusher-image={{ .Values.flusherImage }}
{{- else if .Values.watchNamespaces }}
- --flusher-image={{ include "writebehind.image" . }}
{{- end }}
{{- if ne .Values.networkPolicy.prometheusNamespaceSelector "metrics=enabled" }}
- {{ printf "--prometheus-namespace-selector=%s" .Values.networkPolicy.prometheusNamespaceSelector | quote }}
{{- end }}
{{- if ne (int .Values.maxConcurrentRollouts) 5 }}
- --max-concurrent-rollouts={{ int .Values.maxConcurrentRollouts }}
{{- end }}
{{- with .Values.allowedFlusherImages }}
- {{ printf "--allowed-flusher-images=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.allowedRedisImages }}
- {{ printf "--allowed-redis-images=%s" (join "," .) | quote }}
{{- end }}`,
	"volumeMounts": `{{- if and .Values.metrics.enabled .Values.metrics.certificateSecret }}
volumeMounts:
- name: metrics-certificate
  mountPath: /etc/metrics-certificate
  readOnly: true
{{- else }}
volumeMounts: []
{{- end }}`,
	"volumes": `{{- if and .Values.metrics.enabled .Values.metrics.certificateSecret }}
volumes:
- name: metrics-certificate
  secret:
    secretName: {{ .Values.metrics.certificateSecret }}
{{- else }}
volumes: []
{{- end }}`,
}

// marks stand where a snippet goes: as the whole of a field or an item of a list.
var mark = regexp.MustCompile(`(?m)^( *)(?:- )?(?:\S+: )?(?:- )?@@(\w+)@@$`)

func template(object *unstructured.Unstructured, values []byte) (string, error) {
	object = object.DeepCopy()
	labels := object.GetLabels()
	delete(labels, "app.kubernetes.io/managed-by")
	if labels == nil {
		labels = map[string]string{}
	}
	labels["zz"] = "@@labels@@"
	object.SetLabels(labels)
	kind := object.GetKind()
	condition := conditions[kind+" "+strings.TrimPrefix(object.GetName(), namePrefix)]
	switch kind {
	case "CustomResourceDefinition":
		condition = ".Values.crds.install"
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["zz"] = "@@keep@@"
		object.SetAnnotations(annotations)
	case "Deployment":
		if err := markDeployment(object, values); err != nil {
			return "", err
		}
	}
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return "", err
	}
	if strings.Contains(string(text), "{{") {
		return "", fmt.Errorf("it holds {{, which Helm would read")
	}
	out := strings.NewReplacer(
		"namespace: "+namespace+"\n", "namespace: {{ .Release.Namespace }}\n",
		"name: "+namePrefix, `name: {{ include "writebehind.fullname" . }}-`,
		"serviceAccountName: "+namePrefix, `serviceAccountName: {{ include "writebehind.fullname" . }}-`,
		"'@@", "@@", "@@'", "@@",
	).Replace(string(text))
	if out, err = fill(out); err != nil {
		return "", err
	}
	if strings.Contains(out, namespace) {
		return "", fmt.Errorf("it names %s where the chart does not replace it", namespace)
	}
	if kind == "ClusterRole" || kind == "ClusterRoleBinding" {
		if watched := inWatchedNamespaces(out); watched != "" {
			return watched, nil
		}
	}
	if condition != "" {
		return "{{- if " + condition + " }}\n---\n" + out + "{{- end }}\n", nil
	}
	return "---\n" + out, nil
}

// inNamespaces matches the names of rights that concern a namespace.
var inNamespaces = regexp.MustCompile(`(?m)^  name: .*}}-(manager|writebehindcache)-[-a-z]+$`)

// inWatchedNamespaces turns a right for the whole cluster into one for each namespace of
// the value watchNamespaces, where it has any. It is empty for what asks the cluster about
// others, which is no right in a namespace.
func inWatchedNamespaces(text string) string {
	if !inNamespaces.MatchString(text) {
		return ""
	}
	namespaced := strings.NewReplacer(
		"kind: ClusterRole", "kind: Role",
		`"writebehind.fullname" .`, `"writebehind.fullname" $`,
		`"writebehind.labels" .`, `"writebehind.labels" $`,
		"{{ .Release.Namespace }}", "{{ $.Release.Namespace }}",
	).Replace(text)
	namespaced = strings.Replace(namespaced, "\nmetadata:\n", "\nmetadata:\n  namespace: {{ . }}\n", 1)
	return "{{- range .Values.watchNamespaces }}\n---\n" + namespaced + "{{- else }}\n---\n" + text + "{{- end }}\n"
}

// fill puts the snippets in the place of the marks.
func fill(text string) (string, error) {
	var unknown []string
	text = mark.ReplaceAllStringFunc(text, func(line string) string {
		found := mark.FindStringSubmatch(line)
		indent, snippet := found[1], snippets[found[2]]
		if snippet == "" {
			unknown = append(unknown, found[2])
		}
		lines := strings.Split(snippet, "\n")
		for i := range lines {
			lines[i] = indent + lines[i]
		}
		return strings.NewReplacer("INDENT+2", fmt.Sprint(len(indent)+2), "INDENT", fmt.Sprint(len(indent))).Replace(strings.Join(lines, "\n"))
	})
	if len(unknown) > 0 || strings.Contains(text, "@@") {
		return "", fmt.Errorf("marks %v are without a snippet, or stand where none can", unknown)
	}
	return text, nil
}

// markDeployment marks what values change. What the values are by default must be
// what the manifest says: they would be two truths otherwise.
func markDeployment(object *unstructured.Unstructured, values []byte) error {
	var defaults struct {
		Replicas      int64          `json:"replicas"`
		Resources     map[string]any `json:"resources"`
		GoMemoryLimit string         `json:"goMemoryLimit"`
	}
	if err := yaml.Unmarshal(values, &defaults); err != nil {
		return fmt.Errorf("read values.yaml: %w", err)
	}
	spec, _, err := unstructured.NestedMap(object.Object, "spec")
	if err != nil {
		return err
	}
	pod, _, err := unstructured.NestedMap(spec, "template", "spec")
	if err != nil {
		return err
	}
	containers, _ := pod["containers"].([]any)
	if len(containers) != 1 {
		return fmt.Errorf("it has %d containers, want 1", len(containers))
	}
	container, _ := containers[0].(map[string]any)
	if got := fmt.Sprint(spec["replicas"]); got != fmt.Sprint(defaults.Replicas) {
		return fmt.Errorf("replicas is %s, in values.yaml %d", got, defaults.Replicas)
	}
	if !reflect.DeepEqual(container["resources"], any(defaults.Resources)) {
		return fmt.Errorf("resources are %v, in values.yaml %v", container["resources"], defaults.Resources)
	}
	if err := markMemoryLimit(container["env"], defaults.GoMemoryLimit); err != nil {
		return err
	}
	args, err := markArguments(container["args"])
	if err != nil {
		return err
	}
	for _, field := range []string{"volumeMounts", "volumes"} {
		of := container
		if field == "volumes" {
			of = pod
		}
		if list, _ := of[field].([]any); len(list) > 0 {
			return fmt.Errorf("%s is not empty: the chart's own would replace it", field)
		}
		of[field] = "@@" + field + "@@"
	}
	for _, field := range []string{"nodeSelector", "tolerations", "affinity", "imagePullSecrets"} {
		if pod[field] != nil {
			return fmt.Errorf("%s is given, and not in values.yaml", field)
		}
	}
	spec["replicas"] = "@@replicas@@"
	container["args"] = args
	container["image"] = "@@image@@"
	container["resources"] = "@@resources@@"
	pod["containers"] = []any{container}
	pod["zz"] = "@@placing@@"
	if err := unstructured.SetNestedMap(spec, pod, "template", "spec"); err != nil {
		return err
	}
	return unstructured.SetNestedMap(object.Object, spec, "spec")
}

// markMemoryLimit marks the value of GOMEMLIMIT; any other variable stays.
func markMemoryLimit(given any, want string) error {
	list, _ := given.([]any)
	for _, variable := range list {
		fields, _ := variable.(map[string]any)
		if fields["name"] != "GOMEMLIMIT" {
			continue
		}
		if fields["value"] != want {
			return fmt.Errorf("GOMEMLIMIT is %v, in values.yaml goMemoryLimit is %s", fields["value"], want)
		}
		fields["value"] = "@@goMemoryLimit@@"
		return nil
	}
	return errors.New("env lacks GOMEMLIMIT, which goMemoryLimit in values.yaml sets")
}

// markArguments marks the flags that a value turns off; any other stays.
func markArguments(given any) ([]any, error) {
	marked := map[string]string{"--metrics-bind-address=:8443": "@@metrics@@", "--leader-elect": "@@leaderElection@@"}
	var args []any
	list, _ := given.([]any)
	for _, arg := range list {
		text, _ := arg.(string)
		if m := marked[text]; m != "" {
			delete(marked, text)
			text = m
		}
		args = append(args, text)
	}
	if len(marked) > 0 {
		return nil, fmt.Errorf("args lack %v, which values of the chart turn off", marked)
	}
	return append(args, "@@settings@@"), nil
}
