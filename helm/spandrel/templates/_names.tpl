{{/* Names, labels, the image, and what every container of ours is allowed: nothing. */}}

{{- define "spandrel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "spandrel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "spandrel.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "spandrel.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "spandrel.gateway" -}}
{{- include "spandrel.fullname" . }}-gateway
{{- end }}

{{- define "spandrel.selector" -}}
app.kubernetes.io/name: {{ include "spandrel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "spandrel.labels" -}}
app.kubernetes.io/name: {{ include "spandrel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "spandrel.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What Pod Security `restricted` asks of a container, and a read-only root. */}}
{{- define "spandrel.securityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where sidecars send: what the values say, else the chart's own gateway. */}}
{{- define "spandrel.upstream" -}}
{{- if .Values.injection.upstream -}}
{{ .Values.injection.upstream }}
{{- else if .Values.gateway.enabled -}}
dns:{{ include "spandrel.gateway" . }}.{{ .Release.Namespace }}.svc:4317
{{- else -}}
{{- fail "injection.upstream: where should sidecars send? gateway.enabled is false, so name an OTLP endpoint, like http://collector.observability.svc:4317" -}}
{{- end -}}
{{- end }}
