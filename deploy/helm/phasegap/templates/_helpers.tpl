{{- define "phasegap.fullname" -}}
{{- if contains "phasegap" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-phasegap" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "phasegap.selector" -}}
app.kubernetes.io/name: phasegap
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "phasegap.labels" -}}
{{ include "phasegap.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "phasegap.image" -}}
{{- with .image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.root.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "phasegap.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {{ toJson .Values.seccompProfile }}
{{- end }}

{{- define "phasegap.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "phasegap.grace" -}}{{ add (int .Values.shutdownSeconds) 15 }}{{- end }}

{{- define "phasegap.environment" -}}
- {name: PHASEGAP_DATA_DIR, value: /data}
- {name: PHASEGAP_MIGRATE_AT_START, value: "false"}
- {name: PHASEGAP_SHUTDOWN_SECONDS, value: {{ .Values.shutdownSeconds | quote }}}
- {name: PHASEGAP_STORE_URL, value: {{ .Values.store.url | quote }}}
- {name: AWS_REGION, value: {{ .Values.store.region | quote }}}
{{- with .Values.store.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- range $key := list "PHASEGAP_DATABASE_URL" "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $key }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.secretName | quote }}, key: {{ $key }}}}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "phasegap.peers" -}}
{{- range . }}
- {{ toJson . }}
{{- end }}
{{- end }}

{{- define "phasegap.worker" -}}
{{- $root := .root }}{{ $worker := .worker -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "phasegap.fullname" $root }}-{{ .component }}
  labels: {{- include "phasegap.labels" . | nindent 4 }}
spec:
  {{- if not (and $root.Values.keda.enabled (eq .component "worker")) }}
  replicas: {{ $worker.replicas }}
  {{- end }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector:
    matchLabels: {{- include "phasegap.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "phasegap.labels" . | nindent 8 }}
      {{- with $worker.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "phasegap.fullname" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "phasegap.grace" $root }}
      securityContext: {{- include "phasegap.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $worker.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      containers:
        - name: worker
          image: {{ include "phasegap.image" (dict "root" $root "image" .image) | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          securityContext: {{- include "phasegap.containerSecurity" $root | nindent 12 }}
          env:
            - {name: PHASEGAP_SLOTS, value: {{ $worker.slots | quote }}}
            - {name: PHASEGAP_GUEST_MEMORY_LIMIT_BYTES, value: {{ $worker.guestMemoryBytes | quote }}}
            {{- include "phasegap.environment" $root | nindent 12 }}
          # It touches this file with each heartbeat, the database there or not.
          startupProbe: {exec: {command: [find, /data/alive]}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 36}
          livenessProbe:
            exec: {command: [sh, -c, 'test -n "$(find /data/alive -mmin -2)"']}
            periodSeconds: 30
            timeoutSeconds: 5
            failureThreshold: 3
          resources:
            requests: {{- toYaml $worker.resources.requests | nindent 14 }}
            limits:
              {{- toYaml $worker.resources.limits | nindent 14 }}
              {{- with $worker.gpus }}
              nvidia.com/gpu: {{ . }}
              {{- end }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - {name: data, emptyDir: {sizeLimit: {{ $worker.scratch }}}}
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: {{ $worker.tmp }}}}
      {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
      {{- with index $worker $key }}
      {{ $key }}: {{ toJson . }}
      {{- end }}
      {{- end }}
{{- end }}
