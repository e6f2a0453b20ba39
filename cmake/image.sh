#!/bin/sh
# Gathers what a container needs to run falproxy, and nothing else: the program, the shared libraries that it loads, certificates, and an
# account without rights. Usage: image.sh PROGRAM FOLDER [CERTIFICATES]      (the Dockerfile's last stage is this folder)
set -eu
program=$1
folder=$2
certificates=${3:-/etc/ssl/certs/ca-certificates.crt}
umask 022
mkdir -p "$folder/usr/bin" "$folder/etc/ssl/certs" "$folder/tmp"
chmod 1777 "$folder/tmp"
cp "$program" "$folder/usr/bin/falproxy"
strip "$folder/usr/bin/falproxy"
cp -L "$certificates" "$folder/etc/ssl/certs/ca-certificates.crt"
printf 'falproxy:x:65532:65532:falproxy:/nonexistent:/usr/sbin/nologin\n' >"$folder/etc/passwd"
printf 'falproxy:x:65532:\n' >"$folder/etc/group"
# glibc finds names in files and in DNS by itself.
printf 'hosts: files dns\n' >"$folder/etc/nsswitch.conf"
# `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x...)`, and the loader without an arrow.
ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u | while read -r library; do
  mkdir -p "$folder$(dirname "$library")"
  cp -L "$library" "$folder$library"
done
