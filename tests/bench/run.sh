#!/usr/bin/env bash
# Measures the server against falsim, with nginx as the floor in the same run, and prints one table.
# Usage: tests/bench/run.sh [SECONDS of each measurement, 8]
# Everything listens on loopback; some 4 minutes. The last table is in docs/performance.md.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-8}
body='{"model":"flux","prompt":"a lighthouse at dusk","size":"1024x768"}'
work=$(mktemp -d)
bin=$top/build/release/bin
ulimit -n "$(ulimit -Hn)"

pids=()
stop() {
  local pid
  for pid in "$@"; do
    if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then wait "$pid" 2>/dev/null || true; fi
  done
}
trap 'stop "${pids[@]}"; rm -rf "$work"' EXIT INT TERM

# --- what /proc says of a process
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }           # of CPU, user and system
resident() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }                      # kB
highest() { awk '/^VmHWM/ {print $2}' "/proc/$1/status"; }                       # kB
threads() { awk '/^Threads/ {print $2}' "/proc/$1/status"; }
per_second=$(getconf CLK_TCK)
calculate() { awk "BEGIN {printf \"$1\", $2}"; }
row() { printf '| %-58s | %12s | %-64s |\n' "$1" "$2" "$3"; }

# --- the programs
falsim='' falproxy='' address=''
start_falsim() {  # falsim's options; its addresses go to $work/fal.env
  stop "$falsim"
  "$bin/falsim" "$@" >"$work/falsim.out" 2>"$work/falsim.err" &
  falsim=$!; pids+=("$falsim")
  until [ "$(grep -c '^FAL_' "$work/falsim.out")" -ge 5 ]; do kill -0 "$falsim"; sleep 0.05; done
  grep '^FAL_' "$work/falsim.out" >"$work/fal.env"
}
start_falproxy() {  # NAME=value...: more settings
  stop "$falproxy"
  { cat "$work/fal.env"
    printf '%s\n' HOST=127.0.0.1 PORT=0 CUSTOM_ACCESS_KEY=benchmark-key AI_KEYS=key-1:secret \
      SUPPORTED_MODELS=flux:fal-ai/flux/dev SCHEMA_CACHE_DIR=none "STATE_DIR=$work/state" MAX_UPSTREAM_STREAMS=8000 "$@"
  } >"$work/env"
  env -u SSL_CERT_FILE -u SSL_CERT_DIR "$bin/falproxy" serve --env "$work/env" >/dev/null 2>"$work/falproxy.err" &
  falproxy=$!; pids+=("$falproxy")
  until address=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/falproxy.err" | head -n 1) && [ -n "$address" ]; do
    kill -0 "$falproxy"; sleep 0.002
  done
}
wait_ready() { until curl -fs "$address/ready" >/dev/null; do sleep 0.05; done; }
start_both() { start_falsim "${falsim_options[@]}"; start_falproxy "$@"; wait_ready; }

# load CONNECTIONS SECONDS URL METHOD [BODY]: its figures go to a file, so that it can run in the background
load() {
  local connections=$1 time_limit=$2 url=$3; shift 3
  wrk -t2 -c"$connections" -d"${time_limit}s" --timeout 60s -s "$top/tests/bench/load.lua" "$url" -- "$@" |
    sed -n 's/^figures //p' >"$work/figures"
}
read_figures() { read -r requests time errors p50 p99 <"$work/figures"; rate=$(calculate %.0f "$requests / $time"); }
# The same, with the CPU of both programs in milliseconds for each request: cpu and cpu_of_falsim
measured_load() {
  local ours theirs
  ours=$(ticks "$falproxy"); theirs=$(ticks "$falsim")
  load "$@"
  read_figures
  cpu=$(calculate %.3f "($(ticks "$falproxy") - $ours) * 1000 / $per_second / $requests")
  cpu_of_falsim=$(calculate %.3f "($(ticks "$falsim") - $theirs) * 1000 / $per_second / $requests")
}

sh "$top/cmake/deps.sh" --for bench
cd "$top"
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target falproxy_program falsim

printf '\n%s, %s cores, %s, g++ %s, %s s each\n\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" \
  "$(nproc)" "$(. /etc/os-release && echo "$PRETTY_NAME")" "$(g++ -dumpfullversion)" "$seconds"
row measurement figure 'besides'
row --- --: ---

# --- fixed answers, beside nginx
falsim_options=(--job-time 0)
start_both
cat >"$work/nginx.conf" <<NGINX
worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.err; daemon off;
events { worker_connections 12000; }
http {
  access_log off; keepalive_requests 100000000;
  upstream run { server $(sed -n 's#^FAL_RUN_URL=http://##p' "$work/fal.env"); keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:18080;
    location = /fixed { return 200 '{"status":"ok"}'; }
    location / { proxy_pass http://run; proxy_http_version 1.1; proxy_set_header Connection "";
                 proxy_set_header Authorization "Key key-1:secret"; }
  }
}
NGINX
nginx -c "$work/nginx.conf" -p "$work" & nginx=$!; pids+=("$nginx")
until curl -fs http://127.0.0.1:18080/fixed >/dev/null; do sleep 0.05; done
load 64 "$seconds" http://127.0.0.1:18080/fixed GET
read_figures
floor=$rate
row 'nginx, return 200, 64 connections' "$floor/s" "2 workers, p99 $p99 us"
for path in /health /v1/models; do
  measured_load 64 "$seconds" "$address$path" GET
  row "GET $path, 64 connections" "$rate/s" "$(calculate %.2f "$rate / $floor") of nginx, $cpu ms of CPU each, $errors errors"
