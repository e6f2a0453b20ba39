#!/bin/sh
# Every command and every option that a program's --help lists has its place in the manual page. Usage: manual.sh PROGRAM PAGE.gz
set -eu
program=$1 page=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
zcat "$page" | sed 's/\\-/-/g' >"$work/page"
"$program" --help >"$work/help"
status=0 seen=0
has() { seen=$((seen + 1)); grep -qxF -- "$1" "$work/$2" || { echo "the manual of ${program##*/} lacks '$1'${3:+ of $3}"; status=1; }; }
# options_in HELP SECTION [COMMAND]: each row of HELP that begins with an option is in SECTION.
options_in() {
  sed -n 's/^  \(--[^ ]*\( [^ ]\{1,\}\)*\)\(  .*\)*$/\1/p' "$1" >"$work/options"
  while IFS= read -r option; do has ".B $option" "$2" "${3:-}"; done <"$work/options"
}
options_in "$work/help" page
for command in $(sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' "$work/help"); do
  has ".B $command" page
  has ".SS falproxy $command" page
  "$program" "$command" --help >"$work/command"
  awk -v title=".SS falproxy $command" '/^\.S[SH] /{on = ($0 == title)} on' "$work/page" >"$work/section"
  options_in "$work/command" section "$command"
done
[ "$seen" -gt 15 ] || { echo "only $seen commands and options were seen"; status=1; }
exit "$status"
