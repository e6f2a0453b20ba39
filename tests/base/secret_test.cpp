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
