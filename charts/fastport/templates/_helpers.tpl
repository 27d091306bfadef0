{{/* The name of everything of this release. */}}
{{- define "fastport.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the pods of one part: (list . "node"). These never change, since selectors cannot. */}}
{{- define "fastport.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ default $top.Chart.Name $top.Values.nameOverride }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object of one part: (list . "node"). */}}
{{- define "fastport.labels" -}}
{{- $top := index . 0 -}}
{{ include "fastport.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fastport
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ $top.Chart.Name }}-{{ $top.Chart.Version }}
{{- end }}

{{- define "fastport.secret" -}}
{{- default (include "fastport.fullname" .) .Values.existingSecret -}}
{{- end }}

{{- define "fastport.serviceAccount" -}}
{{- default (include "fastport.fullname" .) .Values.serviceAccount.name -}}
{{- end }}

{{- define "fastport.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" $tag) }}{{ $tag -}}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a pod, for a user by number, and of a container. */}}
{{- define "fastport.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "fastport.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The environment of a node, and of its migration. */}}
{{- define "fastport.env" -}}
- {name: PORT, value: "3000"}
- {name: METRICS_PORT, value: "9090"}
- {name: CLUSTER_PORT, value: "7400"}
- name: CLUSTER_ADDRESS
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: NODE_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: DRAIN_TIMEOUT, value: "{{ .Values.drain.timeoutSeconds }}s"}
- {name: ADMIN_USER, value: {{ .Values.admin.user | quote }}}
{{- with .Values.goMemLimit }}
- {name: GOMEMLIMIT, value: {{ . | quote }}}
{{- end }}
{{- if .Values.postgres.own }}
- {name: DB_HOST, value: {{ include "fastport.fullname" . }}-postgres}
# Within the namespace, to a server without a certificate.
- {name: DB_SSLMODE, value: prefer}
{{- end }}
{{- if .Values.redis.own }}
- name: REDIS_PASS
  valueFrom: {secretKeyRef: {name: {{ include "fastport.secret" . }}, key: REDIS_PASS}}
- {name: REDIS_URL, value: "redis://:$(REDIS_PASS)@{{ include "fastport.fullname" . }}-redis:6379"}
{{- end }}
{{- /* A large number comes out of YAML as a float, which would print as 1e+07. */}}
{{- range $name, $value := .Values.config }}
- {name: {{ $name }}, value: {{ kindIs "float64" $value | ternary (printf "%.0f" $value) (toString $value) | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The policy of a part that the nodes alone reach, and that reaches nothing: (list . "redis" 6379). */}}
{{- define "fastport.privatePolicy" -}}
{{- $top := index . 0 -}}
{{- if $top.Values.networkPolicy.enabled }}
---
# The nodes alone reach it, and it reaches nothing.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "fastport.fullname" $top }}-{{ index . 1 }}
  labels:
    {{- include "fastport.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "fastport.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{port: {{ index . 2 }}}]
      from:
        - podSelector:
            matchLabels:
              {{- include "fastport.selector" (list $top "node") | nindent 14 }}
{{- end }}
{{- end }}
