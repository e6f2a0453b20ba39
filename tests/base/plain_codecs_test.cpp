#include "falproxy/plain_codecs.hpp"

#include <doctest/doctest.h>

#include "support/codec_laws.hpp"

TEST_CASE("without OpenSSL base64 is RFC 4648's, and what is none is refused") {
  falproxy::tests::check_base64(falproxy::PlainCodecs());
}

TEST_CASE("without OpenSSL SHA-256 is FIPS 180-4's") {
  falproxy::tests::check_sha256(falproxy::PlainCodecs());
}
