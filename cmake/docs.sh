#!/bin/sh
# Makes the docs a site with a search, in build/site/VERSION: README, the pages of docs/, and the headers if doxygen is there.
# A link that leads nowhere ends it. Usage: sh cmake/docs.sh
set -eu
cd "$(dirname -- "$0")/.."
if [ ! -d docs/site/node_modules/vitepress ]; then
  sh cmake/deps.sh --for docs
  (cd docs/site && npm ci --no-audit --no-fund --silent)
fi
version=$(sed -n 's/^project(falproxy VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
if command -v doxygen >/dev/null 2>&1; then doxygen docs/Doxyfile
else echo 'docs: no doxygen, so the headers are left out'
fi
node docs/site/node_modules/vitepress/bin/vitepress.js build docs/site
node tests/docs/site.mjs "build/site/$version"
echo "docs: python3 -m http.server -d build/site shows it at http://localhost:8000/$version/"
