#!/bin/sh
# Each program is position-independent, with full RELRO, a stack that is not executable, a stack protector and fortified calls.
# Usage: hardened.sh PROGRAM...
set -eu
command -v readelf >/dev/null 2>&1 || { echo 'skipped: no readelf (binutils)'; exit 77; }
bad=0
must() {  # must WHAT OPTION PATTERN
  readelf "$2" -W "$program" | grep -qE "$3" || { echo "$program: $1"; bad=1; }
}
for program in "$@"; do
  must 'is not position-independent (PIE)' -h 'Type: +DYN'
  must 'is a library, and no program (PIE)' -d 'FLAGS_1.*PIE'
  must 'binds its symbols late (-z now)' -d 'BIND_NOW|FLAGS_1.*NOW'
  must 'has no RELRO' -l 'GNU_RELRO'
  must 'has an executable stack' -l 'GNU_STACK +[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ RW +'
  must 'has no stack protector' -s '__stack_chk_fail'
  must 'has no fortified call (_FORTIFY_SOURCE)' -s '__[a-z]+_chk(@| |$)'
  ! readelf -d "$program" | grep -qE 'RPATH|RUNPATH' || { echo "$program: loads from a folder of its own (RPATH)"; bad=1; }
done
[ "$bad" -ne 0 ] || echo 'PIE, RELRO, BIND_NOW, no executable stack, stack protector, fortified calls'
exit "$bad"
