#include "http1.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace falproxy;
using namespace falproxy::http1;

namespace {

std::string head_of(const HttpRequest& request) {
  const std::optional<Url> url = Url::parse(request.url);
  REQUIRE(url);
  const Result<std::string, Malformed> head = write_request_head(request, *url, url->origin());
  return head ? *head : "malformed: " + head.error().what;
}

// The payload of `bytes`, fed to the decoder in steps of `step` bytes.
std::string decode(BodyDecoder& decoder, std::string_view bytes, std::size_t step) {
  std::string body;
  while (!bytes.empty() && !decoder.complete() && !decoder.malformed()) {
    std::string_view part = bytes.substr(0, step);
    const std::size_t given = part.size();
    for (std::string_view payload = decoder.take(part); !payload.empty();
         payload = decoder.take(part)) {
      body += payload;
    }
    bytes.remove_prefix(given - part.size());
  }
  return body;
}

}  // namespace

TEST_CASE("a request head has what the request says and what HTTP needs") {
  CHECK(head_of({"GET", "https://Example.com"}) ==
        "GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nAccept-Encoding: "
        "identity\r\nUser-Agent: falproxy\r\n\r\n");
  CHECK(head_of({"PUT",
                 "http://[::1]:81/a?b",
                 {{"accept", "x"}, {"Accept-encoding", "y"}, {"USER-AGENT", "z"}}}) ==
        "PUT /a?b HTTP/1.1\r\nHost: [::1]:81\r\naccept: x\r\nAccept-encoding: y\r\nUSER-AGENT: "
        "z\r\nContent-Length: "
        "0\r\n\r\n");
  CHECK(head_of({"DELETE", "http://a/", {}, Body("12345")}).find("\r\nContent-Length: 5\r\n") !=
        std::string::npos);
}

TEST_CASE("the port stands in Host only where it is not the scheme's own") {
  CHECK(head_of({"GET", "https://a:443/"}).find("Host: a\r\n") != std::string::npos);
  CHECK(head_of({"GET", "http://a:443/"}).find("Host: a:443\r\n") != std::string::npos);
}

TEST_CASE("a response head is read once it is whole, at every cut before that it is not") {
  const std::string text =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 422 Unprocessable "
      "Content\r\nContent-Type: \t "
      "text/plain \r\nX-Empty:\r\nContent-Length: 3\r\n\r\nabc";
  for (std::size_t n = 0; n < text.size() - 3; ++n) {
    CAPTURE(n);
    const auto head = read_response_head(text.substr(0, n), "GET");
    REQUIRE(head);
    CHECK_FALSE(head->has_value());
  }
  const auto head = read_response_head(text, "GET");
  REQUIRE(head);
  REQUIRE(head->has_value());
  CHECK((*head)->head.status == 422);
  CHECK((*head)->head.headers ==
        HttpHeaders{{"Content-Type", "text/plain"}, {"X-Empty", ""}, {"Content-Length", "3"}});
  CHECK((*head)->framing == Framing::length);
  CHECK((*head)->length == 3);
  CHECK((*head)->keep_alive);
  CHECK((*head)->bytes == text.size() - 3);
}

TEST_CASE("the end of a body is found as RFC 9112 has it") {
  struct Case {
    const char* name;
    const char* fields;
    Framing framing;
    bool keep_alive;
    const char* method = "GET";
    const char* line = "HTTP/1.1 200 OK";
  };
  const std::vector<Case> cases{
      {"length", "Content-Length: 5\r\n", Framing::length, true},
      {"no bytes", "Content-Length: 0\r\n", Framing::none, true},
      {"chunked", "Transfer-Encoding: Chunked\r\n", Framing::chunked, true},
      {"chunked wins over a length", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
       Framing::chunked, false},
      {"neither", "", Framing::until_close, false},
      {"HEAD", "Content-Length: 5\r\n", Framing::none, true, "HEAD"},
      {"HEAD, chunked", "Transfer-Encoding: chunked\r\n", Framing::none, true, "HEAD"},
      {"204", "", Framing::none, true, "GET", "HTTP/1.1 204 No Content"},
      {"304", "Content-Length: 5\r\n", Framing::none, true, "GET", "HTTP/1.1 304 Not Modified"},
      {"close", "Connection: close\r\nContent-Length: 5\r\n", Framing::length, false},
      {"1.0", "Content-Length: 5\r\n", Framing::length, false, "GET", "HTTP/1.0 200 OK"},
      {"1.0 kept alive", "Content-Length: 5\r\nConnection: Keep-Alive\r\n", Framing::length, true,
       "GET", "HTTP/1.0 200 OK"},
      {"1.0 chunked", "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", Framing::chunked,
       false, "GET", "HTTP/1.0 200 OK"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto head =
        read_response_head(std::string(c.line) + "\r\n" + c.fields + "\r\n", c.method);
    REQUIRE(head);
    REQUIRE(head->has_value());
    CHECK((*head)->framing == c.framing);
    CHECK((*head)->keep_alive == c.keep_alive);
  }
}

TEST_CASE("what is not a response head is malformed, and the fault does not quote it") {
  const std::vector<std::string> bad{
      "x",
      "http/1.1 200 OK\r\n\r\n",
      "HTTP/2 200\r\n\r\n",
      "HTTP/1.1 20\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "HTTP/1.1 -20 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
      "HTTP/1.1 200 OK\r\nna me: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nname : x\r\n\r\n",
      "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: x\ry\r\n\r\n",
      std::string("HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n", 27),
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nSet-Cookie: secret-value\r\nbroken\r\n\r\n",
  };
  for (const std::string& text : bad) {
    CAPTURE(text);
    const auto head = read_response_head(text, "GET");
    REQUIRE_FALSE(head);
    CHECK(head.error().what.find("secret-value") == std::string::npos);
  }
}

TEST_CASE("heads without end are given up") {
  CHECK_FALSE(
      read_response_head("HTTP/1.1 200 OK\r\nA: " + std::string(max_head_bytes, 'a'), "GET"));
  std::string interim;
  while (interim.size() <= max_head_bytes) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  CHECK_FALSE(read_response_head(interim, "GET"));
}

TEST_CASE("chunks are taken apart wherever they are cut") {
  const std::string text =
      "5\r\nhello\r\n1;a=\"b\"\r\n,\r\n00006 \r\n world\r\n0;last\r\nTrailer: x\r\n\r\nrest";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    CAPTURE(step);
    BodyDecoder decoder(Framing::chunked, 0);
    CHECK_FALSE(decoder.may_end_here());
    CHECK(decode(decoder, text, step) == "hello, world");
    CHECK(decoder.complete());
  }
  std::string_view bytes = text;
  BodyDecoder decoder(Framing::chunked, 0);
  while (!decoder.take(bytes).empty()) continue;
  CHECK(bytes == "rest");
}

