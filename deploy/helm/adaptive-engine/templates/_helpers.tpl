{{- define "adaptive.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "adaptive.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "adaptive.labels" -}}
{{ include "adaptive.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "adaptive.secret" -}}
{{- .Values.existingSecret | default (include "adaptive.name" .) -}}
{{- end -}}

{{- define "adaptive.check" -}}
{{- if not .Values.existingSecret -}}
{{- if not (and .Values.appSecret .Values.adminApiKey) -}}
{{- fail "Set existingSecret, or appSecret and adminApiKey: `openssl rand -hex 32` makes a value for each." -}}
{{- end -}}
{{- if and (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) (not .Values.databaseUrl) -}}
{{- fail "Several servers need one store: set databaseUrl, or replicas to 1 and autoscaling.enabled to false." -}}
{{- end -}}
{{- else if or .Values.appSecret .Values.adminApiKey .Values.databaseUrl -}}
{{- fail "existingSecret has the secrets: leave appSecret, adminApiKey and databaseUrl empty." -}}
{{- end -}}
{{- range $name, $value := dict "ADAPTIVE_SERVER__DRAIN_SECONDS" "drainSeconds" "ADAPTIVE_SERVER__UNREADY_SECONDS" "unreadySeconds" -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "settings.%s: set %s instead, by which Kubernetes waits too." $name $value) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host is the name under which browsers open the web application; set it." -}}
{{- end -}}
{{- end -}}
