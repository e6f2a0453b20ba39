#!/bin/sh
# falproxy goes on serving, and says what happened, when system calls and name lookups fail under it.
# Usage: run.sh calls|names BIN_DIR [NAMES_LIBRARY]
# "calls" lets each call fail with each error in each thread once, while requests run (strace). Exit status 77: skipped.
set -eu
part=$1
bin=$2
names=${3:-}
work=$(mktemp -d)
sim_pid='' proxy_pid='' strace_pid=''

finish() {
  for pid in $strace_pid $proxy_pid $sim_pid; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
skip() { echo "skipped: $1"; exit 77; }
fail() {
  echo "failed: $*" >&2
  tail -n 40 "$work/log" >&2
  exit 1
}
# until_true COMMAND...: a minute at most.
until_true() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt 1200 ] || fail "in vain: $*"
    sleep 0.05
  done
}

command -v curl >/dev/null 2>&1 || skip "no curl"

"$bin/falsim" --job-time 20 >"$work/sim" &
sim_pid=$!
until_true grep -qs '^FAL_MEDIA_HOSTS=' "$work/sim"
sim=$(sed -n 's/^FAL_QUEUE_URL=//p' "$work/sim")

# start_proxy NAME=VALUE...: what falsim says counts unless an argument says otherwise.
start_proxy() {
  {
    sed -n 's/^\(FAL_[A-Z_]*=\)/\1/p' "$work/sim"
    echo 'CUSTOM_ACCESS_KEY=faults-access-key'
    echo 'AI_KEYS=faults-id:faults-secret'
    echo 'SUPPORTED_MODELS=flux:fal-ai/flux/dev'
    echo 'HOST=127.0.0.1'
    echo 'PORT=0'
    echo 'SCHEMA_CACHE_DIR=none'
    echo 'STATE_DIR=none'
    echo 'RECOVERY_WINDOW_SECONDS=0'
    for line in "$@"; do echo "$line"; done
  } >"$work/env"
  : >"$work/log"
  env -i ${PRELOAD:+LD_PRELOAD="$PRELOAD"} FAILING_NAMES="$work/word" \
    "$bin/falproxy" serve --env "$work/env" 2>"$work/log" &
  proxy_pid=$!
  until_true grep -q 'listening on' "$work/log"
  url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$work/log" | head -n 1)/v1/images/generations
  until_true grep -q '1 of 1 models' "$work/log"
}
stop_proxy() {
  kill "$proxy_pid"
  until_true gone "$proxy_pid"
  wait "$proxy_pid" || fail "falproxy ended with status $?"
  proxy_pid=''
}
# A zombie counts: it is waited for later.
gone() { ! kill -0 "$1" 2>/dev/null || grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }

# ask SECONDS: one picture as base64; prints the status, 000 if there was no answer.
ask() {
  curl -s --max-time "$1" -o /dev/null -w '%{http_code}\n' "$url" -H 'Authorization: Bearer faults-access-key' \
    -H 'Content-Type: application/json' -d '{"model":"flux","prompt":"a fox","response_format":"b64_json"}' || true
}

calls() {
  command -v strace >/dev/null 2>&1 || skip "no strace (sh cmake/deps.sh --for test)"
  sleep 60 &
  target=$!
  strace -qq -e trace=none -e signal=none -p "$target" 2>"$work/try" &
  strace_pid=$!
  until_true tried "$target"
  kill "$target" 2>/dev/null || true
  grep -q . "$work/try" && skip "strace may not attach here ($(head -n 1 "$work/try"))"
  wait "$strace_pid" 2>/dev/null || true
  strace_pid=''

  struck=0
  for call in accept4 socket connect recvfrom recvmsg sendto sendmsg epoll_wait; do
    for error in ENFILE EMFILE ENOBUFS ENOMEM ECONNABORTED EPROTO; do
      start_proxy
      [ "$(ask 60)" = 200 ] || fail "no picture before $call fails with $error"
      inject "$call" "$error"
      stop_proxy
    done
  done
  echo "$struck of 48 pairs of call and error struck"
  [ "$struck" -gt 30 ] || fail "hardly a call was let fail"
}
tried() { traced "$1" || [ -s "$work/try" ]; }
# Every thread of it.
traced() { ! grep -hs '^TracerPid:' "/proc/$1/task/"*/status | grep -q '[[:space:]]0$'; }

inject() {
  : >"$work/strace"
  strace -f -qq -o "$work/strace" -e trace="$1" -e inject="$1:error=$2:when=1+3" -p "$proxy_pid" 2>"$work/try" &
  strace_pid=$!
  until_true traced "$proxy_pid"
  lines=$(wc -l <"$work/log")
  askers=''
  for asker in 1 2 3; do
    ask 10 >"$work/answer.$asker" &
    askers="$askers $!"
  done
  # shellcheck disable=SC2086
  wait $askers
  kill -INT "$strace_pid"
  wait "$strace_pid" || true
  strace_pid=''
  [ "$(ask 60)" = 200 ] || fail "no picture after $1 failed with $2"
  grep -q INJECTED "$work/strace" || return 0
  struck=$((struck + 1))
  sed "1,${lines}d" "$work/log" >"$work/new"
  # A client whose connection breaks is no trouble of the server's.
  case "$1 $2" in
    'recvfrom ENOBUFS' | 'recvfrom ENOMEM' | recvmsg* | sendto* | epoll_wait*) return 0 ;;
  esac
  said=$(words_for "$2")
  grep -q "$said" "$work/new" || fail "the log does not say '$said' after $1"
}
words_for() {
  case $1 in
    ENFILE) echo 'Too many open files in system' ;;
    EMFILE) echo 'Too many open files' ;;
    ENOBUFS) echo 'No buffer space available' ;;
    ENOMEM) echo 'Cannot allocate memory' ;;
    ECONNABORTED) echo 'Software caused connection abort' ;;
    EPROTO) echo 'Protocol error' ;;
  esac
}

names() {
  PRELOAD=$names
  queue="http://queue.test:${sim##*:}"
  for word in again unknown; do
    echo "$word" >"$work/word"
    start_proxy "FAL_QUEUE_URL=$queue" MAX_SUBMIT_ATTEMPTS=10
    ask 60 >"$work/answer" &
    asker=$!
    until_true grep -q 'cannot resolve queue.test' "$work/log"
    echo right >"$work/word"
    wait "$asker"
    [ "$(cat "$work/answer")" = 200 ] || fail "a lookup that failed at first ($word) cost the request"
    stop_proxy
  done

  echo hang >"$work/word"
  start_proxy "FAL_QUEUE_URL=$queue" SHUTDOWN_GRACE_SECONDS=1
  [ "$(ask 1)" = 000 ] || fail "an answer although the queue has no address"
  stop_proxy
  echo 'failing lookups: ok'
}

"$part"
