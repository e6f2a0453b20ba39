// RFC 9110 and RFC 9112, section by section, as a client meets them: bytes in, status and
// connection out. The readers themselves have tables of their own (tests/serving/head_test.cpp;
// of the client: tests/http/http1_test.cpp).
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "app/folder.hpp"
#include "app/served.hpp"
#include "serving/flag.hpp"

namespace falproxy::test {
namespace {

enum class After {
  stays,  // another request on the same connection is answered
  ends,   // the server closes
};

struct Row {
  const char* section;
  std::string request;
  int status;
  After after;
  std::vector<std::string> has = {};    // fields of the answer
  std::vector<std::string> hasnt = {};  // fields that it must not have
};

const std::string health = " /health HTTP/1.1\r\nHost: a\r\n";

// `fields` end in CR and LF.
std::string generation(const std::string& fields, const std::string& body) {
  return "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
         key_field() + fields + "\r\n" + body;
}

void check(const Served& server, const Row& row) {
  CAPTURE(row.section);
  CAPTURE(row.request);
  RawClient client(server.port());
  client.send(row.request);
  const bool is_head = row.request.starts_with("HEAD ");
  const Received got = client.receive(!is_head);
  CHECK(got.status == row.status);
  for (const std::string& field : row.has) {
    CAPTURE(field);
    CHECK(got.headers.find(field).has_value());
  }
  for (const std::string& field : row.hasnt) {
    CAPTURE(field);
    CHECK_FALSE(got.headers.find(field).has_value());
  }
  // RFC 9110, 6.6.1: a server with a clock sends it with each answer.
  CHECK(got.headers.find("Date").has_value());
  // RFC 9110, 8.6: never both of them.
  CHECK_FALSE((got.headers.find("Content-Length").has_value() &&
               got.headers.find("Transfer-Encoding").has_value()));
  if (row.after == After::ends) {
    CHECK(got.header("Connection") == "close");
    CHECK(client.at_end());
    return;
  }
  CHECK(got.header("Connection") != "close");
  CHECK(client.exchange("GET" + health + "\r\n").status == 200);
}

TEST_CASE("requests are framed as RFC 9112 has it") {
  const Served server;
  const std::string chunks = "Transfer-Encoding: chunked\r\n";
  const std::string length = "Content-Length: " + std::to_string(lighthouse.size()) + "\r\n";
  const std::string one_chunk = "28\r\n" + lighthouse + "\r\n0\r\n\r\n";
  REQUIRE(lighthouse.size() == 0x28);
  const std::vector<Row> rows = {
      {"2.2: blank lines before a request are passed over", "\r\n\r\nGET" + health + "\r\n", 200,
       After::stays},
      {"2.2: a bare LF is no end of a line", "GET /health HTTP/1.1\nHost: a\n\n", 400, After::ends},
      {"2.2: a bare CR is no end of a line", "GET" + health + "A: b\rC: d\r\n\r\n", 400,
       After::ends},
      {"2.2: blanks before the first field", "GET /health HTTP/1.1\r\n Host: a\r\n\r\n", 400,
       After::ends},
      {"2.3: another major version", "GET /health HTTP/2.0\r\nHost: a\r\n\r\n", 400, After::ends},
      {"2.3: no version", "GET /health\r\n\r\n", 400, After::ends},
      {"3: more than one blank", "GET  /health HTTP/1.1\r\nHost: a\r\n\r\n", 400, After::ends},
      {"3.1: a method is a token", "G@T" + health + "\r\n", 400, After::ends},
      {"3.2: no Host", "GET /health HTTP/1.1\r\n\r\n", 400, After::ends},
      {"3.2: two of Host", "GET" + health + "Host: a\r\n\r\n", 400, After::ends},
      {"3.2.1: a path begins with a slash", "GET health HTTP/1.1\r\nHost: a\r\n\r\n", 400,
       After::ends},
      {"3.2.2: the whole address", "GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n", 200,
       After::stays},
      {"3.2.4: OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, After::stays},
      {"5.1: a blank before the colon", "GET" + health + "A : b\r\n\r\n", 400, After::ends},
      {"5.1: blanks around a value are no part of it", "GET" + health + "A: \t b \t\r\n\r\n", 200,
       After::stays},
      {"5.2: a folded line", "GET" + health + "A: b\r\n c\r\n\r\n", 400, After::ends},
      {"6.1: chunks and a length", generation(chunks + length, one_chunk), 400, After::ends},
      {"6.1: chunks that are not the last coding",
       generation("Transfer-Encoding: chunked, gzip\r\n", one_chunk), 400, After::ends},
      {"6.1: a coding that is not known", generation("Transfer-Encoding: gzip\r\n", ""), 400,
       After::ends},
      {"6.1: chunks in HTTP/1.0",
       "POST /v1/images/generations HTTP/1.0\r\nHost: a\r\n" + chunks + "\r\n" + one_chunk, 400,
       After::ends},
      {"6.2: two lengths", generation(length + length, lighthouse), 400, After::ends},
      {"6.2: a length with a sign", generation("Content-Length: +40\r\n", lighthouse), 400,
       After::ends},
      {"6.3: a length", generation(length, lighthouse), 200, After::stays},
      {"7.1: chunks", generation(chunks, one_chunk), 200, After::stays},
      {"7.1: in several, with upper-case sizes",
       generation(chunks, "A\r\n" + lighthouse.substr(0, 10) + "\r\n1E\r\n" +
                              lighthouse.substr(10) + "\r\n0\r\n\r\n"),
       200, After::stays},
      {"7.1.1: an extension", generation(chunks, "28;a=b\r\n" + lighthouse + "\r\n0\r\n\r\n"), 200,
       After::stays},
      {"7.1.2: a trailer", generation(chunks, "28\r\n" + lighthouse + "\r\n0\r\nA: b\r\n\r\n"), 200,
       After::stays},
      {"7.1: a size that is none", generation(chunks, "0x28\r\n" + lighthouse + "\r\n0\r\n\r\n"),
       400, After::ends},
      {"7.1: a size with a sign", generation(chunks, "-2\r\n" + lighthouse + "\r\n0\r\n\r\n"), 400,
       After::ends},
      {"7.1: a chunk that is longer than it says",
       generation(chunks, "27\r\n" + lighthouse + "\r\n0\r\n\r\n"), 400, After::ends},
      {"9.3: HTTP/1.1 stays", "GET" + health + "\r\n", 200, After::stays},
      {"9.3: HTTP/1.0 does not", "GET /health HTTP/1.0\r\n\r\n", 200, After::ends},
      {"9.6: who says close is closed", "GET" + health + "Connection: close\r\n\r\n", 200,
       After::ends},
  };
  for (const Row& row : rows) check(server, row);
}

TEST_CASE("methods, status codes and fields mean what RFC 9110 says") {
  const Served server;
  const std::string length = "Content-Length: " + std::to_string(lighthouse.size()) + "\r\n";
  const std::vector<Row> rows = {
      {"9.3.2: HEAD has the fields of GET",
       "HEAD" + health + "\r\n",
       200,
       After::stays,
       {"Content-Type", "Content-Length"}},
      {"9.3.7: OPTIONS has no content",
       "OPTIONS" + health + "\r\n",
       204,
       After::stays,
       {},
       {"Content-Type", "Transfer-Encoding"}},
      {"15.5.6: a method that the address does not know",
       "DELETE" + health + "\r\n",
       405,
       After::stays,
       {"Allow"}},
      {"9.1: a method that nobody knows", "BREW" + health + "\r\n", 405, After::stays, {"Allow"}},
      {"15.5.5: an address that nobody knows",
       "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
       404,
       After::stays,
       {"Content-Type"}},
      {"15.5.2: without a key it says which is wanted",
       "GET /v1/falproxy/jobs HTTP/1.1\r\nHost: a\r\n\r\n",
       401,
       After::stays,
       {"WWW-Authenticate"}},
      {"15.5.16: a coding of the body that is not known says which are",
       generation(length + "Content-Encoding: br\r\n", lighthouse),
       415,
       After::stays,
       {"Accept-Encoding"}},
      {"10.1.1: another expectation is no reason to refuse",
       "GET" + health + "Expect: a-cat\r\n\r\n", 200, After::stays},
      {"7.6.3, 7.8: Via and Upgrade change nothing",
       "GET" + health + "Via: 1.1 b\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
       200,
       After::stays,
       {},
       {"Upgrade"}},
      {"14.2: a Range of what has none is passed over",
       "GET" + health + "Range: bytes=0-1\r\n\r\n",
       200,
       After::stays,
       {},
       {"Content-Range"}},
      {"5.6.1: an empty element of a list", "GET" + health + "Connection: , keep-alive,\r\n\r\n",
       200, After::stays},
  };
  for (const Row& row : rows) check(server, row);
}

TEST_CASE("100 (Continue) comes before the body is sent, and the answer after it") {
  const Served server;
  RawClient client(server.port());
  const std::string whole = generation(
      "Expect: 100-continue\r\nContent-Length: " + std::to_string(lighthouse.size()) + "\r\n",
      lighthouse);
  client.send(whole.substr(0, whole.size() - lighthouse.size()));
  CHECK(client.wait_for("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send(lighthouse);
  CHECK(client.receive().status == 200);
}

TEST_CASE("requests that are sent ahead are answered in their order (RFC 9112, 9.3.2)") {
  const Served server;
  RawClient client(server.port());
  client.send("GET" + health + "\r\n" + "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" + "HEAD" +
              health + "\r\n" + "GET" + health + "Connection: close\r\n\r\n");
  CHECK(client.receive().status == 200);
  CHECK(client.receive().status == 404);
  CHECK(client.receive(false).status == 200);
  CHECK(client.receive().status == 200);
  CHECK(client.at_end());
}

TEST_CASE("ranges and conditions are those of RFC 9110") {
  const testing::Folder folder;
  const Served server(
      {{"STATE_DIR", folder.at("state")}, {"MEDIA_STORE", "dir:" + folder.at("media")}},
      falsim::Falsim::start({.job_time = Milliseconds(0)}).value(),
      [](const falsim::Falsim& sim) { return app::Environment{{"FAL_API_URL", sim.api_url()}}; });
  const Received made = server.post(
      "/v1/images/generations",
      R"({"model":"flux","prompt":"a lighthouse","response_format":"url","size":"64x64"})");
  REQUIRE(made.status == 200);
  const std::string path = Url::parse(text_at(made.body, "data.0.url")).value().target;
  REQUIRE(path.starts_with("/media/"));
  const auto ask = [&](const std::string& method, const std::string& fields) {
    RawClient client(server.port());
    client.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + fields +
                "Connection: close\r\n\r\n");
    return client.receive(method != "HEAD");
  };
  REQUIRE(eventually([&] { return ask("GET", "").headers.find("ETag").has_value(); }));
  const Received whole = ask("GET", "");
  const std::string tag = whole.header("ETag");
  const std::string size = std::to_string(whole.body.size());
  REQUIRE(whole.body.size() > 10);

  struct Condition {
    const char* section;
    std::string fields;
    int status;
    std::string range = {};  // the field Content-Range
    std::string body = {};
  };
  const std::string& body = whole.body;
  const std::vector<Condition> rows = {
      {"13.1.2: If-None-Match, the same", "If-None-Match: " + tag + "\r\n", 304},
      {"13.1.2: If-None-Match, any", "If-None-Match: *\r\n", 304},
      {"13.1.2: If-None-Match, one of several", "If-None-Match: \"x\", " + tag + "\r\n", 304},
      {"13.1.2: If-None-Match, compared weakly", "If-None-Match: W/" + tag + "\r\n", 304},
      {"13.1.2: If-None-Match, another", "If-None-Match: \"x\"\r\n", 200, "", body},
      {"14.1.2: the first bytes", "Range: bytes=0-4\r\n", 206, "bytes 0-4/" + size,
       body.substr(0, 5)},
      {"14.1.2: from there on", "Range: bytes=5-\r\n", 206,
       "bytes 5-" + std::to_string(body.size() - 1) + "/" + size, body.substr(5)},
      {"14.1.2: the last bytes", "Range: bytes=-3\r\n", 206,
       "bytes " + std::to_string(body.size() - 3) + "-" + std::to_string(body.size() - 1) + "/" +
           size,
       body.substr(body.size() - 3)},
      {"14.1.2: past the end is cut", "Range: bytes=5-99999999\r\n", 206,
       "bytes 5-" + std::to_string(body.size() - 1) + "/" + size, body.substr(5)},
      {"15.5.17: behind the end", "Range: bytes=99999999-\r\n", 416, "bytes */" + size},
      {"14.2: a unit that is not known", "Range: pages=1-2\r\n", 200, "", body},
      {"14.2: what is no range", "Range: bytes=5-2\r\n", 200, "", body},
      {"13.1.5: If-Range, the same", "Range: bytes=0-4\r\nIf-Range: " + tag + "\r\n", 206,
       "bytes 0-4/" + size, body.substr(0, 5)},
      {"13.1.5: If-Range, another", "Range: bytes=0-4\r\nIf-Range: \"x\"\r\n", 200, "", body},
      {"13.2.2: If-None-Match goes before Range",
       "Range: bytes=0-4\r\nIf-None-Match: " + tag + "\r\n", 304},
  };
  for (const Condition& row : rows) {
    CAPTURE(row.section);
    const Received got = ask("GET", row.fields);
    CHECK(got.status == row.status);
    CHECK(got.header("Content-Range") == row.range);
    if (row.status == 200 || row.status == 206) CHECK((got.body == row.body));
    if (row.status == 304) CHECK(got.header("ETag") == tag);
    if (row.status == 304) CHECK(got.body.empty());
  }
  const Received head = ask("HEAD", "");
  CHECK(head.status == 200);
  CHECK(head.header("Content-Length") == size);
  CHECK(head.header("ETag") == tag);
  CHECK(head.header("Accept-Ranges") == "bytes");
}

}  // namespace
}  // namespace falproxy::test
