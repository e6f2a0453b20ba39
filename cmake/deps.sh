#!/bin/sh
# Makes what falproxy builds with present: the distribution's packages, and cpp-httplib where the distribution's is too old.
# Usage: sh cmake/deps.sh [--for build|bench|fuzz|tidy|coverage|clients|browser|docs]...   ("build" is always included)
# Safe to repeat: what is there already is neither fetched nor built again.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
prefix="$top/build/deps"
least=0.41.0   # the first cpp-httplib that serves
below=1.0.0    # the first that is not known to

say() { printf 'deps: %s\n' "$*"; }
fail() { printf 'deps: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else fail "needs root for: $* (run as root, or install sudo)"
  fi
}

purposes="build"
while [ $# -gt 0 ]; do
  case "$1" in
    --for) [ $# -ge 2 ] || fail "--for needs a purpose"; purposes="$purposes $2"; shift 2 ;;
    *) fail "unknown argument '$1'; use --for build|bench|fuzz|tidy|coverage|clients|browser|docs" ;;
  esac
done

packages_for() {
  case "$1" in
    build) echo "g++ cmake ninja-build pkg-config ca-certificates curl openssl libssl-dev nlohmann-json3-dev libfmt-dev doctest-dev \
zlib1g-dev libpng-dev xz-utils" ;;
    bench) echo "libbenchmark-dev wrk nginx-light" ;;
    fuzz) echo "clang libclang-rt-14-dev" ;;
    tidy) echo "clang clang-tidy" ;;
    coverage) echo "gcovr" ;;
    clients) echo "nodejs npm" ;;
    browser) echo "nodejs npm chromium" ;;
    docs) echo "doxygen" ;;
    *) fail "unknown purpose '$1'" ;;
  esac
}

installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

apt_updated=no
install_packages() {
  missing=""
  for purpose in $purposes; do
    for package in $(packages_for "$purpose"); do
      case "$package" in
        # A Node.js from elsewhere brings its own npm, and Debian's conflicts with it.
        nodejs|npm) command -v "${package%js}" >/dev/null 2>&1 && continue ;;
      esac
      installed "$package" || missing="$missing $package"
    done
  done
  [ -n "$missing" ] || return 0
  say "installing:$missing"
  if [ "$apt_updated" = no ]; then as_root apt-get update -qq; apt_updated=yes; fi
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "apt-get install failed; the whole output is in $log"; }
}

# version_serves VERSION: is it in [least, below)?
version_serves() {
  [ -n "$1" ] || return 1
  [ "$(printf '%s\n%s\n' "$least" "$1" | sort -V | head -n 1)" = "$least" ] &&
    [ "$(printf '%s\n%s\n' "$below" "$1" | sort -V | head -n 1)" != "$below" ]
}

httplib_version_in() {
  sed -n 's/^#define CPPHTTPLIB_VERSION "\(.*\)"/\1/p' "$1" 2>/dev/null | head -n 1
}

# The signed source package of a newer Debian release, through apt itself and the mirror that this machine already uses.
fetch_httplib() {
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -r "$keyring" ] || { say "no Debian keyring here: cpp-httplib is left to CMake's FetchContent"; return 0; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1)
  [ -n "$mirror" ] || { say "no Debian mirror configured here: cpp-httplib is left to CMake's FetchContent"; return 0; }
  work=$(mktemp -d "$top/build/httplib.XXXXXX")
  # The downloads are done by apt's own user where there is one, so it must be able to enter.
  chmod 755 "$work"
  trap 'rm -rf "$work"' EXIT INT TERM
  for release in forky sid; do
    rm -rf "$work/lists" "$work/source"
    mkdir -p "$work/lists/partial" "$work/source"
    printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$release" >"$work/sources.list"
    set -- -o Dir::State::Lists="$work/lists" -o Dir::Etc::SourceList="$work/sources.list" \
      -o Dir::Etc::SourceParts=/dev/null -o Dir::Cache::pkgcache="$work/pkg.bin" -o Dir::Cache::srcpkgcache="$work/src.bin" \
      -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=
    say "looking for cpp-httplib $least or newer in Debian $release"
    if apt-get "$@" update -qq >"$log" 2>&1 &&
       (cd "$work/source" && apt-get "$@" source --download-only -qq cpp-httplib >>"$log" 2>&1); then
      tarball=$(find "$work/source" -name 'cpp-httplib_*.orig.tar.*' ! -name '*.asc' | head -n 1)
      version=$(basename "$tarball" | sed 's/^cpp-httplib_\([0-9.]*\)[+.].*$/\1/; s/\.$//')
      mkdir "$work/tree" && tar -xf "$tarball" -C "$work/tree" --strip-components=1
      found=$(httplib_version_in "$work/tree/httplib.h")
      if version_serves "$found"; then
        say "installing cpp-httplib $found (header only) into build/deps"
        cmake -G Ninja -S "$work/tree" -B "$work/build" -DCMAKE_INSTALL_PREFIX="$prefix" -DHTTPLIB_REQUIRE_OPENSSL=ON \
          -DHTTPLIB_USE_ZLIB_IF_AVAILABLE=OFF -DHTTPLIB_USE_BROTLI_IF_AVAILABLE=OFF -DHTTPLIB_USE_ZSTD_IF_AVAILABLE=OFF -DHTTPLIB_COMPILE=OFF >"$log" 2>&1 &&
          cmake --install "$work/build" >>"$log" 2>&1 ||
          { tail -n 20 "$log" >&2; fail "cpp-httplib $found did not install; the whole output is in $log"; }
        rm -rf "$work"; trap - EXIT INT TERM
        return 0
      fi
      say "Debian $release has ${found:-$version}, which does not serve"
      rm -rf "$work/tree"
    fi
  done
  rm -rf "$work"; trap - EXIT INT TERM
  say "no newer Debian release could be read: cpp-httplib is left to CMake's FetchContent"
}

mkdir -p "$top/build"
log="$top/build/deps.log"

if command -v apt-get >/dev/null 2>&1; then
  install_packages
else
  say "no apt-get here: install a C++20 compiler, CMake 3.25, Ninja, OpenSSL, nlohmann-json, fmt, doctest, zlib and libpng by hand"
fi

for header in "$prefix/include/httplib.h" /usr/local/include/httplib.h /usr/include/httplib.h; do
  version=$(httplib_version_in "$header")
  if version_serves "$version"; then
    say "cpp-httplib $version is in $(dirname "$header")"
    exit 0
  fi
done
fetch_httplib
