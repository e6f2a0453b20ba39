#!/bin/sh
# Usage: run.sh BIN_DIR TEST.mjs... Exit status 77 (skipped) if Node.js, the packages or, for browser.test.mjs, Chromium
# are absent.
set -eu
cd "$(dirname -- "$0")"
skip() { echo "skipped: $1"; exit 77; }
command -v node >/dev/null 2>&1 || skip "no Node.js 20 or newer (sh cmake/deps.sh --for clients)"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "Node.js $(node --version) is older than 20"
[ -d node_modules/openai ] || skip "its packages are missing (npm ci in tests/clients)"
FALPROXY_BIN=$1
export FALPROXY_BIN
shift
case "$*" in
  *browser*) [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "no Chromium (sh cmake/deps.sh --for browser)" ;;
esac
exec node --test --test-concurrency=1 --test-reporter=spec "$@"
