#!/bin/sh
# What watches falproxy fits it: the alerts are valid and raised by what they are for, each stands in the runbook, and every metric
# that an alert or the dashboard asks for is one that falproxy tells.
set -eu
cd "$(dirname -- "$0")/../.."
alerts=deploy/prometheus/alerts.yaml
dashboard=deploy/grafana/falproxy.json
bad=0
fault() { echo "$*"; bad=1; }

told=$(sed -n 's/.*writer\.\(family\|single\)("\([a-z_]*\)".*/\2/p; s/^ *"\([a-z_]*_total\)", "counter",.*/\1/p' apps/falproxy/metrics.cpp | sort -u)
asked() { grep -oE 'falproxy_[a-z_]+' "$1" | sed 's/^falproxy_//; s/^\(phase_seconds\)_\(bucket\|sum\|count\)$/\1/' | sort -u; }
[ "$(echo "$told" | wc -l)" -gt 30 ] || fault 'apps/falproxy/metrics.cpp is not understood any more'
for file in "$alerts" "$dashboard"; do
  for name in $(asked "$file"); do
    echo "$told" | grep -qx "$name" || fault "$file asks for falproxy_$name, which nobody tells"
  done
done
for alert in $(sed -n 's/^ *- alert: //p' "$alerts"); do
  grep -q "^| \`$alert\` |" docs/operations.md || fault "docs/operations.md does not say what to do about $alert"
  grep -q "alertname: $alert" tests/deploy/alerts_test.yaml || fault "tests/deploy/alerts_test.yaml does not raise $alert"
done
for alert in $(sed -n 's/^| `\(Falproxy[A-Za-z]*\)` |.*/\1/p' docs/operations.md); do
  grep -q "alert: $alert\$" "$alerts" || fault "docs/operations.md tells of $alert, which is no alert"
done
[ "$bad" -eq 0 ] || exit 1

command -v promtool >/dev/null 2>&1 || { echo 'skipped: no promtool (sh cmake/deps.sh --for deploy)'; exit 77; }
promtool check rules "$alerts"
promtool test rules tests/deploy/alerts_test.yaml
# The dashboard's questions are PromQL, too: each as a rule of its own.
rules=$(mktemp)
trap 'rm -f "$rules"' EXIT INT TERM
{
  printf 'groups:\n- name: dashboard\n  rules:\n'
  grep -o '"expr": "\([^"\\]\|\\.\)*"' "$dashboard" | sed 's/^"expr": //; s/\$instance/.*/g' | awk '{ print "  - {record: \"panel_" NR "\", expr: " $0 "}" }'
} >"$rules"
[ "$(grep -c 'record:' "$rules")" -gt 20 ] || { echo "$dashboard asks for nothing"; exit 1; }
promtool check rules "$rules"
