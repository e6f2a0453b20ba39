#!/bin/sh
# Two builds in two folders give the same bytes. Usage: reproducible.sh [TARGET [FILE]]
# By default a part that builds in seconds: the store of runs. `reproducible.sh falproxy_program bin/falproxy` compares the program.
set -eu
cd "$(dirname -- "$0")/../.."
target=${1:-falproxy_sqlite}
file=${2:-libfalproxy/libfalproxy_sqlite.a}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
export CCACHE_DISABLE=1
sums=''
for folder in one another-folder-with-a-longer-name; do
  tree="$work/$folder"
  mkdir -p "$tree/build"
  git ls-files -z --cached --others --exclude-standard -- . ':!docs/images' | xargs -0 cp --parents -t "$tree" 2>/dev/null || true
  [ ! -d build/deps ] || cp -r build/deps "$tree/build/deps"
  (cd "$tree" && cmake --preset release -DFALPROXY_TESTS=OFF -DFALPROXY_EXAMPLES=OFF -DFALPROXY_DEMO=OFF \
    -DCMAKE_OPTIMIZE_DEPENDENCIES=ON >"$work/log" 2>&1 &&
    cmake --build --preset release --target "$target" >>"$work/log" 2>&1) || { tail -n 20 "$work/log"; exit 1; }
  sum=$(sha256sum <"$tree/build/release/$file")
  echo "$folder: $sum"
  [ -z "$sums" ] || [ "$sums" = "$sum" ] || { echo "$file differs"; exit 1; }
  sums=$sum
done
