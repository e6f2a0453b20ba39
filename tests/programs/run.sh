#!/bin/sh
# Usage: run.sh BIN_DIR. Exit status 77 (skipped) if Node.js or the packages are absent.
set -eu
cd "$(dirname -- "$0")"
skip() { echo "skipped: $1"; exit 77; }
command -v node >/dev/null 2>&1 || skip "no Node.js 20 or newer (sh cmake/deps.sh --for clients)"
[ -d node_modules/@openai ] || skip "its packages are missing (npm ci in tests/programs)"
FALPROXY_BIN=$1
export FALPROXY_BIN
exec node --test --test-concurrency=2 --test-reporter=spec programs.test.mjs flows.test.mjs chats.test.mjs lobechat.test.mjs tools.test.mjs
