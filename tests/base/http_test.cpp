#include "falproxy/http.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using namespace falproxy;

TEST_CASE("a URL is taken apart") {
  struct Case {
    const char* text;
    Url url;
    const char* origin;
  };
  const Case cases[] = {
      {"https://fal.run", {"https", "fal.run", 443, "/"}, "https://fal.run"},
      {"HTTPS://Queue.FAL.run:443/fal-ai/Flux?x=1&y=%20",
       {"https", "queue.fal.run", 443, "/fal-ai/Flux?x=1&y=%20"},
       "https://queue.fal.run"},
      {"http://127.0.0.1:9000/", {"http", "127.0.0.1", 9000, "/"}, "http://127.0.0.1:9000"},
      {"http://[::1]:80/a", {"http", "::1", 80, "/a"}, "http://[::1]"},
      {"https://[FE80::1]:8443", {"https", "fe80::1", 8443, "/"}, "https://[fe80::1]:8443"},
      {"http://x?q=/a", {"http", "x", 80, "/?q=/a"}, "http://x"},
      {"https://a_b-c.d/", {"https", "a_b-c.d", 443, "/"}, "https://a_b-c.d"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.text));
    const auto url = Url::parse(c.text);
    REQUIRE(url.has_value());
    CHECK(*url == c.url);
    CHECK(url->origin() == c.origin);
    CHECK(Url::parse(url->origin() + url->target) == url);
  }
}

TEST_CASE("what could be read in two ways is no URL") {
  for (const std::string& text : {std::string(""),
                                  std::string("fal.run"),
                                  std::string("//fal.run/"),
                                  std::string("ftp://fal.run/"),
                                  std::string("https:/fal.run"),
                                  std::string("https://"),
                                  std::string("https:///x"),
                                  std::string("https://:443/"),
                                  std::string("https://user@fal.run/"),
                                  std::string("https://user:pass@fal.run/"),
                                  std::string("https://fal.run:/"),
                                  std::string("https://fal.run:0/"),
                                  std::string("https://fal.run:65536/"),
                                  std::string("https://fal.run:4x3/"),
                                  std::string("https://fal.run:-1/"),
                                  std::string("https://fal.run/#top"),
                                  std::string("https://fal.run\\@evil/"),
                                  std::string("https://fal.run/a b"),
                                  std::string("https://fal run/"),
                                  std::string("https://fal.run/\r\nX: y"),
                                  std::string("https://fal.run/a\0b", 18),
                                  std::string("https://f\xC3\xA4l.run/"),
                                  std::string("https://fal.run/\xC3\xA4"),
                                  std::string("https://[::1/"),
                                  std::string("https://[fal.run]/"),
                                  std::string("https://[::1]x/"),
                                  std::string(" https://fal.run/"),
                                  std::string("https://fal%2erun/")}) {
    CAPTURE(text);
    CHECK_FALSE(Url::parse(text).has_value());
  }
}

TEST_CASE("header names compare without regard to case, and keep their order") {
  HttpHeaders headers = {{"Content-Type", "a"}, {"X-One", "1"}};
  headers.add("x-one", "2");
  CHECK(headers.find("CONTENT-TYPE") == "a");
  CHECK(headers.find("X-ONE") == "1");
  CHECK_FALSE(headers.find("X-Two").has_value());
  headers.set("X-oNe", "3");
  CHECK(headers.size() == 2);
  CHECK(headers.find("x-one") == "3");
  CHECK(headers.begin()->first == "Content-Type");
}

TEST_CASE("a body shares its pieces") {
  const auto owner = std::make_shared<const std::string>("shared bytes");
  Body body("head ");
  body.append(Piece{owner, std::string_view(*owner).substr(0, 6)});
  body.append(std::string());
  body.append(Piece{owner, {}});
  CHECK(body.pieces().size() == 2);
  CHECK(body.pieces()[1].bytes.data() == owner->data());
  Body twice = body;
  twice.append(body);
  CHECK(twice.str() == "head sharedhead shared");
  CHECK(twice.size() == 22);
  CHECK_FALSE(twice.empty());
  CHECK(Body().empty());
  CHECK(Body(std::string()).empty());
}

TEST_CASE("a body appended to itself is twice itself") {
  Body body("ab");
  body.append(body);
  CHECK(body.str() == "abab");
  CHECK(body.size() == 4);
}

TEST_CASE("percent coding goes there and back for every byte") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(percent_decode(percent_encode(bytes)) == bytes);
  CHECK(percent_encode("fal-ai/flux dev~.") == "fal-ai%2Fflux%20dev~.");
  CHECK(percent_encode("fal-ai/flux", "/") == "fal-ai/flux");
  CHECK(percent_encode("\xC3\xA4") == "%C3%A4");
  CHECK(percent_decode("a%2fb+c") == "a/b+c");
  for (const char* broken : {"%", "%4", "a%", "%zz", "%4g", "%%41"}) {
    CAPTURE(std::string(broken));
    CHECK_FALSE(percent_decode(broken).has_value());
  }
}
