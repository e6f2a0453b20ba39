#!/bin/sh
# Installs the built falproxy into a scratch prefix, and builds and runs a consumer of the kind named.
# Usage: run.sh pure|http|sqlite|testing|frameworks|subdirectory|fetchcontent|pkg-config|service BUILD_DIR
# Exit status 77 (skipped) if a test framework is missing.
set -eu
kind=$1
build=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(CDPATH='' cd -- "$here/../.." && pwd)
work="$build/package/$kind"
rm -rf "$work"
mkdir -p "$work"
document="$top/examples/painter.json"

install_into() {  # install_into PREFIX COMPONENT
  cmake --install "$build" --prefix "$1" --component "$2" >"$work/install.log"
}

check_translation() {
  "$1" "a red fox" <"$document" >"$work/input.json"
  grep -q '"prompt": "a red fox"' "$work/input.json"
  grep -q '"width": 1024' "$work/input.json"
  grep -q '"height": 768' "$work/input.json"
}

# Needs no OpenSSL, and is small: what somebody's unit test may cost.
check_pure() {
  if ldd "$1" | grep -E 'ssl|crypto'; then return 1; fi
  strip -o "$1.stripped" "$1"
  size=$(wc -c <"$1.stripped")
  echo "$1: $size bytes stripped"
  [ "$size" -lt 1500000 ]
}

skip() { echo "skipped: $1"; exit 77; }

# needs_header FRAMEWORK HEADER...: any of them will do.
needs_header() {
  framework=$1
  shift
  for header; do
    printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$header" | c++ -E -x c++ - >/dev/null 2>&1 && return 0
  done
  skip "no $framework (sh cmake/deps.sh --for package)"
}

# check_failures PROGRAM ARGUMENTS...: every assertion fails, and shows both its sides.
check_failures() {
  if "$@" >"$1.log" 2>&1; then echo "$1 succeeds" >&2; return 1; fi
  while IFS= read -r side; do
    grep -qF -- "$side" "$1.log" || { cat "$1.log"; echo "$1 does not show: $side" >&2; return 1; }
  done <"$here/frameworks/shown.txt"
}

# The program that an installed unit starts.
started_by() { sed -n 's/^ExecStart="\([^"]*\)".*/\1/p' "$1"; }

case "$kind" in
  pure)
    install_into "$work/prefix" development
    cmake -G Ninja -S "$here/pure" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    check_translation "$work/build/consumer"
    "$work/build/mapping" <"$document" | grep -qxF '{"image_size":{"height":1024,"width":1536},"num_images":1,"prompt":"x"}'
    check_pure "$work/build/mapping"
    # What the consumer is compiled with names no JSON library of ours.
    if grep -rs 'nlohmann' "$work/prefix/include"; then exit 1; fi ;;
  http)
    install_into "$work/prefix" development
    cmake -G Ninja -S "$here/http" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    "$work/build/consumer"
    sh "$top/examples/in_process_generate_test.sh" "$work/build/generate" "$build/bin/falsim" "$work/generate" ;;
  sqlite)
    install_into "$work/prefix" development
    cmake -G Ninja -S "$here/sqlite" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    [ "$("$work/build/consumer" "$work/state")" = sqlite ]
    # What does not ask for it does without SQLite.
    ! grep -q 'sqlite' "$work/prefix/lib/cmake/falproxy/falproxy-targets.cmake"
    # By pkg-config, too.
    PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name falproxy-sqlite.pc)")
    export PKG_CONFIG_PATH
    eval "set -- $(pkg-config --cflags --libs falproxy-sqlite)"
    c++ -o "$work/linked" "$here/sqlite/consumer.cpp" "$@"
    [ "$("$work/linked" "$work/state")" = sqlite ] ;;
  testing)
    install_into "$work/prefix" development
    cmake -G Ninja -S "$here/testing" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    "$work/build/consumer"
    "$work/build/mapping" "$document"
    check_pure "$work/build/mapping" ;;
  frameworks)
    needs_header doctest doctest/doctest.h
    needs_header Catch2 catch2/catch_test_macros.hpp catch2/catch.hpp
    needs_header GoogleTest gtest/gtest.h
    install_into "$work/prefix" development
    cmake -G Ninja -S "$here/frameworks" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build"
    check_failures "$work/build/with_doctest"
    # Its other reporter breaks lines.
    check_failures "$work/build/with_catch2" --reporter compact
    check_failures "$work/build/with_gtest" ;;
  subdirectory)
    cmake -G Ninja -S "$here/subdirectory" -B "$work/build" -DFALPROXY_SOURCE="$top"
    cmake --build "$work/build"
    check_translation "$work/build/consumer" ;;
  fetchcontent)
    cmake -G Ninja -S "$here/fetchcontent" -B "$work/build" -DFALPROXY_SOURCE="$top"
    cmake --build "$work/build"
    check_translation "$work/build/consumer"
    "$work/build/fetch"
    "$work/build/fal"
    sh "$top/cmake/exports.sh" "$work/build/lib"
    # Installed, they are found by the name that a program was linked with: the version up to the minor one.
    cmake --install "$work/build" --prefix "$work/prefix" --component development >"$work/install.log"
    cmake -G Ninja -S "$here/pure" -B "$work/stranger" -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/stranger"
    check_translation "$work/stranger/consumer"
    version=$(sed -n 's/^project(falproxy VERSION \([0-9]*\.[0-9]*\)\..*/\1/p' "$top/CMakeLists.txt")
    readelf -d "$work/stranger/consumer" | grep -q "NEEDED.*\[libfalproxy\.so\.$version\]" ;;
  pkg-config)
    # A prefix that no configuration knew of, and a tree that is moved after it was installed.
    install_into "$work/prefix" development
    mv "$work/prefix" "$work/moved here"
    PKG_CONFIG_PATH=$(dirname "$(find "$work/moved here" -name falproxy.pc)")
    export PKG_CONFIG_PATH
    # pkg-config quotes the blanks of a path for a shell to read.
    eval "set -- $(pkg-config --cflags --libs falproxy)"
    c++ -o "$work/consumer" "$top/examples/translate_only.cpp" "$@"
    check_translation "$work/consumer" ;;
  service)
    # The unit starts the program that was installed with it: by a relative prefix, too, and staged for a package.
    (cd "$work" && cmake --install "$build" --prefix prefix --component programs >install.log)
    program=$(started_by "$work/prefix/lib/systemd/system/falproxy.service")
    [ "$program" = "$work/prefix/bin/falproxy" ] && [ -x "$program" ]
    DESTDIR="$work/staged" install_into /usr programs
    program=$(started_by "$work/staged/usr/lib/systemd/system/falproxy.service")
    [ "$program" = /usr/bin/falproxy ] && [ -x "$work/staged$program" ] ;;
  *) echo "unknown kind '$kind'" >&2; exit 2 ;;
esac
echo "$kind: ok"
