#!/usr/bin/env bash
# Measures what STATE_URL costs a server, beside the same server with STATE_DIR alone, in turn.
# Usage: tests/bench/replicas.sh [SECONDS of each measurement, 8]
# Everything listens on loopback; some 2 minutes. The figures are in docs/cluster.md, with those of bench_redis.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-8}
body='{"model":"flux","prompt":"a lighthouse at dusk","size":"1024x768"}'
work=$(mktemp -d)
bin=$top/build/release/bin

pids=()
stop() {
  local pid
  for pid in "$@"; do
    if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then kill -CONT "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  done
}
trap 'stop "${pids[@]}"; rm -rf "$work"' EXIT INT TERM
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }
per_second=$(getconf CLK_TCK)
calculate() { awk "BEGIN {printf \"$1\", $2}"; }

sh "$top/cmake/deps.sh" --for bench >&2
cd "$top"
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target falproxy_program falsim >&2

"$bin/falsim" --job-time 0 >"$work/falsim.out" 2>/dev/null &
pids+=($!)
until [ "$(grep -c '^FAL_' "$work/falsim.out")" -ge 5 ]; do sleep 0.05; done
port=$((20000 + RANDOM % 20000))
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly yes --dir "$work" >/dev/null &
redis=$!; pids+=("$redis")

falproxy='' address=''
start() {  # NAME=value...: settings beside those that it needs
  stop "$falproxy"
  { grep '^FAL_' "$work/falsim.out"
    printf '%s\n' HOST=127.0.0.1 PORT=0 CUSTOM_ACCESS_KEY=benchmark-key AI_KEYS=key-1:secret \
      SUPPORTED_MODELS=flux:fal-ai/flux/dev SCHEMA_CACHE_DIR=none "STATE_DIR=$work/state" MAX_UPSTREAM_STREAMS=8000 "$@"
  } >"$work/env"
  env -u SSL_CERT_FILE -u SSL_CERT_DIR "$bin/falproxy" serve --env "$work/env" >/dev/null 2>"$work/err" &
  falproxy=$!; pids+=("$falproxy")
  until address=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/err" | head -n 1) && [ -n "$address" ]; do sleep 0.01; done
  until curl -fs "$address/ready" >/dev/null; do sleep 0.05; done
  sleep 11  # what may have been cut off by a restart is looked for until then
}
load() {  # CONNECTIONS SECONDS: requests time errors p50 p99, and cpu of a request in milliseconds
  local before; before=$(ticks "$falproxy")
  wrk -t1 -c"$1" -d"${2}s" --timeout 60s -s "$top/tests/bench/load.lua" "$address/v1/images/generations" -- POST "$body" |
    sed -n 's/^figures //p' >"$work/figures"
  read -r requests time errors p50 p99 <"$work/figures"
  cpu=$(calculate %.3f "($(ticks "$falproxy") - $before) * 1000 / $per_second / $requests")
}
row() { printf '| %-14s | %9s | %9s | %7s | %9s | %9s |\n' "$@"; }

row state load 'CPU, ms' 'p50, us' 'p99, us' errors
row --- --- --: --: --: --:
for turn in 1 2; do
  for state in STATE_DIR STATE_URL; do
    if [ "$state" = STATE_URL ]; then start "STATE_URL=redis://127.0.0.1:$port"; else start LOG_FORMAT=text; fi
    load 1 "$seconds"; row "$state" '1 client' "$cpu" "$p50" "$p99" "$errors"
    load 64 "$seconds"; row "$state" '64 clients' "$cpu" "$p50" "$p99" "$errors"
  done
done
# The worst moment: Redis stands still, and is not yet known to.
load 8 2; row STATE_URL 'before' "$cpu" "$p50" "$p99" "$errors"
kill -STOP "$redis"
load 8 2; row STATE_URL 'first 2 s' "$cpu" "$p50" "$p99" "$errors"
load 8 2; row STATE_URL 'next 2 s' "$cpu" "$p50" "$p99" "$errors"
kill -CONT "$redis"
load 8 2; row STATE_URL 'back' "$cpu" "$p50" "$p99" "$errors"
