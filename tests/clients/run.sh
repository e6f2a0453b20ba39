#!/bin/sh
# Usage: run.sh BIN_DIR TEST.mjs... Exit status 77 (skipped) where Node.js, the packages or, for browser.test.mjs, Chromium
# are absent, unless FALPROXY_REQUIRE_CLIENTS is set.
set -eu
cd "$(dirname -- "$0")"
skip() {
  echo "skipped: $1"
  [ -z "${FALPROXY_REQUIRE_CLIENTS:-}" ] || exit 1
  exit 77
}
command -v node >/dev/null 2>&1 || skip "no Node.js"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "Node.js is older than 20"
[ -d node_modules/openai ] || skip "no packages (npm ci in tests/clients)"
FALPROXY_BIN=$1
export FALPROXY_BIN
shift
case "$*" in
  *browser*) [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "no Chromium (sh cmake/deps.sh --for browser)" ;;
esac
exec node --test --test-concurrency=1 --test-reporter=spec "$@"
