#!/bin/sh
# What the Docker image would hold is under 25 MB, on the Debian that the Dockerfile builds on, and falproxy serves out of
# it: without rights, on a file system of which it can write the folder of its state alone.
# Usage: image.sh PROGRAM FALSIM
set -eu
program=$1
sim=$2
cd "$(dirname -- "$0")/../.."
skip() { echo "skipped: $1"; exit 77; }
[ -r /etc/ssl/certs/ca-certificates.crt ] || skip 'no certificates (ca-certificates)'
work=$(mktemp -d)
chmod 755 "$work"
sim_pid='' proxy_pid=''
finish() {
  for pid in $proxy_pid $sim_pid; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
fail() { echo "$*"; cat "$work/log" 2>/dev/null; exit 1; }

sh cmake/image.sh "$program" "$work/image"
size=$(du -sb --apparent-size "$work/image" | cut -f1)
echo "the image holds $(find "$work/image" -type f | wc -l) files, $size bytes"
# Another system's libraries weigh something else.
base=$(sed -n 's/^FROM debian:\([a-z]*\).* AS build$/\1/p' Dockerfile)
[ -n "$base" ] || fail 'the Dockerfile names no Debian that it builds on'
if grep -qx "VERSION_CODENAME=$base" /etc/os-release; then
  [ "$size" -lt 25000000 ] || fail 'that is more than 25 MB'
else
  echo "skipped: the image's weight, as this is not the Debian that it is built on ($base)"
fi
# The Dockerfile runs what was weighed, as nobody, and asks for its health.
for line in 'sh cmake/image.sh build/release/apps/falproxy/for_image/falproxy /image' 'FROM scratch' 'USER 65532:65532' 'HEALTHCHECK .*"health"'; do
  grep -q "$line" Dockerfile || fail "the Dockerfile has no '$line'"
done
[ "$(id -u)" -eq 0 ] || skip 'only root can run it in a root of its own'

"$sim" --job-time 20 >"$work/sim" &
sim_pid=$!
tries=0
until grep -qs '^FAL_MEDIA_HOSTS=' "$work/sim"; do tries=$((tries + 1)); [ $tries -lt 600 ] || fail 'no falsim'; sleep 0.05; done
# inside COMMAND...: as in the container. Nothing in it belongs to that account but its state, so nothing else can be written.
install -d -o 65532 -g 65532 -m 700 "$work/image/var/lib/falproxy"
inside() { chroot --userspec=65532:65532 --groups= "$work/image" "$@"; }
inside /usr/bin/falproxy --version || fail 'it does not start'
{
  sed -n 's/^\(FAL_[A-Z_]*=\)/\1/p' "$work/sim"
  printf '%s\n' CUSTOM_ACCESS_KEY=image-access-key AI_KEYS=id:secret SUPPORTED_MODELS=flux:fal-ai/flux/dev HOST=127.0.0.1 PORT=0 \
    SCHEMA_CACHE_DIR=none STATE_DIR=/var/lib/falproxy
} >"$work/image/etc/falproxy.env"
# exec: what is killed in the end is the program, and not a shell before it.
(exec chroot --userspec=65532:65532 --groups= "$work/image" /usr/bin/falproxy serve --env /etc/falproxy.env) >"$work/log" 2>&1 &
proxy_pid=$!
tries=0
until grep -q 'listening on' "$work/log"; do tries=$((tries + 1)); [ $tries -lt 600 ] || fail 'it does not serve'; sleep 0.05; done
port=$(sed -n 's|.*listening on http://127.0.0.1:\([0-9]*\).*|\1|p' "$work/log")
sed -i "s/^PORT=0$/PORT=$port/" "$work/image/etc/falproxy.env"
inside /usr/bin/falproxy health --env /etc/falproxy.env || fail 'it is not healthy'
curl -sS --fail-with-body "http://127.0.0.1:$port/v1/images/generations" -H 'Authorization: Bearer image-access-key' \
  -H 'Content-Type: application/json' -d '{"model": "flux", "prompt": "a lighthouse"}' | grep -q '"url"' || fail 'it makes no picture'
[ -s "$work/image/var/lib/falproxy/falproxy.db" ] || fail 'it notes nothing of its runs'
echo 'it serves'
