#!/bin/sh
# Makes what falproxy builds with present: the distribution's packages, and cpp-httplib where the distribution's is too old.
# Usage: sh cmake/deps.sh [--for PURPOSE]...   ("build" is always included; the others are in packages_for)
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
    *) fail "unknown argument '$1'; use --for PURPOSE" ;;
  esac
done

packages_for() {
  case "$1" in
    build) echo "g++ cmake ninja-build pkg-config ca-certificates curl openssl libssl-dev nlohmann-json3-dev libfmt-dev doctest-dev \
zlib1g-dev libpng-dev libjpeg-dev libwebp-dev libsqlite3-dev libhiredis-dev libsndfile1-dev libsamplerate0-dev libcli11-dev xz-utils" ;;
    test) echo "strace tinyproxy-bin redis-server" ;;
    bench) echo "libbenchmark-dev wrk nginx-light" ;;
    fuzz) echo "clang libclang-rt-dev" ;;
    tidy) echo "clang clang-tidy" ;;
    format) echo "clang-format-19" ;;
    ci) echo "ccache" ;;
    coverage) echo "gcovr" ;;
    clients) echo "nodejs npm" ;;
    browser) echo "nodejs npm chromium fonts-inter nginx-light python3" ;;
    docs) echo "doxygen nodejs npm" ;;
    deploy) echo "prometheus systemd" ;;
    chaos) echo "faketime" ;;
    package) echo "dpkg-dev lintian catch2 libgtest-dev" ;;
    *) fail "unknown purpose '$1'; there are build, test, bench, fuzz, tidy, format, coverage, clients, browser, docs, deploy, chaos, package and ci" ;;
  esac
}

installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# no_older A B: is version A at least B?
no_older() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Says so at once where the distribution is too old, instead of after minutes and in the words of a compiler.
check_age() {
  for need in cmake:3.25 g++:12 libfmt-dev:9 nlohmann-json3-dev:3.11; do
    package=${need%%:*}
    offered=$(apt-cache policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p')
    [ -z "$offered" ] || no_older "$offered" "${need#*:}" ||
      fail "this system is too old: its $package is $offered, and falproxy needs ${need#*:} or newer. Debian 12 and 13 and Ubuntu 24.04 will do."
  done
}

# apt_get WORDS...: its output goes to the log.
apt_get() {
  as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@" >>"$log" 2>&1
}

apt_failed() {  # apt_failed WHAT
  tail -n 20 "$log" >&2
  fail "apt-get could not $1; the whole output is in $log"
}

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
  : >"$log"
  say "asking for the newest lists of packages"
  apt_get update || true  # one broken source of many does no harm; whatever matters fails below
  grep -qE '^(Get|Hit):' "$log" || ! grep -q 'Failed to fetch' "$log" ||
    fail "no network: apt-get reaches none of its sources, and these packages are missing:$missing"
  check_age
  # shellcheck disable=SC2086
  apt_get install --no-install-recommends --assume-no $missing || true
  size=$(sed -n 's/^Need to get \(.*\) of archives.*/\1 to fetch/p; s/^After this operation, \(.*\) of additional.*/, \1 on disk/p' "$log" | tr -d '\n')
  say "fetching$missing, with what they need${size:+: $size}"
  # shellcheck disable=SC2086
  apt_get install --no-install-recommends -y --download-only $missing || apt_failed "fetch$missing"
  say "installing them; this takes a minute or two"
  # shellcheck disable=SC2086
  apt_get install --no-install-recommends -y $missing || apt_failed "install$missing"
}

# version_serves VERSION: is it in [least, below)?
version_serves() {
  [ -n "$1" ] && no_older "$1" "$least" && ! no_older "$1" "$below"
}

httplib_version_in() {
  sed -n 's/^#define CPPHTTPLIB_VERSION "\(.*\)"/\1/p' "$1" 2>/dev/null | head -n 1
}

# left_to_cmake WHY: CMake's FetchContent brings cpp-httplib from GitHub, by its hash, and needs no git for that.
left_to_cmake() {
  curl -sSI --connect-timeout 20 -o /dev/null https://github.com 2>>"$log" ||
    fail "no network: cpp-httplib $least or newer is missing, and neither a Debian mirror ($1) nor github.com gives it"
  say "$1: CMake will fetch cpp-httplib from github.com"
}

# The signed source package of a newer Debian release, through apt itself and the mirror that this machine already uses.
fetch_httplib() {
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -r "$keyring" ] || { left_to_cmake "no Debian keyring here"; return 0; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1)
  [ -n "$mirror" ] || { left_to_cmake "no Debian mirror configured here"; return 0; }
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
  left_to_cmake "no newer Debian release could be read"
}

# The official JSON Schema Test Suite, as data: its package, unpacked, without the programs that the package needs.
fetch_schema_suite() {
  suite="$top/build/json-schema-test-suite"
  [ ! -d "$suite" ] || return 0
  work=$(mktemp -d "$top/build/suite.XXXXXX")
  chmod 755 "$work"
  (cd "$work" && apt-get -o APT::Sandbox::User= download -qq json-schema-test-suite >>"$log" 2>&1 && dpkg-deb -x ./*.deb tree) &&
    mv "$work/tree/usr/share/json-schema-test-suite" "$suite" || say "the JSON Schema Test Suite cannot be had here: its test is left out"
  rm -rf "$work"
}

mkdir -p "$top/build"
log="$top/build/deps.log"

if command -v apt-get >/dev/null 2>&1; then
  install_packages
  case " $purposes " in *" test "*) fetch_schema_suite ;; esac
else
  say "no apt-get here: install a C++20 compiler, CMake 3.25, Ninja, OpenSSL, nlohmann-json, fmt, doctest, zlib, libpng, libjpeg, libwebp, SQLite, hiredis and CLI11 by hand, and libsndfile and libsamplerate to convert sounds"
fi

for header in "$prefix/include/httplib.h" /usr/local/include/httplib.h /usr/include/httplib.h; do
  version=$(httplib_version_in "$header")
  if version_serves "$version"; then
    say "cpp-httplib $version is in $(dirname "$header")"
    exit 0
  fi
done
fetch_httplib
