#!/bin/sh
# Packs a build tree for Debian, unpacks the packages, and uses what is in them: `falproxy check`, a picture through falsim, and
# a program built from libfalproxy-dev alone. Usage: debian.sh BUILD_DIR     Exit status 77 (skipped) if it cannot be done here.
set -eu
build=$(CDPATH='' cd -- "$1" && pwd)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(CDPATH='' cd -- "$here/../.." && pwd)
work="$build/package/debian"
rm -rf "$work"
mkdir -p "$work"
sim='' proxy=''

finish() { for pid in $proxy $sim; do kill "$pid" 2>/dev/null || true; done; }
trap finish EXIT
trap 'exit 1' INT TERM
skip() { echo "skipped: $1"; exit 77; }
fail() { echo "failed: $*" >&2; exit 1; }
for tool in dpkg-deb dpkg-shlibdeps lintian curl; do
  command -v "$tool" >/dev/null 2>&1 || skip "no $tool (sh cmake/deps.sh --for package)"
done

sh "$top/cmake/package.sh" "$build"
for name in falproxy falsim libfalproxy-dev; do
  deb=$(ls "$build"/packages/${name}_*.deb)
  dpkg-deb -x "$deb" "$work/$name"
  dpkg-deb -e "$deb" "$work/$name.control"
  # The changelog is written by hand.
  told=$(zcat "$work/$name/usr/share/doc/$name/changelog.Debian.gz" | sed -n '1s/^falproxy (\(.*\)) .*/\1/p')
  [ "$told" = "$(dpkg-deb -f "$deb" Version)" ] || fail "packaging/debian/changelog ends with version $told"
done

[ "$(sed -n 's/^Description: //p' "$work/falsim.control/control")" = 'stand-in for fal.ai, for tests' ] ||
  fail 'the description of falsim begins with another one'

# depends_on PACKAGE PATTERN
depends_on() { sed -n 's/^Depends: //p' "$work/$1.control/control" | grep -qE "(^|, )($2)"; }
for needed in libssl3 libsqlite3-0 libsndfile1 libsamplerate0 systemd; do depends_on falproxy "$needed" || fail "falproxy does not depend on $needed"; done
! depends_on falproxy 'libwebp|libjpeg' || fail 'the packaged falproxy links what only falsim needs'
depends_on falsim 'libwebp' || fail 'falsim does not depend on what it needs'
"$work/falproxy/usr/bin/falproxy" demo 2>&1 | grep -q 'without its stand-in' || fail 'the packaged falproxy has falsim in it'
grep -q '^ExecStart="/usr/bin/falproxy" serve --env /etc/falproxy/falproxy.env$' \
  "$work/falproxy/usr/lib/systemd/system/falproxy.service" || fail 'the unit starts another program'
grep -q '^StateDirectory=falproxy$' "$work/falproxy/usr/lib/systemd/system/falproxy.service" || fail 'the unit keeps no state'
cmp "$top/.env.example" "$work/falproxy/etc/falproxy/falproxy.env"
grep -q '^u falproxy ' "$work/falproxy/usr/lib/sysusers.d/falproxy.conf"
for name in falproxy falsim; do
  [ "$("$work/$name/usr/bin/$name" --version)-1" = "$name $(dpkg-deb -f "$build"/packages/${name}_*.deb Version)" ] ||
    fail "$name --version tells another version than its package"
done
for name in falproxy falsim; do
  sh "$top/tests/docs/manual.sh" "$work/$name/usr/bin/$name" "$work/$name/usr/share/man/man1/$name.1.gz"
done

# await PATTERN: shows the lines of standard input up to the first one like it.
await() {
  while IFS= read -r line; do
    printf '%s\n' "$line"
    # shellcheck disable=SC2254
    case "$line" in $1) return 0 ;; esac
  done
  fail "no line like '$1' came"
}
mkfifo "$work/from_sim" "$work/from_proxy"
"$work/falsim/usr/bin/falsim" --keys id:secret --job-time 20 >"$work/from_sim" 2>&1 &
sim=$!
exec 3<"$work/from_sim"
await 'FAL_MEDIA_HOSTS=*' <&3 >"$work/env"
cat >>"$work/env" <<SETTINGS
CUSTOM_ACCESS_KEY=a-key-for-this-test-alone
AI_KEYS=id:secret
SUPPORTED_MODELS=flux:fal-ai/flux/dev
HOST=127.0.0.1
PORT=0
SCHEMA_CACHE_DIR=none
STATE_DIR=none
SETTINGS
falproxy="$work/falproxy/usr/bin/falproxy"
"$falproxy" check --env "$work/env" | tee "$work/check"
grep -q '^0 faults, 0 warnings$' "$work/check"
"$falproxy" serve --env "$work/env" >"$work/from_proxy" 2>&1 &
proxy=$!
exec 4<"$work/from_proxy"
await '*listening on http://*' <&4 >"$work/log"
curl -sSf "$(sed -n 's/.*listening on //p' "$work/log")/v1/images/generations" -H 'Content-Type: application/json' \
  -H 'Authorization: Bearer a-key-for-this-test-alone' -o "$work/answer" \
  -d '{"model": "flux", "prompt": "a fox", "size": "512x512", "response_format": "b64_json"}'
grep -q '"b64_json":"[A-Za-z0-9+/]\{1000,\}' "$work/answer" || fail "no picture: $(head -c 300 "$work/answer")"

cmake -G Ninja -S "$here/pure" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/libfalproxy-dev/usr"
cmake --build "$work/build"
"$work/build/consumer" 'a red fox' <"$top/examples/painter.json" | grep -q '"prompt": "a red fox"'
echo 'debian: ok'
