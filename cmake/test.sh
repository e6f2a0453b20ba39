#!/bin/sh
# Installs what is missing, builds everything, and runs the tests. Arguments go to ctest, e.g. -R runs.
# Its last lines say which tests were left out and why; the very last is "N passed, N failed, N skipped".
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
sh "$top/cmake/deps.sh" --for test
cd "$top"
if [ ! -f build/release/build.ninja ]; then
  echo 'test: the first build of everything takes about 20 minutes on two cores, and 600 MB in build/'
  cmake --preset release
fi
cmake --build --preset release

report="$top/build/release/tests.xml"
rm -f "$report"
status=0
# Many tests wait for servers more than they compute.
ctest --preset release -j $((2 * $(nproc))) --output-junit "$report" "$@" || status=$?
[ -f "$report" ] || exit "$status"

# Whatever a test leaves out, it says in a line that begins with "skipped: ".
awk '
  /<testcase / { name = $0; sub(/.* name="/, "", name); sub(/".*/, "", name) }
  sub(/^.*skipped: /, "") && !told[name]++ {
    gsub(/&quot;/, "\""); gsub(/&lt;/, "<"); gsub(/&gt;/, ">"); gsub(/&amp;/, "\\&"); sub(/<\/system-out>/, "")
    if (!count++) print "\nLeft out:"
    print "  " name ": " $0
  }' "$report"
count() { sed -n "s/.*<testcase .* status=\"$1\".*/x/p" "$report" | grep -c x || true; }
printf '%s passed, %s failed, %s skipped\n' "$(count run)" "$(count fail)" "$(count notrun)"
exit "$status"
