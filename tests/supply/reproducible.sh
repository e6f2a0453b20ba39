#!/bin/sh
# Two builds in two folders give the same bytes. Usage: reproducible.sh [TARGET FILE...]
# By default a part that builds in seconds: the store of runs. `reproducible.sh falproxy_program bin/falproxy falproxy.cdx.json` compares the
# program, the page in it, and the list of its parts: two whole builds.
set -eu
cd "$(dirname -- "$0")/../.."
target=${1:-falproxy_sqlite}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- libfalproxy/libfalproxy_sqlite.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
export CCACHE_DISABLE=1
sums=''
for folder in one another-folder-with-a-longer-name; do
  tree="$work/$folder"
  mkdir -p "$tree/build"
  tar -c --exclude=./build --exclude=./.git --exclude=node_modules --exclude=./docs/images . | tar -x -C "$tree"
  [ ! -d build/deps ] || cp -r build/deps "$tree/build/deps"
  (cd "$tree" && cmake --preset release -DFALPROXY_TESTS=OFF -DFALPROXY_EXAMPLES=OFF -DFALPROXY_DEMO=OFF -DCMAKE_OPTIMIZE_DEPENDENCIES=ON >"$work/log" 2>&1 &&
    cmake --build --preset release --target "$target" >>"$work/log" 2>&1) || { tail -n 20 "$work/log"; exit 1; }
  sum=$(cd "$tree/build/release" && sha256sum "$@")
  echo "$folder:
$sum"
  [ -z "$sums" ] || [ "$sums" = "$sum" ] || { echo 'they differ'; exit 1; }
  sums=$sum
done
