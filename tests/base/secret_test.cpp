#include "falproxy/secret.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace falproxy;

TEST_CASE("a secret matches itself alone") {
  const Secret secret("key-id:key-secret");
  CHECK(secret.matches("key-id:key-secret"));
  for (const char* other : {"", "k", "key-id:key-secreT", "key-id:key-secre", "key-id:key-secretx",
                            "key-id:key-secretkey-id:key-secret", "KEY-ID:KEY-SECRET"}) {
    CAPTURE(std::string(other));
    CHECK_FALSE(secret.matches(other));
  }
}

TEST_CASE("an empty secret matches nothing, not even nothing") {
  CHECK_FALSE(Secret().matches(""));
  CHECK_FALSE(Secret().matches("x"));
  CHECK(Secret().empty());
}

TEST_CASE("a text is freed of a secret wherever it stands") {
  const Secret secret("abc");
  CHECK(without_secret("abc", secret) == "[key]");
  CHECK(without_secret("xabcabcy abc", secret) == "x[key][key]y [key]");
  CHECK(without_secret("ab c", secret) == "ab c");
  CHECK(without_secret("text", Secret()) == "text");
  CHECK(without_secret("key", Secret("key")) == "[key]");
}

TEST_CASE("a text is freed of either half of a key, also where it stands alone") {
  const Secret key("0f1e2d3c:s3cr3ts3cr3t");
  CHECK(without_secret("No user for 0f1e2d3c:s3cr3ts3cr3t", key) == "No user for [key]");
  CHECK(without_secret("bad secret 's3cr3ts3cr3t'", key) == "bad secret '[key]'");
  CHECK(without_secret("bad id 0f1e2d3c, secret s3cr3ts3cr3t", key) ==
        "bad id [key], secret [key]");
  CHECK(without_secret("s3cr3t", key) == "s3cr3t");
  CHECK(without_secret("test-cdn", Secret("test:0f1e2d3c")) == "test-cdn");
  // Halves that tell nothing are left: they stand in every text.
  CHECK(without_secret("a b:c", Secret("a:b")) == "a b:c");
  CHECK(without_secret("a:b", Secret("a:b")) == "[key]");
  CHECK(without_secret(":", Secret(":")) == "[key]");
}

TEST_CASE("a text shows a secret exactly if it is changed by freeing it of it") {
  const Secret key("0f1e2d3c:s3cr3ts3cr3t");
  for (const char* text : {"", "x", "0f1e2d3c", "s3cr3ts3cr3t", "0f1e2d3c:s3cr3ts3cr3t", "0f1e2d3"})
    CHECK(shows_secret(text, key) == (without_secret(text, key) != text));
  CHECK_FALSE(shows_secret("x", Secret()));
}
