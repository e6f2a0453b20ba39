// How bodies are read: framing, encodings, and those that nobody wants.
#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo_server.hpp"

namespace falproxy::serving {
namespace {

TEST_CASE("a body that is encoded twice is refused, not misread") {
  Running server;
  RawClient client(server.port());
  CHECK(
      client
          .exchange(post("/echo", "a", "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"))
          .body == "unsupported_content_type");
}

TEST_CASE("a body of many megabytes goes through both ways") {
  Running server;
  RawClient client(server.port());
  const std::string body(20u << 20, 'b');
  std::thread sender([&] { client.send(post("/echo", body)); });
  const Received echo = client.receive();
  sender.join();
  CHECK(echo.body.size() == body.size());
  CHECK(client.exchange(test::get("/large")).body.size() == server.echo.large.size());
  CHECK(client.exchange(get_fixed).body == "fixed");
}

TEST_CASE("a broken body is told from others") {
  Running server({.body_grace = Milliseconds(200)});
  const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  RawClient client(server.port());
  SUBCASE("chunks that are none, however a lenient reader takes them") {
    for (const char* chunks :
         {"zz\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n",
          " 3\r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "3zz\r\nabc\r\n0\r\n\r\n",
          "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "\r\n\r\n", "ffffffffffffffff\r\nabc",
          "garbage without an end"}) {
      CAPTURE(chunks);
      RawClient broken(server.port());
      const Received got = broken.exchange(chunked + chunks);
      CHECK(got.status == 400);
      CHECK(got.body == "bad_request_framing");
      CHECK(got.header("connection") == "close");
      CHECK(broken.at_end());
    }
    CHECK(client.exchange(chunked + "3;a=\"b\"\r\nabc\r\n0A\r\n0123456789\r\n00\r\nX: y\r\n\r\n")
              .body == "abc0123456789");
  }
  SUBCASE("one that ends too early, while its client still listens") {
    client.send(head + "Content-Length: 10\r\n\r\nabc");
    client.finish_sending();
    CHECK(client.receive().body == "bad_request_framing");
    CHECK(client.at_end());
  }
  SUBCASE("one that does not come in time") {
    CHECK(client.exchange(head + "Content-Length: 10\r\n\r\nabc").body == "request_too_slow");
    CHECK(client.at_end());
  }
}

TEST_CASE("a body that nobody reads does not take the answer away") {
  Running server;
  SUBCASE("a small one is thrown away and the connection stays") {
    RawClient client(server.port());
    const Received got = client.exchange(post("/closed", std::string(100'000, 'x')));
    CHECK(got.status == 401);
    CHECK(got.header("connection").empty());
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
  SUBCASE("a large one ends it, once the client has read the answer") {
    for (const auto& [path, status] : {std::pair{"/closed", 401}, std::pair{"/unread", 200}}) {
      const std::string target = path;
      CAPTURE(target);
      RawClient client(server.port());
      std::thread sender(
          [&, path = path] { client.send(post(path, std::string(20u << 20, 'x'))); });
      const Received got = client.receive();
      sender.join();
      CHECK(got.status == status);
      CHECK(got.header("connection") == "close");
      CHECK(client.at_end());
    }
  }
}

TEST_CASE("100 Continue is sent when the body is wanted, and never after the answer") {
  Running server;
  const std::string head =
      " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  RawClient client(server.port());
  client.send("POST /echo" + head);
  CHECK(client.fill_to(25));
  client.send("ab");
  CHECK(client.receive().body == "ab");
  SUBCASE("a refusal comes instead of it, and ends the connection") {
    client.send("POST /closed" + head);
    CHECK(client.rest().starts_with("HTTP/1.1 401"));
  }
  SUBCASE("a handler that does not read, too") {
    client.send("POST /unread" + head);
    CHECK(client.rest().starts_with("HTTP/1.1 200"));
  }
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(::deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

TEST_CASE("a gzip body is inflated, and counts as what it becomes") {
  Running server;
  RawClient client(server.port());
  const std::string text = "falproxy " + std::string(100'000, 'x');
  CHECK(client.exchange(post("/echo", gzip(text), "Content-Encoding: gzip\r\n")).body == text);
  CHECK(client.exchange(post("/echo", gzip(""), "Content-Encoding: x-gzip\r\n")).body.empty());
  struct Case {
    std::string body;
    const char* coding;
    std::string_view want;
  };
  const std::vector<Case> cases = {
      {gzip(std::string(33u << 20, '\0')), "gzip", "body_too_large"},
      {gzip(text).substr(0, 40), "gzip", "bad_request_framing"},
      {gzip(text) + "more", "gzip", "bad_request_framing"},
      {"not gzip", "gzip", "bad_request_framing"},
      {"abc", "br", "unsupported_content_type"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.want);
    RawClient other(server.port());
    const std::string fields = "Content-Encoding: " + std::string(c.coding) + "\r\n";
    CHECK(other.exchange(post("/echo", c.body, fields)).body == c.want);
    CHECK(other.at_end());
  }
}

TEST_CASE("extensions and trailers of chunks may not be long") {
  Running server;
  const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string much(5000, '0');
  for (const std::string& body : {"1;" + much + "\r\na\r\n0\r\n\r\n", much + "1\r\na\r\n0\r\n\r\n",
                                  "0\r\nA: " + much + "\r\n\r\n"}) {
    RawClient client(server.port());
    CHECK(client.exchange(head + body).body == "bad_request_framing");
  }
}

}  // namespace
}  // namespace falproxy::serving
