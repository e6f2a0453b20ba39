// codec_laws.hpp: what holds for every Codecs, whatever does the work.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "falproxy/codecs.hpp"

namespace falproxy::tests {

inline std::string hex_of(const Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

/// RFC 4648's base64, its own examples included.
inline void check_base64(const Codecs& codecs) {
  struct Case {
    std::string_view plain;
    std::string_view encoded;
  };
  for (const Case& c : {Case{"", ""}, Case{"f", "Zg=="}, Case{"fo", "Zm8="}, Case{"foo", "Zm9v"},
                        Case{"foob", "Zm9vYg=="}, Case{"fooba", "Zm9vYmE="},
                        Case{"foobar", "Zm9vYmFy"}, Case{"\xFB\xFF\xBF", "+/+/"}}) {
    std::string out = "data:";
    codecs.encode_base64(c.plain, out);
    CHECK(out == "data:" + std::string(c.encoded));
    CHECK(codecs.decode_base64(c.encoded) == c.plain);
  }
  for (const std::string_view text :
       {"Zg", "Zg=", "Zg===", "====", "=", "Zm9v\n", " Zm9v", "Zm9 ", "   Zm9v ", "Zm9vZg==Zm9v",
        "Z=9v", "Zm9v-_-_", "----", "Zm*v", "    ", "Zg=v", "\xC3\xA4\x61\x61"}) {
    CAPTURE(text);
    CHECK_FALSE(codecs.decode_base64(text).has_value());
  }
  CHECK_FALSE(codecs.decode_base64(std::string_view("Zm9v\0\0\0\0", 8)).has_value());
}

/// FIPS 180-4's examples.
inline void check_sha256(const Codecs& codecs) {
  CHECK(hex_of(codecs.sha256("")) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex_of(codecs.sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex_of(codecs.sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hex_of(codecs.sha256(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace falproxy::tests
