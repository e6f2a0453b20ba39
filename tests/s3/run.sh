#!/bin/sh
# Usage: run.sh BIN_DIR. Exit status 77 (skipped) if Node.js or the package is absent.
set -eu
cd "$(dirname -- "$0")"
skip() { echo "skipped: $1"; exit 77; }
command -v node >/dev/null 2>&1 || skip "no Node.js 20 or newer (sh cmake/deps.sh --for clients)"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "Node.js $(node --version) is older than 20"
[ -d node_modules/s3rver ] || skip "its package is missing (npm ci in tests/s3)"
FALPROXY_BIN=$1
export FALPROXY_BIN
exec node --no-deprecation --test --test-concurrency=1 --test-reporter=spec s3.test.mjs
