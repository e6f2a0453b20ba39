#!/bin/sh
# From a bare Debian or Ubuntu to a picture: installs what is missing, builds, and starts falproxy with a stand-in for fal.ai.
# Usage: sh cmake/demo.sh [--once] [--port N]   (--once: exit after the picture, status 0 only if it arrived)
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
here=$(pwd)
sh "$top/cmake/deps.sh"
cd "$top"
if [ ! -f build/release/build.ninja ]; then
  echo 'demo: the first build takes about 10 minutes on two cores, and 400 MB in build/'
  cmake --preset release
fi
cmake --build --preset release --target falproxy_program
cd "$here"
exec "$top/build/release/bin/falproxy" demo "$@"
