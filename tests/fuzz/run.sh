#!/bin/sh
# Builds the fuzzers (clang) and runs each for SECONDS, two at a time. What they find is kept in build/fuzz/findings.
# Usage: sh tests/fuzz/run.sh [SECONDS [NAME...]]      a night: sh tests/fuzz/run.sh 4000
# FUZZ_SEED makes a run the same each time; without it every run is another.
set -eu

seconds=${1:-60}
[ $# -eq 0 ] || shift
cd "$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)"
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls ./*.cpp | sed 's#^\./##; s#\.cpp$##')

sh cmake/deps.sh --for fuzz
cmake --preset fuzz >/dev/null
for name in "$@"; do targets="${targets:-} fuzz_$name"; done
# shellcheck disable=SC2086
cmake --build --preset fuzz --target $targets

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build/fuzz/findings

# run NAME: new inputs go to build/fuzz/corpus, the seeds in the source tree stay as they are.
run() {
  mkdir -p "build/fuzz/corpus/$1"
  dictionary=$(ls "tests/fuzz/$1.dict" 2>/dev/null || true)
  if "build/fuzz/bin/fuzz_$1" -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
    ${dictionary:+-dict="$dictionary"} -artifact_prefix="build/fuzz/findings/$1-" "build/fuzz/corpus/$1" "tests/fuzz/corpus/$1" \
    >"build/fuzz/$1.log" 2>&1; then
    echo "fuzz_$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$1.log") inputs, nothing found"
  else
    echo "fuzz_$1: FAILED"
    grep -v '^#' "build/fuzz/$1.log" | tail -n 40
    return 1
  fi
}

failed=0
while [ $# -gt 0 ]; do
  first=$1
  shift
  run "$first" &
  job=$!
  if [ $# -gt 0 ]; then
    second=$1
    shift
    run "$second" || failed=$((failed + 1))
  fi
  wait "$job" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || { echo "$failed failed; the inputs are in build/fuzz/findings"; exit 1; }
