#include "falproxy/openssl_codecs.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "falproxy/plain_codecs.hpp"
#include "support/codec_laws.hpp"

using falproxy::OpensslCodecs;
using falproxy::PlainCodecs;

namespace {

const OpensslCodecs codecs;

std::string encode(std::string_view bytes) {
  std::string out;
  codecs.encode_base64(bytes, out);
  return out;
}

}  // namespace

TEST_CASE("base64 is RFC 4648's, and what is none is refused") {
  falproxy::tests::check_base64(codecs);
}

TEST_CASE("what was encoded comes back, at every length and across inner blocks") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    CHECK(codecs.decode_base64(encode(bytes)) == bytes);
    bytes += static_cast<char>(i * 37);
  }
  std::string large(25'000'001, '\0');
  for (std::size_t i = 0; i < large.size(); ++i)
    large[i] = static_cast<char>(i * 2654435761u >> 13);
  const std::string text = encode(large);
  CHECK(text.find('=') >= text.size() - 2);
  CHECK(codecs.decode_base64(text) == large);
}

TEST_CASE("what is no base64 is refused at the end of inner blocks, too") {
  const std::string late(16'777'216, 'A');
  CHECK_FALSE(codecs.decode_base64(late + "A").has_value());
  CHECK_FALSE(codecs.decode_base64(late.substr(0, late.size() - 4) + "AA A").has_value());
  // Blanks where one inner block ends and the next begins.
  for (const std::size_t at : {std::size_t{12} << 20, (std::size_t{12} << 20) - 4}) {
    std::string text = late;
    text.replace(at, 4, "    ");
    CHECK_FALSE(codecs.decode_base64(text).has_value());
  }
}

TEST_CASE("SHA-256 is FIPS 180-4's") { falproxy::tests::check_sha256(codecs); }

TEST_CASE("the codecs without OpenSSL say what OpenSSL's say, of random bytes and texts") {
  const PlainCodecs plain;
  std::mt19937 random(1);
  constexpr std::string_view letters = "ABab01+/+/zZ==-_ \n";
  for (std::size_t length = 0; length < 400; ++length) {
    CAPTURE(length);
    std::string bytes;
    while (bytes.size() < length) bytes += static_cast<char>(random());
    CHECK(plain.sha256(bytes) == codecs.sha256(bytes));
    std::string text = "before";
    plain.encode_base64(bytes, text);
    CHECK(text == "before" + encode(bytes));
    text.erase(0, 6);
    CHECK(plain.decode_base64(text) == bytes);
    // One letter changed, and then others.
    if (!text.empty()) text[random() % text.size()] = letters[random() % letters.size()];
    CHECK(plain.decode_base64(text) == codecs.decode_base64(text));
    text.resize(random() % 9);
    for (char& c : text) c = letters[random() % letters.size()];
    CAPTURE(text);
    CHECK(plain.decode_base64(text) == codecs.decode_base64(text));
  }
}
