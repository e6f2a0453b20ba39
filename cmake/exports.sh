#!/bin/sh
# Compares what the shared libraries in a folder export with what packaging/exports says: functions and data that are compiled
# into them, as the programmer knows them. What a header defines inline is not among them, since that differs by compiler, as do
# tables of virtual functions; nor is a class Impl or State within a public one, which is visible with it, but which no header shows.
# Usage: sh cmake/exports.sh FOLDER             fails if they differ
#        sh cmake/exports.sh FOLDER --renew     writes packaging/exports anew: read the difference before it is committed
set -eu
folder=$1
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for name in falproxy falproxy_http falproxy_png falproxy_sqlite falproxy_testing; do
  nm -DC --defined-only "$folder/lib$name.so" >"$work/all"
  sed -n 's/^[0-9a-f]* [TDBR] falproxy::/falproxy::/p' "$work/all" | grep -v '^falproxy::\([a-zA-Z0-9_]*::\)*\(Impl\|State\)::' |
    LC_ALL=C sort -u >"$work/$name"
  [ -s "$work/$name" ] || { echo "lib$name.so exports nothing" >&2; exit 1; }
  # Inline or not, what it exports is ours.
  ! sed 's/^[0-9a-f]* . //' "$work/all" | grep -v 'falproxy::' || { echo "lib$name.so exports what is not ours" >&2; status=1; }
  if [ "${2:-}" = --renew ]; then cp "$work/$name" "$top/packaging/exports/$name.txt"; continue; fi
  diff -u "$top/packaging/exports/$name.txt" "$work/$name" || status=1
done
[ "$status" -eq 0 ] || echo "To renew the lists: sh cmake/exports.sh $folder --renew" >&2
exit "$status"
