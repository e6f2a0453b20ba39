#!/usr/bin/env bash
# Attacks falproxy with what is made to cost memory, each time a new process with MAX_BODY_MEMORY=64MiB, and prints what it cost.
# Usage: tests/bench/memory_law.sh [ATTACK...]      their names stand in hostile.cpp
# BIN names another folder with falproxy and falsim than build/release/bin; LIMIT_MB, 64 and what the program itself needs, is the law.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/build/release/bin}
limit=${LIMIT_MB:-160}
work=$(mktemp -d)
falsim='' falproxy=''
# shellcheck disable=SC2086
trap 'kill $falsim $falproxy 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

hostile=$work/hostile
"${CXX:-g++}" -std=c++20 -O1 -pthread "$top/tests/bench/hostile.cpp" -lz -o "$hostile"
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $("$hostile")

"$bin/falsim" --job-time 0 >"$work/falsim.out" 2>&1 & falsim=$!
until [ "$(grep -c '^FAL_' "$work/falsim.out")" -ge 5 ]; do kill -0 "$falsim"; sleep 0.1; done
{ grep '^FAL_' "$work/falsim.out"
  printf '%s\n' HOST=127.0.0.1 PORT=0 CUSTOM_ACCESS_KEY=benchmark-key AI_KEYS=key-1:secret SCHEMA_CACHE_DIR=none STATE_DIR=none MAX_BODY_MEMORY=64MiB \
    SUPPORTED_MODELS=flux:fal-ai/flux/dev+fal-ai/flux/dev/image-to-image,inpaint:fal-ai/fast-sdxl/inpainting
} >"$work/env"

highest() { awk '/^VmHWM/ {printf "%.0f", $2 / 1024}' "/proc/$falproxy/status"; }  # MiB
row() { printf '| %-66s | %-24s | %8s | %6s | %9s |\n' "$@"; }
row attack answers seconds CPU 'peak RSS'
row --- --- ---: ---: ---:
failed=0
for attack in "$@"; do
  "$bin/falproxy" serve --env "$work/env" >/dev/null 2>"$work/falproxy.err" & falproxy=$!
  until address=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/falproxy.err" | head -n 1) && [ -n "$address" ]; do kill -0 "$falproxy"; sleep 0.1; done
  until curl -fsm 5 "$address/ready" >/dev/null; do kill -0 "$falproxy"; sleep 0.1; done
  idle=$(highest)
  IFS='|' read -r what answers seconds < <("$hostile" "${address##*:}" benchmark-key "$attack")
  cpu=$(sed 's/.*) //' "/proc/$falproxy/stat" | awk -v tick="$(getconf CLK_TCK)" '{printf "%.1f", ($12 + $13) / tick}')
  peak=$(highest)
  row "$what" "$answers" "$seconds s" "$cpu s" "$peak MiB"
  [ "$peak" -le "$limit" ] || failed=$((failed + 1))
  curl -fsSm 20 "$address/health" >/dev/null || failed=$((failed + 1))
  kill "$falproxy"; wait "$falproxy" || true
done
falproxy=''
echo "(idle: $idle MiB)"
[ "$failed" -eq 0 ] || { echo "$failed of them cost more than $limit MiB, or the server with them"; exit 1; }