done

# --- generations, instant upstream
load 32 "$seconds" http://127.0.0.1:18080/fal-ai/flux/dev POST '{"prompt":"a lighthouse at dusk"}'
read_figures
row 'nginx to falsim (one exchange), concurrency 32' "$rate/s" "p50 $p50 us, p99 $p99 us, $errors errors"
stop "$nginx"
for scheme in http https; do
  falsim_options=(--job-time 0)
  [ "$scheme" = http ] || falsim_options+=(--tls valid --ca-file "$work/ca.pem")
  for completion in stream poll sync; do
    settings=("FAL_COMPLETION=$completion")
    [ "$scheme" = http ] || settings+=("SSL_CERT_FILE=$work/ca.pem")
    start_both "${settings[@]}"
    measured_load 32 "$seconds" "$address/v1/images/generations" POST "$body"
    row "generations, $completion over $scheme, instant, concurrency 32" "$rate/s" \
      "$cpu ms of CPU each, falsim $cpu_of_falsim ms; p50 $p50 us, $errors errors"
  done
done

# --- what the proxy adds to a job of 200 ms
for completion in stream sync; do
  falsim_options=(--job-time 200)
  start_both "FAL_COMPLETION=$completion"
  for concurrency in 1 64; do
    # wrk wants a connection for each of its threads.
    [ "$concurrency" = 1 ] && concurrency=2
    measured_load "$concurrency" "$seconds" "$address/v1/images/generations" POST "$body"
    row "added to a job of 200 ms, $completion, concurrency $concurrency" "$(calculate %.1f "$p50 / 1000 - 200") ms" \
      "the median; p99 $(calculate %.1f "$p99 / 1000 - 200") ms, $errors errors"
  done
done

# --- in flight: a job of 10 s for each connection, looked at while all wait
in_flight() {  # CONNECTIONS DESCRIPTION SETTINGS...
  local connections=$1 description=$2 idle used before count loading; shift 2
  start_both "$@"
  load 64 1 "$address/health" GET
  idle=$(resident "$falproxy"); before=$(ticks "$falproxy")
  load "$connections" 19 "$address/v1/images/generations" POST "$body" & loading=$!
  sleep 8
  used=$(resident "$falproxy"); count=$(threads "$falproxy")
  wait "$loading"
  read_figures
  row "$description" "$(calculate %.1f "($used - $idle) / $connections") kB" \
    "$requests answers, $errors errors, p50 $(calculate %.2f "$p50 / 1e6") s, p99 $(calculate %.2f "$p99 / 1e6") s; $count threads"
}
falsim_options=(--job-time 10000)
in_flight 1000 '1,000 in flight (10 s job, held streams, http), each'
in_flight 5000 '5,000 in flight (10 s job, held streams, http), each'
in_flight 5000 '5,000 in flight (10 s job, MAX_UPSTREAM_STREAMS=1000), each' MAX_UPSTREAM_STREAMS=1000
falsim_options=(--job-time 10000 --tls valid --ca-file "$work/ca.pem")
in_flight 1000 '1,000 in flight (10 s job, held streams, https), each' "SSL_CERT_FILE=$work/ca.pem"

# --- idle connections
falsim_options=(--job-time 0)
start_both
load 64 1 "$address/health" GET
idle=$(resident "$falproxy")
load 5000 12 "$address/health" IDLE 2500 & loading=$!
sleep 4
before=$(ticks "$falproxy"); sleep 5
used=$(calculate %.2f "($(ticks "$falproxy") - $before) * 100 / $per_second / 5")
row '5,000 idle kept-alive connections, each' "$(calculate %.1f "($(resident "$falproxy") - $idle) / 5000") kB" \
  "$used% of one core, $(threads "$falproxy") threads"
wait "$loading"

# --- large answers; falsim pads PNG files only
large='{"model":"flux","prompt":"a lighthouse at dusk","n":4,"output_format":"png","response_format":"b64_json"}'
falsim_options=(--job-time 0 --picture-bytes 8000000)
start_both MAX_DOWNLOAD_BYTES=64MiB
idle=$(highest "$falproxy")
load 4 "$seconds" "$address/v1/images/generations" POST "$large"
read_figures
row 'b64_json answers of 4 x 8 MB, concurrency 4' "$(calculate %.0f "$requests * 32 / $time") MB/s" \
  "of pictures; at most $(calculate %.0f "($(highest "$falproxy") - $idle) / 1000 / 4") MB for each answer of 43 MB, $errors errors"

# --- start
models=$(for i in $(seq 150); do printf 'model-%s:fal-ai/flux/dev-%s,' "$i" "$i"; done)
sed -i 's#=http://127[^ ]*#=http://127.0.0.1:9#' "$work/fal.env"
stop "$falproxy"
start=$(date +%s%N)
start_falproxy "SUPPORTED_MODELS=$models"
until exec 3<>"/dev/tcp/127.0.0.1/${address##*:}"; do :; done 2>/dev/null
printf 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n' >&3
read -r status <&3; exec 3<&-
row 'start to the first answer, 150 models, fal unreachable' "$(calculate %.0f "($(date +%s%N) - $start) / 1e6") ms" \
  "$(echo "$status" | tr -d '\r')"
