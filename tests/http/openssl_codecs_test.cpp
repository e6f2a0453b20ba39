#include "falproxy/openssl_codecs.hpp"

#include <doctest/doctest.h>

#include <string>

using falproxy::OpensslCodecs;

namespace {

const OpensslCodecs codecs;

std::string encode(std::string_view bytes) {
  std::string out;
  codecs.encode_base64(bytes, out);
  return out;
}

std::string hex(const falproxy::Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("base64 is RFC 4648's, its own examples included") {
  struct Case {
    const char* plain;
    const char* encoded;
  };
  for (const Case& c : {Case{"", ""}, Case{"f", "Zg=="}, Case{"fo", "Zm8="}, Case{"foo", "Zm9v"},
                        Case{"foob", "Zm9vYg=="}, Case{"fooba", "Zm9vYmE="},
                        Case{"foobar", "Zm9vYmFy"}, Case{"\xFB\xFF\xBF", "+/+/"}}) {
    CHECK(encode(c.plain) == c.encoded);
    CHECK(codecs.decode_base64(c.encoded) == c.plain);
  }
}

TEST_CASE("encoding appends to what is there") {
  std::string out = "data:image/png;base64,";
  codecs.encode_base64("foo", out);
  CHECK(out == "data:image/png;base64,Zm9v");
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

TEST_CASE("what is no base64 is refused") {
  std::string late(16'777'216, 'A');
  for (const std::string& text :
       {std::string("Zg"), std::string("Zg="), std::string("Zg==="), std::string("===="),
        std::string("="), std::string("Zm9v\n"), std::string(" Zm9v"), std::string("Zm9 "),
        std::string("   Zm9v "), std::string("Zm9vZg==Zm9v"), std::string("Z=9v"),
        std::string("Zm9v-_-_"), std::string("Zm9v\0\0\0\0", 8), std::string("Zm*v"),
        std::string("\xC3\xA4"
                    "aa"),
        std::string("    "), std::string("----"), late + "A",
        late.substr(0, late.size() - 4) + "AA A"}) {
    CHECK_FALSE(codecs.decode_base64(text).has_value());
  }
  // Blanks where one inner block ends and the next begins.
  for (const std::size_t at : {std::size_t{12} << 20, (std::size_t{12} << 20) - 4}) {
    std::string text = late;
    text.replace(at, 4, "    ");
    CHECK_FALSE(codecs.decode_base64(text).has_value());
  }
}

TEST_CASE("SHA-256 is FIPS 180-4's") {
  CHECK(hex(codecs.sha256("")) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(codecs.sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
