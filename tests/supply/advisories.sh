#!/bin/sh
# Whether an advisory reaches what was built, or what may be built at the least. Usage: advisories.sh falproxy.cdx.json [LIST]
# It prints each one that is for a version built here, but does not reach falproxy.
set -eu
sbom=$1
cd "$(dirname -- "$0")/../.."
list=${2:-packaging/advisories.txt}
# no_older A B: is version A at least B?
no_older() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
built() { tr -d '\n' <"$sbom" | sed 's/"bom-ref"/\n&/g' | sed -n "s/^\"bom-ref\": \"$1\".*\"version\": \"\([^\"]*\)\".*/\1/p" | head -n 1; }
# The least version that cmake/ takes; nothing, if it takes any.
least() {
  case $1 in
    cpp-httplib) sed -n 's/^least=\([0-9.]*\).*/\1/p' cmake/deps.sh; return ;;
    openssl) name=OpenSSL ;;
    sqlite) name=SQLite3 ;;
    libsndfile) name=sndfile ;;
    *) name=$1 ;;
  esac
  sed -n "s/^ *find_package($name \([0-9.]*\).*/\1/p; s/^ *pkg_check_modules(.* $name>=\([0-9.]*\).*/\1/p" cmake/dependencies.cmake | head -n 1
}
bad=0 rows=0 unreached=0 told=0
while IFS='|' read -r package mended which reaches why; do
  package=$(echo "$package" | tr -d ' ') mended=$(echo "$mended" | tr -d ' ') reaches=$(echo "$reaches" | tr -d ' ')
  case $package in ''|'#'*) continue ;; esac
  rows=$((rows + 1))
  case "$mended:$reaches" in
    [0-9]*:yes|[0-9]*:no|[0-9]*:system) ;;
    *) echo "$list: not understood: $package | $mended |$which| $reaches |$why"; bad=1; continue ;;
  esac
  [ -n "$(echo "$why" | tr -d ' ')" ] || { echo "$list: $package,$which: says no reason"; bad=1; }
  have=$(built "$package")
  [ -n "$have" ] || { echo "$list: $package is no part of falproxy"; bad=1; continue; }
  if [ "$reaches" = no ]; then
    no_older "$have" "$mended" || { echo "not reached: $package $have:$which; mended in $mended. Why:$why"; unreached=$((unreached + 1)); }
    continue
  fi
  if [ "$reaches" = system ]; then
    no_older "$have" "$mended" || { echo "look at the system's updates: $package $have:$which; mended in $mended.$why"; told=$((told + 1)); }
    continue
  fi
  for version in "$have" "$(least "$package")"; do
    no_older "${version:-$have}" "$mended" || { echo "$package $version:$which; mended in $mended.$why"; bad=1; }
  done
done <"$list"
[ "$rows" -gt 0 ] || { echo "$list has no row"; exit 1; }
[ "$bad" -ne 0 ] || echo "$rows advisories: $unreached are for versions built here, and none of those reaches falproxy; $told may, if the system has not mended them"
exit "$bad"
