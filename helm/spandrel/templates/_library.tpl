{{/*
For charts that put Spandrel into their own pods, on clusters without the injection policy. Make this chart a
dependency with `gateway.enabled: false` and `injection.enabled: false`, set `injection.upstream`, and write

  initContainers:
    {{- include "spandrel.sidecar" (dict "chart" .Subcharts.spandrel "release" "1.4.0" "environment" "production") | nindent 8 }}
  containers:
    - name: app
      env:
        {{- include "spandrel.env" (dict "chart" .Subcharts.spandrel "service" "orders" "attributes" "service.version=1.4.0") | nindent 12 }}
  volumes:
    {{- include "spandrel.volumes" (dict "chart" .Subcharts.spandrel) | nindent 8 }}

Native sidecars need Kubernetes 1.29. `release` and `environment` may be left out.
*/}}

{{- define "spandrel.sidecar" -}}
{{- list (include "spandrel.filled" . | fromYaml).container | toYaml -}}
{{- end }}

{{- define "spandrel.volumes" -}}
{{- (include "spandrel.filled" . | fromYaml).volumes | toYaml -}}
{{- end }}

{{- define "spandrel.env" -}}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://127.0.0.1:4318"}
- {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ .chart.Values.injection.protocol | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ required "spandrel.env: say what the service is called: (dict \"chart\" … \"service\" \"orders\")" .service | quote }}}
{{- with .attributes }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ . | quote }}}
{{- end }}
{{- end }}

{{/* files/sidecar.yaml with its `${name}`s filled in. */}}
{{- define "spandrel.filled" -}}
{{- $values := include "spandrel.parameters" .chart | fromYaml -}}
{{- $_ := set $values "release" (.release | default "") -}}
{{- with .environment }}{{ $_ := set $values "environment" . }}{{ end -}}
{{- $isGateway := hasPrefix "dns:" $values.upstream -}}
{{- $_ := set $values "gateway" (ternary $values.upstream "" $isGateway) -}}
{{- $_ := set $values "endpoint" (ternary "" $values.upstream $isGateway) -}}
{{- $text := .chart.Files.Get "files/sidecar.yaml" -}}
{{- range $name, $value := $values -}}
{{- $text = $text | replace (printf "\"${%s}\"" $name) (quote $value) | replace (printf "${%s}" $name) (quote $value) -}}
{{- end -}}
{{- $text -}}
{{- end }}