TEST_CASE("broken chunks are malformed") {
  const std::vector<std::string> bad{
      "\r\n",
      "g\r\n",
      "-1\r\n",
      "5 5x\rhello",
      "5\rhello",
      "5\r\nhello!",
      "5\r\nhello\rx",
      "10000000000000000\r\n",
      std::string(max_chunk_line_bytes + 1, '0') + "\r\n",
      "5;" + std::string(max_chunk_line_bytes, 'x') + "\r\n",
      "0\r\n" + std::string(max_trailer_bytes + 1, 'x'),
  };
  for (const std::string& text : bad) {
    CAPTURE(text.substr(0, 40));
    for (const std::size_t step : {std::size_t{1}, text.size()}) {
      BodyDecoder decoder(Framing::chunked, 0);
      decode(decoder, text, step);
      CHECK(decoder.malformed());
    }
  }
}

TEST_CASE("a body with a length ends there, one without ends with the connection") {
  BodyDecoder counted(Framing::length, 4);
  CHECK(counted.expected() == 4);
  CHECK(decode(counted, "fi", 1) == "fi");
  CHECK_FALSE(counted.may_end_here());
  CHECK(decode(counted, "nerest", 6) == "ne");
  CHECK(counted.complete());

  BodyDecoder open(Framing::until_close, 0);
  CHECK(decode(open, "whatever", 3) == "whatever");
  CHECK_FALSE(open.complete());
  CHECK(open.may_end_here());

  CHECK(BodyDecoder(Framing::none, 0).complete());
  CHECK(BodyDecoder(Framing::length, 0).complete());
}

TEST_CASE("a request to a proxy names the whole address, and the proxy's credentials") {
  const Url url = Url::parse("http://fal.test:8080/a?b").value();
  const HttpRequest request{"GET", "http://fal.test:8080/a?b"};
  Proxy proxy{.host = "proxy.test", .port = 3128, .setting = "HTTP_PROXY"};
  CHECK(write_request_head(request, url, url.origin(), &proxy).value() ==
        "GET http://fal.test:8080/a?b HTTP/1.1\r\nHost: fal.test:8080\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: falproxy\r\n\r\n");
  proxy.credentials = Secret("Aladdin:open sesame");  // RFC 7617, 2
  CHECK(write_request_head(request, url, url.origin(), &proxy)
            .value()
            .find("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n") !=
        std::string::npos);
  CHECK(write_connect_head(Url::parse("https://[::1]/").value(), {}) ==
        "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nUser-Agent: falproxy\r\n\r\n");
}

TEST_CASE("the answer to CONNECT ends with its head, whatever its fields say") {
  for (const char* fields : {"", "Content-Length: 5\r\n", "Content-Length: x\r\n",
                             "Transfer-Encoding: chunked\r\n", "Connection: close\r\n"}) {
    CAPTURE(fields);
    const std::string answer = "HTTP/1.0 200 Connection established\r\n" + std::string(fields);
    CHECK(read_connect_answer(answer).value() == std::nullopt);
    CHECK(read_connect_answer(answer + "\r\n").value() == 200);
    CHECK_FALSE(read_connect_answer(answer + "\r\nx"));
  }
  CHECK(read_connect_answer("HTTP/1.1 407 Who?\r\nContent-Length: 3\r\n\r\nabc").value() == 407);
  CHECK(read_connect_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").value() == 200);
  CHECK_FALSE(read_connect_answer("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
  CHECK_FALSE(read_connect_answer("x"));
}
