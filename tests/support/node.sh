#!/bin/sh
# Runs a test of Node.js. Usage: node.sh TEST.mjs [ARGUMENTS]. Exit status 77 (skipped) without Node.js 20 or newer.
command -v node >/dev/null 2>&1 || { echo 'skipped: no Node.js 20 or newer (sh cmake/deps.sh --for clients)'; exit 77; }
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "skipped: Node.js $(node --version) is older than 20"; exit 77; }
exec node "$@"
