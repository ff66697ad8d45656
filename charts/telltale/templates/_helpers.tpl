{{- /* The image, by its digest if there is one. */}}
{{- define "telltale.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The API servers, as a NetworkPolicy names them. */}}
{{- define "telltale.apiServers" -}}
{{- range .Values.networkPolicy.apiServers }}
- ipBlock:
    cidr: {{ . | quote }}
{{- end }}
{{- end }}
