#!/bin/sh
# The public interface as a book: every public name is documented, or this fails. Exit status 77 (skipped) without doxygen.
set -eu
cd "$(dirname -- "$0")/../.."
command -v doxygen >/dev/null 2>&1 || { echo 'skipped: no doxygen (sh cmake/deps.sh --for docs)'; exit 77; }
exec doxygen docs/Doxyfile
