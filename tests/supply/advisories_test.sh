#!/bin/sh
# advisories.sh finds what it should, in made-up lists. Usage: advisories_test.sh falproxy.cdx.json
set -eu
sbom=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
# try STATUS WORDS ROW: what the list of that row gives.
try() {
  printf '%s\n' "$3" >"$work/list"
  status=0
  said=$(sh "$here/advisories.sh" "$sbom" "$work/list") || status=$?
  [ "$status" -eq "$1" ] || { echo "status $status, not $1, for: $3"; exit 1; }
  case $said in *"$2"*) ;; *) printf '%s\n' "no '$2' for: $3" "$said"; exit 1 ;; esac
}
try 1 'made up ; mended in 999.0' 'cpp-httplib | 999.0 | made up | yes | take a newer one'
try 1 'openssl 3.0:' 'openssl | 3.0.1 | made up | yes | ask for a newer one'
try 1 'hiredis 0.14:' 'hiredis | 0.14.1 | made up | yes | ask for a newer one'
try 0 '1 advisories: 0 are' 'openssl | 3.0 | made up | yes | ask for a newer one'
try 0 'not reached: cpp-httplib' 'cpp-httplib | 999.0 | made up | no | it is not called'
try 0 '1 advisories: 0 are' 'cpp-httplib | 0.1.0 | made up | no | it is not called'
try 0 '1 advisories: 0 are' 'cpp-httplib | 0.1.0 | made up | yes | take a newer one'
try 0 'look at the system' 'openssl | 999.0 | made up | system | take what the distribution has'
try 0 '0 may, if' 'openssl | 1.0 | made up | system | take what the distribution has'
try 1 'says no reason' 'cpp-httplib | 999.0 | made up | no | '
try 1 'is no part of falproxy' 'left-pad | 1.0 | made up | yes | take a newer one'
try 1 'not understood' 'cpp-httplib | soon | made up | yes | take a newer one'
try 1 'has no row' '# nothing'
echo 'advisories.sh finds what it should'
