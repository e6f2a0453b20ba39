#!/bin/sh
# Makes the Debian packages falproxy, falsim and libfalproxy-dev, and fails if lintian has an error or a warning for them.
# Usage: sh cmake/package.sh              builds what goes into them first, with its own flags; they come into build/package/packages
#        sh cmake/package.sh BUILD_DIR    packs what is built there already, into BUILD_DIR/packages
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
suppressed=''
if [ $# -gt 0 ]; then
  build=$1
  # Only a tree that is configured for /usr has its libraries, and so the .pc files, in a folder of the architecture.
  grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr$' "$build/CMakeCache.txt" || suppressed=pkg-config-unavailable-for-cross-compilation
else
  build="$top/build/package"
  sh "$top/cmake/deps.sh" --for package
  cd "$top"
  cmake --preset package
  cmake --build --preset package
fi
rm -rf "$build/packages"
(cd "$build" && cpack --config CPackConfig.cmake)
rm -rf "$build/packages/_CPack_Packages"
ls "$build/packages"/*.deb
if command -v lintian >/dev/null 2>&1; then
  lintian --allow-root ${suppressed:+--suppress-tags "$suppressed"} --fail-on error,warning "$build/packages"/*.deb
else
  echo 'no lintian here (sh cmake/deps.sh --for package): nobody has looked at the packages'
fi
