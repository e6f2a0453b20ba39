#!/bin/sh
# Reads all parts of the library, and each public header by itself, with a compiler, and makes nothing of it. What the headers
# of OpenSSL, libpng and SQLite need must be there; the other packages are those of cmake/deps.sh.
# Usage: sh cmake/portability.sh COMPILER [FLAG...]     such as: clang++-19 -stdlib=libc++ -fexperimental-library
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n '/^# Usage: /s/^# //p' "$0" >&2; exit 2; }
compiler=$1
shift
build="$top/build/portability/$(echo "${compiler##*/} $*" | sed "s, *$,,; s,[^a-z0-9+],-,g")"
rm -rf "$build"
mkdir -p "$build"
# The configuration of its own keeps CMake's own checks of the compiler whole. There is nothing to archive. What was read leaves an
# empty object, so that `ninja -k 0 all all_verify_interface_header_sets` in the build folder reads only what changed or failed.
cmake -G Ninja -S "$top" -B "$build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$*" \
  -DCMAKE_BUILD_TYPE=Syntax -DCMAKE_CXX_FLAGS_SYNTAX=-fsyntax-only \
  -DCMAKE_CXX_COMPILE_OBJECT='<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -o <OBJECT> -c <SOURCE>;<CMAKE_COMMAND> -E touch <OBJECT>' \
  -DCMAKE_CXX_ARCHIVE_CREATE=true -DCMAKE_CXX_ARCHIVE_FINISH=true \
  -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DCMAKE_VERIFY_INTERFACE_HEADER_SETS=ON \
  -DFALPROXY_PROGRAMS=OFF -DFALPROXY_DEMO=OFF -DFALPROXY_EXAMPLES=OFF -DFALPROXY_TESTS=OFF ${CMAKE_OPTIONS:-} >"$build/log"
status=0
nice -n 19 ninja -C "$build" -k 0 -j "${JOBS:-1}" all all_verify_interface_header_sets >>"$build/log" 2>&1 || status=$?
echo "$("$compiler" --version | head -n 1) $*: $(grep -c '^\[.*Building CXX' "$build/log") files," \
  "$(grep -c '^FAILED: .*\.o' "$build/log") fail, $(grep -c ': warning: ' "$build/log") warnings; $build/log"
exit "$status"
