#!/bin/sh
# Installs the built falproxy into a scratch prefix, and builds and runs a consumer of the kind named.
# Usage: run.sh pure|http|subdirectory|pkg-config BUILD_DIR
set -eu
kind=$1
build=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(CDPATH='' cd -- "$here/../.." && pwd)
work="$build/package/$kind"
rm -rf "$work"
mkdir -p "$work"
document="$top/examples/painter.json"

check_translation() {
  "$1" "a red fox" <"$document" >"$work/input.json"
  grep -q '"prompt": "a red fox"' "$work/input.json"
  grep -q '"width": 1024' "$work/input.json"
  grep -q '"height": 768' "$work/input.json"
}

if [ "$kind" != subdirectory ]; then
  cmake --install "$build" --prefix "$work/prefix" --component development >"$work/install.log"
fi
case "$kind" in
  pure)
    cmake -G Ninja -S "$here/pure" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    check_translation "$work/build/consumer"
    # What the consumer is compiled with names no JSON library of ours.
    ! grep -rqs 'nlohmann' "$work/prefix/include" ;;
  http)
    cmake -G Ninja -S "$here/http" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    "$work/build/consumer" ;;
  subdirectory)
    cmake -G Ninja -S "$here/subdirectory" -B "$work/build" -DFALPROXY_SOURCE="$top"
    cmake --build "$work/build"
    check_translation "$work/build/consumer" ;;
  pkg-config)
    PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name falproxy.pc)")
    export PKG_CONFIG_PATH
    flags=$(pkg-config --define-variable=prefix="$work/prefix" --cflags --libs falproxy)
    # shellcheck disable=SC2086
    c++ -o "$work/consumer" "$top/examples/translate_only.cpp" $flags
    check_translation "$work/consumer" ;;
  *) echo "unknown kind '$kind'" >&2; exit 2 ;;
esac
echo "$kind consumer: ok"
