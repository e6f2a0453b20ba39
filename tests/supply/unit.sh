#!/bin/sh
# The systemd unit is understood, and leaves the service little: a score under 2.0. compose.yaml limits memory as the unit does.
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
systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" | tail -n 1
for line in WatchdogSec= Type=notify NotifyAccess=main MemoryMax=; do
  grep -q "^$line" "$unit" || { echo "the unit has no $line"; exit 1; }
done
[ "$(sed -n 's/^MemoryMax=//p' "$unit")" = "$(sed -n 's/^ *mem_limit: //p' deploy/compose.yaml | tr a-z A-Z)" ] ||
  { echo 'deploy/compose.yaml has another limit of memory than the unit'; exit 1; }
