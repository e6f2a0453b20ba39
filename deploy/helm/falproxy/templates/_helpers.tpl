{{- define "falproxy.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}-falproxy
{{- end }}
{{- define "falproxy.labels" -}}
app.kubernetes.io/name: falproxy
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
