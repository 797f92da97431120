{{- /*
Copyright 2026 The Write-Behind Operator Authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /* What the names of all objects begin with. 28 bytes leave room for the longest
one within the 63 of a Service. */ -}}
{{- define "writebehind.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 28 | trimSuffix "-" -}}
{{- end -}}

{{- /* The labels that differ from those of config/. */ -}}
{{- define "writebehind.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "writebehind.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}
