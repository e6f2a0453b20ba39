#!/bin/sh
# Records a fetch from falsim, stops falsim, and plays it back. Usage: record_and_replay_test.sh BIN_DIR SCRATCH_DIR
set -eu
bin=$1
work=$2/record_and_replay
rm -rf "$work"
mkdir -p "$work"
mkfifo "$work/falsim"
"$bin/falsim" >"$work/falsim" &
sim=$!
trap 'kill "$sim" 2>/dev/null || true' EXIT
# Reading waits for falsim's words, and ends if falsim does. It stays open, so that falsim may go on writing.
exec 3<"$work/falsim"
url=
while [ -z "$url" ]; do
  read -r line <&3
  url=$(printf '%s\n' "$line" | sed -n 's/^FAL_SCHEMA_URL="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p')
done
url="$url?endpoint_id=fal-ai/flux/dev"
"$bin/record_and_replay" record "$work/exchanges.jsonl" "$url" >"$work/recorded.txt"
kill "$sim"
wait "$sim" 2>/dev/null || true
"$bin/record_and_replay" replay "$work/exchanges.jsonl" "$url" >"$work/replayed.txt"
grep -q '^200, ' "$work/recorded.txt"
cmp "$work/recorded.txt" "$work/replayed.txt"
echo "recorded and replayed: $(cat "$work/replayed.txt")"
