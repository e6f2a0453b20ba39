#!/bin/sh
# Records a fetch from falsim, stops falsim, and plays it back. Usage: custom_transport_test.sh BIN_DIR SCRATCH_DIR
set -eu
bin=$1
work=$2/custom_transport
rm -rf "$work"
mkdir -p "$work"
"$bin/falsim" >"$work/falsim.txt" 2>&1 &
sim=$!
trap 'kill "$sim" 2>/dev/null || true' EXIT
url=
while [ -z "$url" ]; do
  kill -0 "$sim"
  url=$(sed -n 's/^FAL_SCHEMA_URL="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$work/falsim.txt")
done
url="$url?endpoint_id=fal-ai/flux/dev"
"$bin/custom_transport" record "$work/exchanges.jsonl" "$url" >"$work/recorded.txt"
kill "$sim"
wait "$sim" 2>/dev/null || true
"$bin/custom_transport" replay "$work/exchanges.jsonl" "$url" >"$work/replayed.txt"
grep -q '^200, ' "$work/recorded.txt"
cmp "$work/recorded.txt" "$work/replayed.txt"
echo "recorded and replayed: $(cat "$work/replayed.txt")"
