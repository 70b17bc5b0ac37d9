{{- /* A file of deploy/, with its namespaces as they are called here. */ -}}
{{- define "reviewapp.file" -}}
{{- $text := .root.Files.Get (printf "files/%s.yaml" .name) | required (printf "the chart has no file %s.yaml" .name) -}}
{{- $text | replace "reviewapp-builds" .root.Values.buildNamespace.name | replace "reviewapp-system" .root.Release.Namespace -}}
{{- end -}}

{{- define "reviewapp.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if ne .Release.Namespace "reviewapp-system" -}}
{{- $_ := set $settings "namespace" .Release.Namespace -}}
{{- end -}}
{{- if ne .Values.buildNamespace.name "reviewapp-builds" -}}
{{- $_ := set $settings "build_namespace" .Values.buildNamespace.name -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- /* Changed settings have another name, so that a new watcher starts with them. */ -}}
{{- define "reviewapp.settingsName" -}}
reviewapp-settings-{{ include "reviewapp.settings" . | sha256sum | trunc 10 }}
{{- end -}}
