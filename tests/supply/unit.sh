#!/bin/sh
# The systemd unit is understood, and leaves the service little: a score under 2.0. The compose files and the chart limit memory as the
# unit does.
set -eu
cd "$(dirname -- "$0")/../.."
command -v systemd-analyze >/dev/null 2>&1 || { echo 'skipped: no systemd-analyze (systemd)'; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
unit="$folder/falproxy.service"
sed "s#@bindir@#/bin#; s#/bin/falproxy#/bin/true#; s#@docdir@#/usr/share/doc/falproxy#" deploy/falproxy.service.in >"$unit"
# An account that only the installation makes, and a manual page that only it brings, are no fault.
said=$(systemd-analyze verify "$unit" 2>&1 | grep -v -e 'falproxy(1)' -e 'Failed to add credential' || true)
[ -z "$said" ] || { echo "$said"; exit 1; }
systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" >"$folder/score" || { cat "$folder/score"; exit 1; }
tail -n 1 "$folder/score"
for line in WatchdogSec= Type=notify NotifyAccess=main MemoryMax=; do
  grep -q "^$line" "$unit" || { echo "the unit has no $line"; exit 1; }
done
most=$(sed -n 's/^MemoryMax=//p' "$unit")
for file in deploy/compose.yaml deploy/compose.cluster.yaml deploy/helm/falproxy/values.yaml; do
  limit=$(sed -n 's/^ *mem_limit: //p; s/^ *limits: {memory: \(.*\)i}/\1/p' "$file" | tr a-z A-Z)
  [ "$limit" = "$most" ] || { echo "$file limits memory to '$limit', and the unit to $most"; exit 1; }
done
