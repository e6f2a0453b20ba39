#!/bin/sh
# Writes the manual page of a program, out of nothing but what the program says to --help.
# Usage: manual.sh PROGRAM NAME WHAT_IT_IS VERSION OUTPUT.gz
set -eu
program=$1 name=$2 what=$3 version=$4 output=$5

# Files, so that a help that fails is noticed. That of each command stands below a line "@NAME COMMAND".
text=$(mktemp -d)
trap 'rm -rf "$text"' EXIT
"$program" --help >"$text/help"
# The rows of commands are those that begin with a plain word.
for command in $(sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' "$text/help"); do
  echo "@$name $command" >>"$text/help"
  "$program" "$command" --help >>"$text/help"
done

{
  printf '.TH %s 1 "" "falproxy %s" "User Commands"\n' "$(printf %s "$name" | tr '[:lower:]' '[:upper:]')" "$version"
  printf '.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n' "$name" "$what"
  sed -n 's/-/\\-/g; s/^Usage: /.B /p; /^@/q' "$text/help"
  echo '.SH DESCRIPTION'
  # Rows of two columns become lists. A sentence that an earlier help said is not repeated.
  awk '
    function roff(words) {
      gsub(/\\/, "\\e", words); gsub(/-/, "\\-", words); sub(/^[.\047]/, "\\\\\\&&", words)
      return words
    }
    { line = $0; sub(/^ +/, "", line); indent = length($0) - length(line) }
    /^@/ { if (!commands++) print ".SH COMMANDS"; print ".SS " roff(substr(line, 2)); next }
    /^Usage: / { if (commands) print ".B " roff(substr(line, 8)); next }
    /^Options:$/ { print ".SH OPTIONS"; next }
    line == "" { open = 0; next }
    indent == 0 && told[line]++ { next }
    indent == 0 { if (!open++) print ".PP"; print roff(line); next }
    match(line, /  +/) { print ".TP\n.B " roff(substr(line, 1, RSTART - 1)) "\n" roff(substr(line, RSTART + RLENGTH)); next }
    indent == 2 { print ".TP\n.B " roff(line); next }
    { print roff(line) }' "$text/help"
} >"$text/page"
gzip -9nc "$text/page" >"$output"
