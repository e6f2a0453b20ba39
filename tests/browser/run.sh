#!/bin/sh
# Usage: run.sh BIN_DIR BUILD_DIR. Exit status 77 (skipped) where Node.js, Chromium or the packages are absent, unless
# FALPROXY_REQUIRE_CLIENTS is set.
set -eu
cd "$(dirname -- "$0")"
skip() {
  echo "skipped: $1"
  [ -z "${FALPROXY_REQUIRE_CLIENTS:-}" ] || exit 1
  exit 77
}
command -v node >/dev/null 2>&1 || skip "no Node.js"
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "no Chromium (sh cmake/deps.sh --for browser)"
[ -d node_modules/playwright-core ] || skip "no packages (npm ci in tests/browser)"
FALPROXY_BIN=$1 FALPROXY_SHOTS=$2/screenshots exec node --test --test-reporter=spec playground.test.mjs
