#!/bin/sh
# Makes one picture with falsim in fal's place. Usage: in_process_generate_test.sh PROGRAM FALSIM SCRATCH_DIR [PROMPT]
set -eu
program=$1
falsim=$2
work=$3
rm -rf "$work"
mkdir -p "$work"
# A pipe, so that each line is waited for.
mkfifo "$work/lines"
"$falsim" >"$work/lines" 2>&1 &
sim=$!
trap 'kill "$sim" 2>/dev/null || true' EXIT
exec 3<"$work/lines"
media=
while [ -z "$media" ] && IFS= read -r line <&3; do
  case "$line" in
    FAL_MEDIA_HOSTS=*) media=${line#*=} ;;
  esac
  case "$line" in
    FAL_*=*)
      name=${line%%=*}
      value=${line#*=}
      value=${value#\"}
      export "$name=${value%\"}" ;;
  esac
done
[ -n "$media" ] || { echo "falsim did not begin"; exit 1; }
FAL_KEY=any:key "$program" "${4:-a red fox}" "$work/picture.png"
