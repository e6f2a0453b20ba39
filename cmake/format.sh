#!/bin/sh
# Formats the C++ files named, or all of them. --check changes nothing, names the files that are not formatted, and fails.
# One version for everybody, since each version breaks lines in its own way. Exit status 77 (skipped) without it.
# Usage: sh cmake/format.sh [--check] [FILE...]
set -eu
cd "$(dirname -- "$0")/.."
version=19
if [ "${1:-}" = --check ]; then mode='--dry-run -Werror'; shift
else mode=-i; sh cmake/deps.sh --for format
fi
tool=clang-format-$version
command -v "$tool" >/dev/null 2>&1 || tool=clang-format
"$tool" --version 2>/dev/null | grep -q "version $version\." ||
  { echo "skipped: no clang-format $version (sh cmake/deps.sh --for format)"; exit 77; }
[ $# -gt 0 ] || set -- $(find libfalproxy apps examples tests -name node_modules -prune -o '(' -name '*.cpp' -o -name '*.hpp' ')' -print)
# shellcheck disable=SC2086
exec "$tool" $mode "$@"
