#!/usr/bin/env bash
# Mixed load with faults. Memory has to stay flat and no descriptor may be left over; a sanitizer's word ends it with a failure.
# Usage: tests/bench/soak.sh [MINUTES, 60 [PRESET, release]]
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
minutes=${1:-60}
bin=$top/build/${2:-release}/bin
work=$(mktemp -d)
falsim='' falproxy=''
# shellcheck disable=SC2086
trap 'kill $falsim $falproxy 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

sh "$top/cmake/deps.sh" --for bench
"$bin/falsim" --job-time 50 --fault rate_limited >"$work/falsim.out" 2>&1 & falsim=$!
until [ "$(grep -c '^FAL_' "$work/falsim.out")" -ge 5 ]; do kill -0 "$falsim"; sleep 0.1; done
grep '^FAL_' "$work/falsim.out" >"$work/env"
queue=$(sed -n 's/^FAL_QUEUE_URL=//p' "$work/env")
curl -fsS -X DELETE "$queue/_falsim/faults" >/dev/null
curl -fsS "$queue/_falsim/faults" -d '[{"preset":"ingress_503","chance":0.02},{"preset":"rate_limited","chance":0.02},
  {"preset":"status_500","chance":0.02},{"preset":"media_500","chance":0.02},{"preset":"cancel_500","chance":0.2}]' >/dev/null
printf '%s\n' HOST=127.0.0.1 PORT=0 CUSTOM_ACCESS_KEY=benchmark-key AI_KEYS=key-1:secret,key-2:secret \
  SUPPORTED_MODELS=flux:fal-ai/flux/dev SCHEMA_CACHE_DIR=none "STATE_DIR=$work/state" RECOVERY_WINDOW_SECONDS=3 >>"$work/env"
"$bin/falproxy" serve --env "$work/env" >/dev/null 2>"$work/falproxy.err" & falproxy=$!
until address=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/falproxy.err" | head -n 1) && [ -n "$address" ]; do kill -0 "$falproxy"; sleep 0.1; done
until curl -fs "$address/ready" >/dev/null; do sleep 0.1; done

resident() { awk '/^VmRSS/ {print $2}' "/proc/$falproxy/status"; }
descriptors() { find "/proc/$falproxy/fd" -mindepth 1 | wc -l; }
before=$(descriptors)
# The first fifth fills caches, pools and the ledger of results (which RECOVERY_WINDOW_SECONDS keeps); from then on nothing may grow.
total=$((minutes * 60)) warm=$((minutes * 60 / 5))
wrk -t2 -c40 -d"${warm}s" --timeout 20s -s "$top/tests/bench/mixed.lua" "$address" >/dev/null
settled=$(resident)
wrk -t2 -c40 -d"$((total - warm))s" --timeout 20s -s "$top/tests/bench/mixed.lua" "$address" | grep -E 'requests in|Socket errors|Requests/sec' || true
after=$(resident)
sleep 35  # idle connections to fal live half a minute, and are closed when somebody looks
curl -fs "$address/metrics" -H 'Authorization: Bearer benchmark-key' >/dev/null
sleep 1
left=$(descriptors)
printf 'resident: %s kB after %s s, %s kB at the end; descriptors: %s before, %s after\n' "$settled" "$warm" "$after" "$before" "$left"
kill "$falproxy"
status=0; wait "$falproxy" || status=$?
falproxy=''
failed=0
[ "$status" -eq 0 ] || { echo "falproxy ended with status $status"; failed=1; }
[ "$after" -le $((settled + settled / 5 + 4096)) ] || { echo 'memory grew'; failed=1; }
[ "$left" -le $((before + 4)) ] || { echo 'descriptors are left over'; failed=1; }
if grep -nE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$work/falproxy.err"; then
  grep -A 30 -m 1 -E 'Sanitizer|runtime error:' "$work/falproxy.err"; failed=1
fi
exit "$failed"
