#!/bin/sh
# falproxy reaches every address of fal through a real proxy (tinyproxy), over TLS. Usage: run.sh BIN_DIR
# Exit status 77 (skipped) if there is no tinyproxy.
set -eu
bin=$1
work=$(mktemp -d)
sim_pid='' proxy_pid='' tiny_pid=''

finish() {
  for pid in $proxy_pid $tiny_pid $sim_pid; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
skip() { echo "skipped: $1"; exit 77; }
fail() {
  echo "failed: $*" >&2
  tail -n 40 "$work/log" "$work/tiny.log" >&2
  exit 1
}
until_true() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt 1200 ] || fail "in vain: $*"
    sleep 0.05
  done
}
command -v tinyproxy >/dev/null 2>&1 || skip "no tinyproxy (sh cmake/deps.sh --for test)"
command -v curl >/dev/null 2>&1 || skip "no curl"

"$bin/falsim" --job-time 20 --tls valid --ca-file "$work/ca.pem" >"$work/sim" &
sim_pid=$!
until_true grep -qs '^FAL_MEDIA_HOSTS=' "$work/sim"
port_of() { sed -n "s/^FAL_$1_URL=https:..127.0.0.1:\([0-9]*\).*/\1/p" "$work/sim"; }

# tinyproxy cannot take a free port by itself: the next one is tried if somebody has it.
listens() { grep -q 'Initializing\|Starting main loop\|listen' "$work/tiny.log" && curl -s -o /dev/null "http://127.0.0.1:$port/"; }
gone() { ! kill -0 "$1" 2>/dev/null || grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }
settled() { gone "$tiny_pid" || listens; }
start_tinyproxy() {
  port=$((20000 + $$ % 20000))
  while :; do
    : >"$work/tiny.log"
    cat >"$work/tiny.conf" <<CONF
Port $port
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
MaxClients 100
LogFile "$work/tiny.log"
LogLevel Connect
BasicAuth me hunter2
ConnectPort $(port_of QUEUE)
ConnectPort $(port_of RUN)
CONF
    tinyproxy -d -c "$work/tiny.conf" >/dev/null 2>&1 &
    tiny_pid=$!
    until_true settled
    gone "$tiny_pid" || return 0
    port=$((port + 1))
  done
}
tunnels() { grep -c 'CONNECT 127.0.0.1' "$work/tiny.log" || true; }

# start_proxy NAME=VALUE...: the proxy's variables come from the environment.
start_proxy() {
  {
    sed -n 's/^\(FAL_[A-Z_]*=\)/\1/p' "$work/sim"
    echo "SSL_CERT_FILE=$work/ca.pem"
    echo 'CUSTOM_ACCESS_KEY=proxy-access-key'
    echo 'AI_KEYS=proxy-id:proxy-secret'
    echo 'SUPPORTED_MODELS=flux:fal-ai/flux/dev+fal-ai/flux/dev/image-to-image'
    echo 'HOST=127.0.0.1'
    echo 'PORT=0'
    echo 'SCHEMA_CACHE_DIR=none'
    echo 'STATE_DIR=none'
    echo "FAL_COMPLETION=$completion"
  } >"$work/env"
  : >"$work/log"
  env -i "$@" "$bin/falproxy" serve --env "$work/env" 2>"$work/log" &
  proxy_pid=$!
  until_true grep -q 'listening on' "$work/log"
  url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$work/log" | head -n 1)
}
stop_proxy() {
  kill "$proxy_pid"
  wait "$proxy_pid" || fail "falproxy ended with status $?"
  proxy_pid=''
  if grep -rq hunter2 "$work/log"; then fail "the password stands in the log"; fi
}
# post PATH CURL_ARGUMENTS...: prints the status.
post() {
  path=$1
  shift
  curl -s --max-time 60 -o "$work/answer" -w '%{http_code}' "$url$path" -H 'Authorization: Bearer proxy-access-key' "$@"
}
generate() { post /v1/images/generations -H 'Content-Type: application/json' -d "{\"model\":\"flux\",\"prompt\":\"a fox\",\"response_format\":\"$1\"}"; }
counter() { curl -s "$url/metrics" -H 'Authorization: Bearer proxy-access-key' | sed -n "s/^$1 \([0-9]*\).*/\1/p"; }

start_tinyproxy
way="http://me:hunter2@127.0.0.1:$port"

for completion in stream sync; do
  start_proxy "HTTPS_PROXY=$way" "NO_PROXY=fal.run,10.0.0.0/8"
  grep -q "outgoing requests: https through the proxy 127.0.0.1:$port (HTTPS_PROXY, with a password), http directly; directly to fal.run, 10.0.0.0/8 (NO_PROXY)" "$work/log" ||
    fail "the log does not tell the proxy"
  [ "$(generate b64_json)" = 200 ] || fail "no picture ($completion): $(cat "$work/answer")"
  sed 's/.*"b64_json":"\([^"]*\)".*/\1/' "$work/answer" | base64 -d >"$work/fox.png"
  [ "$(post /v1/images/edits -F model=flux -F prompt=older -F "image=@$work/fox.png;type=image/png")" = 200 ] ||
    fail "no edit ($completion): $(cat "$work/answer")"
  opened=$(counter falproxy_upstream_connections_opened_total)
  [ "$opened" -gt 0 ] || fail "no connection is counted"
  [ "$(tunnels)" = "$opened" ] || fail "$opened connections, but $(tunnels) tunnels"
  stop_proxy
  : >"$work/tiny.log"
done

completion=stream
start_proxy "https_proxy=$way" 'no_proxy=127.0.0.0/8'
[ "$(generate url)" = 200 ] || fail "no picture without the proxy: $(cat "$work/answer")"
[ "$(tunnels)" = 0 ] || fail "NO_PROXY is not obeyed"
stop_proxy

start_proxy "HTTPS_PROXY=http://me:hunter22@127.0.0.1:$port"
[ "$(generate url)" = 503 ] || fail "an answer although the proxy refuses: $(cat "$work/answer")"
grep -q "of HTTPS_PROXY answered 40[17]: it wants another user or password" "$work/log" || fail "the log does not name HTTPS_PROXY"
stop_proxy
echo 'through tinyproxy: ok'
