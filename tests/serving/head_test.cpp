#include "serving/head.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace falproxy::serving {
namespace {

std::size_t end_of(std::string_view bytes) {
  std::size_t scanned = 0;
  return find_head_end(bytes, scanned);
}

TEST_CASE("a head is found however it is cut") {
  const std::string head = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string bytes = head + "GET";
  std::size_t scanned = 0;
  for (std::size_t size = 0; size < head.size(); ++size) {
    CAPTURE(size);
    CHECK(find_head_end(std::string_view(bytes).substr(0, size), scanned) == 0);
  }
  CHECK(find_head_end(bytes, scanned) == head.size());
  CHECK(end_of(bytes) == head.size());
  CHECK(end_of("GET / HTTP/1.1\nHost: a\n\n") == 15);  // a bare LF is not waited on
}

TEST_CASE("a head is read whole") {
  RequestHead head;
  REQUIRE(
      parse_head("POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 12\r\nX-Empty:\r\nExpect: "
                 "100-Continue\r\n"
                 "Connection: x, Close\r\n\r\n",
                 head));
  CHECK(head.method == "POST");
  CHECK(head.target == "/v1/x?y=1");
  CHECK(head.path() == "/v1/x");
  CHECK(head.content_length.value_or(0) == 12);
  CHECK(head.expects_continue);
  CHECK_FALSE(head.keep_alive);
  CHECK_FALSE(head.chunked);
  CHECK(head.find("x-empty").value_or("none").empty());
  CHECK(head.find("HOST").value_or("") == "a");
  CHECK_FALSE(head.find("none").has_value());
}

TEST_CASE("nothing of an earlier head stays") {
  RequestHead head;
  REQUIRE(
      parse_head("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: "
                 "chunked\r\nExpect: 100-continue\r\n\r\n",
                 head));
  REQUIRE(parse_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n", head));
  CHECK(head.keep_alive);
  CHECK_FALSE(head.has_body());
  CHECK_FALSE(head.expects_continue);
  CHECK(head.fields.size() == 1);
}

TEST_CASE("HTTP/1.0 closes unless it asks to stay") {
  RequestHead head;
  REQUIRE(parse_head("GET / HTTP/1.0\r\n\r\n", head));
  CHECK_FALSE(head.keep_alive);
  REQUIRE(parse_head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", head));
  CHECK(head.keep_alive);
}

TEST_CASE("a target may be absolute, and has no fragment") {
  RequestHead head;
  REQUIRE(parse_head("GET http://a:80/b?c HTTP/1.1\r\nHost: a\r\n\r\n", head));
  CHECK(head.target == "/b?c");
  REQUIRE(parse_head("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", head));
  CHECK(head.target == "/");
  REQUIRE(parse_head("GET /b#c HTTP/1.1\r\nHost: a\r\n\r\n", head));
  CHECK(head.target == "/b");
  REQUIRE(parse_head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", head));
  CHECK(head.target == "*");
}

TEST_CASE("what could be read in two ways is refused") {
  const std::string line = "GET / HTTP/1.1\r\nHost: a\r\n";
  const std::vector<std::string> heads = {
      "\r\n",
      "GET /\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET a?b=://c/d HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
      std::string("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28),
      "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      line + "Host : a\r\n\r\n",
      line + " folded\r\n\r\n",
      line + "nocolon\r\n\r\n",
      line + ": a\r\n\r\n",
      line + "A: b\rc\r\n\r\n",
      line + "Transfer-Encoding: \rchunked\r\n\r\n",
      line + "A: b\r\r\n\r\n",
      line + "A: b\nContent-Length: 3\r\n\r\n",
      line + std::string("A: b\0c\r\n\r\n", 10),
      line + "Content-Length: -1\r\n\r\n",
      line + "Content-Length: 1, 1\r\n\r\n",
      line + "Content-Length: 0x10\r\n\r\n",
      line + "Content-Length:\r\n\r\n",
      line + "Content-Length: 99999999999999999999\r\n\r\n",
      line + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
      line + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      line + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      line + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      line + "Host: b\r\n\r\n",
      line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
  };
  for (const std::string& text : heads) {
    CAPTURE(text);
    RequestHead head;
    const Result<Done> read = parse_head(text, head);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().kind == ErrorKind::bad_request_framing);
  }
}

TEST_CASE("a head has limits") {
  RequestHead head;
  const auto refused = [&](const std::string& text) {
    const Result<Done> read = parse_head(text, head);
    return !read && read.error().kind == ErrorKind::headers_too_large;
  };
  CHECK(refused("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n"));
  CHECK(refused("GET / HTTP/1.1\r\nA: " + std::string(9000, 'a') + "\r\n\r\n"));
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 101; ++i) many += "A: b\r\n";
  CHECK(refused(many + "\r\n"));
  CHECK(parse_head("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", head)
            .has_value());
}

// All of it is chunks, to the last byte.
bool are_chunks(std::string_view bytes) {
  ChunkReader reader;
  std::string_view data;
  while (!bytes.empty() && !reader.is_over()) {
    const std::size_t before = bytes.size();
    if (!reader.read(bytes, data)) return false;
    REQUIRE(bytes.size() < before);
  }
  return reader.is_over() && bytes.empty();
}

TEST_CASE("behind a chunk's size stands nothing or an extension") {
  for (const char* size : {"5", "5;a=b", "5 ;a", "5\t ; a=\"b\"", "0005"}) {
    CAPTURE(size);
    CHECK(are_chunks(std::string(size) + "\r\nhello\r\n0\r\n\r\n"));
  }
  for (const char* size : {"5 abc", "5 ", "5\t\t", "5a b", "+5", "0x5", "5\n", "", ";a"}) {
    CAPTURE(size);
    CHECK_FALSE(are_chunks(std::string(size) + "\r\nhello\r\n0\r\n\r\n"));
  }
}

TEST_CASE("a trailer is a field, and says nothing of the framing") {
  for (const char* trailer : {"", "A: b\r\n", "A:\r\nB: c d\r\n"}) {
    CAPTURE(trailer);
    CHECK(are_chunks("1\r\na\r\n0\r\n" + std::string(trailer) + "\r\n"));
  }
  for (const char* trailer :
       {"Content-Length: 5\r\n", "transfer-encoding: chunked\r\n", "A\r\n", ": a\r\n", "A : b\r\n",
        " A: b\r\n", "A: b\n", "A: b\x01\r\n", "A: b\r\n c\r\n"}) {
    CAPTURE(trailer);
    CHECK_FALSE(are_chunks("1\r\na\r\n0\r\n" + std::string(trailer) + "\r\n"));
  }
}

TEST_CASE("a date is written as RFC 9110 has it") {
  const auto date = [](std::time_t time) {
    std::string line;
    append_date(line, time);
    return line;
  };
  CHECK(date(784'111'777) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  CHECK(date(951'782'400) == "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
}

}  // namespace
}  // namespace falproxy::serving
