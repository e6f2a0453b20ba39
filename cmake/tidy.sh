#!/bin/sh
# Runs clang-tidy over every source file; its findings are errors.
# Usage: sh cmake/tidy.sh [--since COMMIT]      only what changed since, and what includes that
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)"
sh cmake/deps.sh --for tidy
cmake --preset tidy >/dev/null

list=build/tidy/sources
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' build/tidy/compile_commands.json >"$list.all"
if [ "${1:-}" = --since ]; then
  # Each file with what it includes; then, round by round, who includes what is already in.
  git diff --name-only "$2" >"$list.changed"
  { git ls-files '*.cpp' '*.hpp'; find build/tidy -name 'unity_*.cxx'; } | xargs grep -H '^#include [<"]' |
    awk -v top="$PWD/" '
      FNR == NR { taken[$0]; next }
      {
        file = $0; sub(/:#include.*/, "", file)
        named = $0; sub(/.*:#include [<"]/, "", named); sub(/[>"].*/, "", named); sub("^" top, "", named)
        includes[++count] = file SUBSEP named
      }
      END {
        do {
          grew = 0
          for (path in taken) {
            # By each of its ends: "job.hpp", "runs/job.hpp", ...
            for (end = path; end != ""; end = rest) { ends[end]; rest = end; if (!sub(/^[^\/]*\//, "", rest)) rest = "" }
          }
          for (i = 1; i <= count; ++i) {
            split(includes[i], pair, SUBSEP)
            if (pair[2] in ends && !(pair[1] in taken)) { taken[pair[1]]; grew = 1 }
          }
        } while (grew)
        for (path in taken) print top path
      }' "$list.changed" - | sort >"$list.touched"
  sort "$list.all" | comm -12 - "$list.touched" >"$list"
else
  cp "$list.all" "$list"
fi
echo "tidy: $(wc -l <"$list") of $(wc -l <"$list.all") files"

run() { xargs -r -d '\n' -n 1 -P "$(nproc)" clang-tidy --quiet --warnings-as-errors='*' -p build/tidy "$@" 2>build/tidy/log; }
failed=0
grep -v '/tests/' "$list" | run || failed=1
# Tests need not be fast, make large strings on purpose, and the one file of a room includes .cpp files as it is meant to.
grep '/tests/' "$list" | run --checks=-performance-*,-bugprone-string-constructor,-bugprone-suspicious-include || failed=1
exit $failed
