{{/* What injection is told, with the chart's values. */}}
{{- define "spandrel.parameters" -}}
{{- with .Values.injection -}}
image: {{ .image | default (include "spandrel.image" $) | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy | quote }}
upstream: {{ include "spandrel.upstream" $ | quote }}
scope: {{ .scope | quote }}
protocol: {{ .protocol | quote }}
environment: {{ .environment | quote }}
environmentLabel: {{ .environmentLabel | quote }}
configMap: {{ .configMap | quote }}
cpuRequest: {{ .resources.requests.cpu | quote }}
memoryRequest: {{ .resources.requests.memory | quote }}
cpuLimit: {{ .resources.limits.cpu | quote }}
memoryLimit: {{ .resources.limits.memory | quote }}
{{- end -}}
{{- end }}

{{/* The version of the admission API this cluster has; without any, other ways stand in docs/kubernetes.md. */}}
{{- define "spandrel.admissionVersion" -}}
{{- $group := "admissionregistration.k8s.io" -}}
{{- if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{ $group }}/v1
{{- else if .Capabilities.APIVersions.Has (printf "%s/v1beta1/MutatingAdmissionPolicy" $group) -}}
{{ $group }}/v1beta1
{{- else -}}
{{- fail (printf "injection.enabled: Kubernetes %s has no MutatingAdmissionPolicy, which is stable since 1.36; set it to false, and use `spandrel inject` or the chart's includes (docs/kubernetes.md)" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end }}

{{/* What follows a CEL string that becomes a value in OTEL_RESOURCE_ATTRIBUTES. */}}
{{- define "spandrel.celEscape" -}}
{{- range list (list "%" "%25") (list " " "%20") (list "\"" "%22") (list "$" "%24") (list "," "%2C") (list ";" "%3B") (list "=" "%3D") (list "\\" "%5C") -}}
.replace({{ index . 0 | quote }}, {{ index . 1 | quote }})
{{- end -}}
{{- end }}
