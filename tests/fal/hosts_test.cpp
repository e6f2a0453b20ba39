#include <doctest/doctest.h>

#include <string>

#include "falproxy/fal.hpp"

using namespace falproxy;
using fal::MediaHosts;

namespace {

bool allows(const MediaHosts& hosts, std::string_view url) {
  const auto parsed = Url::parse(url);
  return parsed.has_value() && hosts.allow(*parsed);
}

}  // namespace

TEST_CASE("pictures come from the listed hosts over https and from nowhere else") {
  const auto hosts = MediaHosts::parse("fal.media, *.fal.media,storage.googleapis.com");
  REQUIRE(hosts.has_value());
  for (const char* url : {"https://fal.media/files/a.png", "https://v3.fal.media/x",
                          "https://V3B.FAL.MEDIA/x", "https://a.b.fal.media/x",
                          "https://storage.googleapis.com/bucket/x", "https://fal.media:443/x"}) {
    CAPTURE(std::string(url));
    CHECK(allows(*hosts, url));
  }
  for (const char* url :
       {"http://fal.media/x", "https://fal.media:8443/x", "https://evilfal.media/x",
        "https://fal.media.evil.com/x", "https://evil.com/fal.media",
        "https://fal.media@evil.com/x", "https://x.storage.googleapis.com/x", "https://127.0.0.1/x",
        "ftp://fal.media/x", "https://.fal.media/x"}) {
    CAPTURE(std::string(url));
    CHECK_FALSE(allows(*hosts, url));
  }
}

TEST_CASE("a stand-in is allowed over http with its very port") {
  const auto hosts = MediaHosts::parse("http://127.0.0.1:9000,http://[::1]:9000,cdn.example:8443");
  REQUIRE(hosts.has_value());
  CHECK(allows(*hosts, "http://127.0.0.1:9000/files/a.png"));
  CHECK(allows(*hosts, "http://[::1]:9000/files/a.png"));
  CHECK(allows(*hosts, "https://cdn.example:8443/a"));
  CHECK_FALSE(allows(*hosts, "http://127.0.0.1:9001/files/a.png"));
  CHECK_FALSE(allows(*hosts, "https://127.0.0.1:9000/files/a.png"));
  CHECK_FALSE(allows(*hosts, "http://127.0.0.1/files/a.png"));
  CHECK_FALSE(allows(*hosts, "https://cdn.example/a"));
}

TEST_CASE("an entry that is no host is refused and named") {
  for (const char* entry : {"*", "*.", "a b", "http://", "ftp://x", "fal.media/files",
                            "https://x/y", "user@x", "x:0", "x:99999", "*.*.x", "?x"}) {
    CAPTURE(std::string(entry));
    const auto hosts = MediaHosts::parse(std::string("fal.media,") + entry);
    REQUIRE_FALSE(hosts.has_value());
    CHECK(hosts.error().kind == ErrorKind::invalid_value);
    CHECK(hosts.error().message.find(entry) != std::string::npos);
  }
}

TEST_CASE("nothing is allowed where nothing is listed") {
  CHECK_FALSE(allows(MediaHosts(), "https://fal.media/x"));
  CHECK_FALSE(allows(*MediaHosts::parse(" , "), "https://fal.media/x"));
}

TEST_CASE("a key may go to the configured origin only") {
  const char* base = "https://queue.fal.run";
  for (const char* url : {"https://queue.fal.run/fal-ai/flux/requests/1/status",
                          "https://QUEUE.fal.run:443/x", "https://queue.fal.run"}) {
    CAPTURE(std::string(url));
    CHECK(fal::same_origin(url, base));
  }
  for (const char* url : {"http://queue.fal.run/x", "https://queue.fal.run.evil.com/x",
                          "https://queue.fal.run@evil.com/x", "https://evil.com/queue.fal.run",
                          "https://queue.fal.run:8443/x", "https://fal.run/x", "//queue.fal.run/x",
                          "https:/queue.fal.run/x", "https://queue.fal.run\\@evil.com/",
                          "https://queue.fal.run.:443/x",
                          "https://evil.com\thttps://queue.fal.run/", "javascript:alert(1)", ""}) {
    CAPTURE(std::string(url));
    CHECK_FALSE(fal::same_origin(url, base));
  }
  CHECK(fal::same_origin("http://127.0.0.1:9000/x?y", "http://127.0.0.1:9000/prefix"));
  CHECK_FALSE(fal::same_origin("http://127.0.0.1:9001/x", "http://127.0.0.1:9000"));
}
