{{/*
YAML as a CEL expression of the type Kubernetes gives that place: `dict "value" … "type" "Object.spec.volumes"`.
A string that is `${name}` is the policy's variable of that name. Maps whose keys are the user's (requests, limits)
are CEL maps; all others are objects.
*/}}
{{- define "spandrel.cel" -}}
{{- $type := .type -}}
{{- if kindIs "map" .value -}}
{{ $type }}{
{{- range $key, $value := .value -}}
{{ $key }}: {{ if has $key (list "requests" "limits") -}}
{ {{- range $name, $amount := $value -}} {{ $name | quote }}: {{ include "spandrel.cel" (dict "value" $amount "type" "") }}, {{ end -}} }
{{- else -}}
{{ include "spandrel.cel" (dict "value" $value "type" (printf "%s.%s" $type $key)) }}
{{- end }}, {{ end -}}
}
{{- else if kindIs "slice" .value -}}
[{{ range .value }}{{ include "spandrel.cel" (dict "value" . "type" $type) }}, {{ end }}]
{{- else if kindIs "string" .value -}}
{{- if regexMatch "^\\$\\{[a-zA-Z]+\\}$" .value -}}
variables.{{ .value | trimPrefix "${" | trimSuffix "}" }}
{{- else -}}
{{ .value | quote }}
{{- end -}}
{{- else -}}
{{ .value }}
{{- end -}}
{{- end }}
