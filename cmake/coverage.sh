#!/bin/sh
# Prints line and branch coverage of libfalproxy from the last run of the coverage preset's tests.
set -eu
cd "$(dirname -- "$0")/.."
gcovr --root . --filter 'libfalproxy/' --exclude-throw-branches --exclude-unreachable-branches \
  --gcov-ignore-parse-errors --print-summary --txt build/coverage/coverage.txt build/coverage
cat build/coverage/coverage.txt
