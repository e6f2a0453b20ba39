// What is no good request, and what clients send besides, over real sockets; docs/clients.md names
// the clients that each of these is for.
#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST_CASE("bad input gets an error of its own, and the server goes on") {
  const Served server;
  struct Case {
    std::string name;
    std::string body;
    int status;
    std::string code;
    std::string param;
  };
  std::string fields = R"({"prompt":"a")";
  for (int i = 0; i < 100'001; ++i) fields += ",\"" + std::to_string(i) + "\":1";
  const std::vector<Case> cases = {
      {"empty body", "", 400, "invalid_json", ""},
      {"not JSON", "prompt=a", 400, "invalid_json", ""},
      {"half JSON", R"({"prompt":"a)", 400, "invalid_json", ""},
      {"array", R"(["a"])", 400, "invalid_json", ""},
      {"deep", R"({"prompt":)" + std::string(10'000, '['), 400, "invalid_json", ""},
      {"many fields", fields + "}", 400, "invalid_json", ""},
      {"invalid UTF-8", "{\"prompt\":\"\xff\xfe\"}", 400, "invalid_json", ""},
      {"no prompt", R"({"model":"flux"})", 400, "missing_required_parameter", "prompt"},
      {"prompt null", R"({"model":"flux","prompt":null})", 400, "missing_required_parameter",
       "prompt"},
      {"prompt as number", R"({"model":"flux","prompt":7})", 400, "invalid_type", "prompt"},
      {"n as text", R"({"model":"flux","prompt":"a","n":"2"})", 400, "invalid_type", "n"},
      {"n huge", R"({"model":"flux","prompt":"a","n":1e308})", 400, "", "n"},
      {"n negative", R"({"model":"flux","prompt":"a","n":-1})", 400, "invalid_value", "n"},
      {"n with a fraction", R"({"model":"flux","prompt":"a","n":2.5})", 400, "", "n"},
      {"n too large", R"({"model":"flux","prompt":"a","n":11})", 400, "invalid_value", "n"},
      {"size", R"({"model":"flux","prompt":"a","size":"banana"})", 400, "invalid_value", "size"},
      {"CRLF in the model", R"({"model":"a\r\nX-Injected: b","prompt":"a"})", 400, "invalid_value",
       "model"},
      {"NUL in the model", R"({"model":"flux\u0000","prompt":"a"})", 400, "invalid_value", "model"},
      {"NUL in the prompt", R"({"model":"flux","prompt":"a\u0000b"})", 400, "invalid_value",
       "prompt"},
      {"duplicate keys", R"({"model":"flux","prompt":"a","prompt":"b"})", 400, "", "prompt"},
  };
  RawClient client(server.port());
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Received got = client.exchange(test::post("/v1/images/generations", c.body, key_field()));
    CHECK(got.status == c.status);
    CHECK(got.header("content-type") == "application/json");
    CHECK(at(got.body, "error").size() == 4);
    CHECK(text_at(got.body, "error.param") == c.param);
    if (!c.code.empty()) CHECK(text_at(got.body, "error.code") == c.code);
    CHECK_FALSE(text_at(got.body, "error.message").empty());
    CHECK_FALSE(got.headers.find("x-injected").has_value());
    CHECK(got.header("connection").empty());
  }
  CHECK(client.exchange(test::post("/v1/images/generations", lighthouse, key_field())).status ==
        200);
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("a body that is not what its head says") {
  const Served server;
  const std::string head =
      "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
      key_field();
  SUBCASE("100 MB") {
    RawClient client(server.port());
    const Received got = client.exchange(head + "Content-Length: 104857600\r\n\r\n");
    CHECK(got.status == 413);
    CHECK(text_at(got.body, "error.code") == "request_too_large");
    CHECK(got.header("connection") == "close");
  }
  SUBCASE("100 MB in chunks") {
    RawClient client(server.port());
    std::thread sender([&] {
      client.send(head + "Transfer-Encoding: chunked\r\n\r\n");
      const std::string chunk = "100000\r\n" + std::string(1u << 20, 'a') + "\r\n";
      for (int i = 0; i < 100 && client.send(chunk); ++i) {
      }
    });
    const Received got = client.receive();
    CHECK(got.status == 413);
    sender.join();
  }
  SUBCASE("2 MB of JSON without pictures") {
    const Received got =
        server.post("/v1/images/generations",
                    R"({"model":"flux","prompt":")" + std::string(2u << 20, 'a') + "\"}");
    CHECK(got.status == 413);
    CHECK(text_at(got.body, "error.code") == "request_too_large");
  }
  SUBCASE("shorter than it says: the client leaves") {
    RawClient client(server.port());
    client.send(head + "Content-Length: 100\r\n\r\n" + lighthouse);
    client.close();
    CHECK(server.get("/health").status == 200);
  }
  SUBCASE("longer than it says: what is left is no request") {
    RawClient client(server.port());
    client.send(head + "Content-Length: 2\r\n\r\n{}" + lighthouse + "\r\n\r\n");
    CHECK(client.receive().status == 400);
    const Received second = client.receive();
    CHECK(second.status == 400);
    CHECK(text_at(second.body, "error.code") == "bad_request");
    CHECK(client.at_end());
  }
  SUBCASE("chunks that are none") {
    RawClient client(server.port());
    const Received got =
        client.exchange(head + "Transfer-Encoding: chunked\r\n\r\nhello world\r\n");
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.code") == "bad_request");
  }
  CHECK(server.sim.stats().submits == 0);
}

TEST_CASE("content types that an endpoint does not take") {
  const Served server;
  RawClient client(server.port());
  const auto sent_as = [&](std::string_view path, const std::string& type) {
    return client.exchange("POST " + std::string(path) +
                           " HTTP/1.1\r\nHost: a\r\nContent-Type: " + type + "\r\n" + key_field() +
                           "Content-Length: " + std::to_string(lighthouse.size()) + "\r\n\r\n" +
                           lighthouse);
  };
  CHECK(sent_as("/v1/images/generations", "application/json; charset=utf-8").status == 200);
  CHECK(sent_as("/v1/images/generations", "Application/JSON").status == 200);
  for (const char* type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"}) {
    CAPTURE(type);
    const Received got = sent_as("/v1/images/generations", type);
    CHECK(got.status == 415);
    CHECK(text_at(got.body, "error.code") == "unsupported_content_type");
  }
  CHECK(sent_as("/v1/images/edits", "text/plain").status == 415);
}

TEST_CASE("a compressed body is inflated, or told how it may be compressed") {
  const Served server;
  CHECK(server.post("/v1/images/generations", gzip(lighthouse), "Content-Encoding: gzip\r\n")
            .status == 200);
  CHECK(server.post("/v1/images/generations", lighthouse, "Content-Encoding: gzip\r\n").status ==
        400);
  const Received large = server.post("/v1/images/generations", gzip(std::string(100u << 20, 'a')),
                                     "Content-Encoding: gzip\r\n");
  CHECK(large.status == 413);
  const Received brotli =
      server.post("/v1/images/generations", lighthouse, "Content-Encoding: br\r\n");
  CHECK(brotli.status == 415);
  CHECK(brotli.header("accept-encoding") == "gzip");
}

TEST_CASE("heads and addresses that are too long") {
  const Served server;
  RawClient client(server.port());
  const Received path = client.exchange(test::get("/" + std::string(8000, 'a')));
  CHECK(path.status == 404);
  CHECK(path.body.size() < 1000);
  const Received head =
      client.exchange(test::get("/health", "X-Long: " + std::string(64u << 10, 'a') + "\r\n"));
  CHECK(head.status == 431);
  CHECK(text_at(head.body, "error.code") == "headers_too_large");
}

TEST_CASE("what OpenAI's clients send besides never breaks a request") {
  const Served server;
  RawClient client(server.port());
  for (
      const char* more :
      {R"("n":null,"size":null,"quality":null)",
       R"("size":"auto","quality":"hd","style":"natural","user":"u")",
       R"("background":"auto","moderation":"low","output_compression":100,"safety_identifier":"s")",
       R"("seed":7,"negative_prompt":"b","guidance_scale":3.5,"steps":20)",
       R"("quality":"xhigh","partial_images":0)"}) {
    CAPTURE(more);
    const std::string body = R"({"model":"flux","prompt":"ä🗼",)" + std::string(more) + "}";
    CHECK(client.exchange(test::post("/v1/images/generations", body, key_field())).status == 200);
  }
}

}  // namespace
}  // namespace falproxy::app
