#!/bin/sh
# Installs what is missing, builds everything, and runs every test. Arguments go to ctest, e.g. -R gateway.
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
sh "$top/cmake/deps.sh"
cd "$top"
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release
exec ctest --preset release "$@"
