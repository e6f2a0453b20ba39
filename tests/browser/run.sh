#!/bin/sh
# Usage: run.sh BIN_DIR BUILD_DIR. Exit status 77 (skipped) if Node.js, Chromium or the packages are absent.
set -eu
cd "$(dirname -- "$0")"
skip() { echo "skipped: $1"; exit 77; }
command -v node >/dev/null 2>&1 || skip "no Node.js (sh cmake/deps.sh --for browser)"
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "no Chromium (sh cmake/deps.sh --for browser)"
[ -d node_modules/playwright-core ] || skip "its packages are missing (npm ci in tests/browser)"
[ -d ../s3/node_modules/s3rver ] || skip "the package of tests/s3 is missing (npm ci in tests/s3)"
# The limit is of a file and of each test in it: a test without an end says so before ctest ends it all.
FALPROXY_BIN=$1 FALPROXY_SHOTS=$2/screenshots exec node --test --test-timeout=600000 --test-concurrency=1 --test-reporter=spec *.test.mjs
