#!/bin/sh
# The docs become a site in which every link leads somewhere. Exit status 77 (skipped) if Node.js or the packages are absent.
set -eu
cd "$(dirname -- "$0")/../.."
command -v node >/dev/null 2>&1 || { echo 'skipped: no Node.js (sh cmake/deps.sh --for docs)'; exit 77; }
[ -d docs/site/node_modules/vitepress ] || { echo 'skipped: its packages are missing (npm ci in docs/site)'; exit 77; }
exec sh cmake/docs.sh
