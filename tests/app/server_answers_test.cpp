// What is told of fal's jobs beside the pictures, over real sockets: header fields, comments of
// streams, failures of some jobs, and who may repeat what.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "served.hpp"

namespace falproxy::app {
namespace {

using With = Environment;
using namespace test;
using falsim::FalsimStats;

constexpr std::string_view images = "/v1/images/generations";

falsim::Fault broken_job(int skip = 0) {
  falsim::Fault fault{.step = falsim::Step::submit};
  fault.skip = skip;
  fault.times = 1;
  fault.job.error = "the model broke";
  fault.job.error_type = "runner_server_error";
  return fault;
}

std::string vidu(std::string_view more) {
  return R"({"model":"vidu","prompt":"a lighthouse","n":3)" + std::string(more) + "}";
}
const With with_vidu{{"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,vidu:vidu/q2/text-to-image"}};

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

// The value of ": name: value" in a stream.
std::string comment(std::string_view stream, std::string_view name) {
  const std::string before = "\n: " + std::string(name) + ": ";
  const std::size_t at = stream.find(before);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = stream.substr(at + before.size());
  return std::string(rest.substr(0, rest.find('\n')));
}

TEST_CASE("an answer that is cut while it is written is there for the next equal request") {
  falsim::FalsimOptions large = Served::quick();
  large.picture_bytes = 5u << 20;  // more than both sockets hold
  const Served server({}, large);
  const std::string asked =
      R"({"model":"flux","prompt":"a fox","output_format":"png","response_format":"b64_json")";
  for (const char* stream : {"}", R"(,"stream":true})"}) {
    CAPTURE(stream);
    const auto before = server.sim.stats().submits;
    RawClient client(server.port());
    client.send(test::post(images, asked + stream, key_field()));
    REQUIRE(client.fill_to(1000));
    client.reset();
    CHECK(test::eventually(
        [&] { return at(server.get("/v1/falproxy/status").body, "in_flight").as_integer() == 0; }));
    CHECK(server.post(images, asked + stream).status == 200);
    CHECK(server.sim.stats().submits == before + 1);
  }
}

}  // namespace

TEST_CASE("what is told of a job, and where: in plain answers, streams, slow answers and errors") {
  struct Row {
    const char* name;
    bool plain, stream, keepalive, error;
    bool comment;  // of the stream
  };
  const std::vector<Row> rows = {
      {"x-request-id", true, true, true, true, false},
      {"x-falproxy-model", true, true, true, true, true},
      {"x-fal-request-id", true, true, true, true, true},
      {"x-falproxy-notes", true, true, true, true, true},
      {"x-fal-billable-units", true, false, false, false, true},
      {"Server-Timing", true, false, false, true, true},
      {"openai-processing-ms", true, false, false, true, true},
      {"x-should-retry", false, false, false, true, false},
  };
  const std::string body = R"({"model":"flux","prompt":"a","style":"vivid")";
  Served server(With{{"KEEPALIVE_SECONDS", "1"}}, {.job_time = Milliseconds(50)});
  const Received plain = server.post(images, body + "}");
  const Received stream = server.post(images, body + R"(,"stream":true})");
  server.sim.set_times(Milliseconds(0), Milliseconds(1500));
  const Received keepalive = server.post(images, body + R"(,"n":2})");
  server.sim.set_times(Milliseconds(0), Milliseconds(0));
  server.sim.add_fault(broken_job());
  const Received error = server.post(images, body + R"(,"n":3})");
  REQUIRE(plain.status == 200);
  REQUIRE(stream.status == 200);
  REQUIRE(stream.header("transfer-encoding") == "chunked");
  REQUIRE(keepalive.status == 200);
  REQUIRE(keepalive.body.starts_with(" "));
  REQUIRE(error.status == 502);
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(plain.header(row.name).empty() != row.plain);
    CHECK(stream.header(row.name).empty() != row.stream);
    CHECK(keepalive.header(row.name).empty() != row.keepalive);
    CHECK(error.header(row.name).empty() != row.error);
    CHECK(comment(stream.body, row.name).empty() != row.comment);
  }
  std::vector<std::string> told;
  for (const Received* got : {&plain, &stream, &keepalive, &error})
    told.push_back(got->header("x-fal-request-id"));
  std::vector<std::string> seen;
  for (const falsim::SeenSubmit& submit : server.sim.submits()) seen.push_back(submit.request_id);
  CHECK(told == seen);
}

TEST_CASE("of three jobs one fails: two pictures are answered, and every request id is told") {
  Served server(with_vidu);
  server.sim.add_fault(broken_job(1));
  const Received got = server.post(images, vidu(""));
  REQUIRE(got.status == 200);
  CHECK(at(got.body, "data").size() == 2);
  CHECK(got.header("x-falproxy-notes").find("2 of 3 pictures came: the model failed at fal") !=
        std::string::npos);
  CHECK(count_of(got.header("x-fal-request-id"), ", ") == 2);
  server.service.reset();  // the log is written to its end
  const std::string log = server.log();
  CHECK(log.find("runner_server_error") != std::string::npos);
  for (const falsim::SeenSubmit& submit : server.sim.submits())
    CHECK(log.find(submit.request_id) != std::string::npos);
}

TEST_CASE("a stream shows what came while other jobs run, and says at its end what failed") {
  Served server(with_vidu, {.job_time = Milliseconds(20)});
  falsim::Fault slow{.step = falsim::Step::submit};
  slow.times = 1;
  slow.job.job_time = Milliseconds(60'000);
  server.sim.add_fault(slow);
  RawClient client(server.port());
  client.send(
      test::post(images, vidu(R"(,"stream":true)"), key_field() + "x-request-timeout: 3\r\n"));
  const Received got = client.receive();
  REQUIRE(got.status == 200);
  CHECK(count_of(got.header("x-fal-request-id"), ", ") == 2);
  const std::size_t pictures = count_of(got.body, "event: image_generation.completed\n");
  CHECK(pictures == 2);
  const std::size_t error = got.body.find("event: error\n");
  REQUIRE(error != std::string::npos);
  CHECK(error > got.body.rfind("event: image_generation.completed\n"));
  CHECK(got.body.find("request_timeout", error) != std::string::npos);
  CHECK(comment(got.body, "x-falproxy-notes").find("2 of 3 pictures came") != std::string::npos);
  // They came before the end was known.
  CHECK(got.body.find(": Server-Timing") > got.body.rfind("event: image_generation.completed\n"));
}

TEST_CASE("a failure after a job was taken is a 400 for the AI SDK, which repeats all else") {
  struct Row {
    const char* agent;
    int status;
  };
  for (const Row& row : {Row{"ai/7.0.173 ai-sdk/provider-utils/4.0.1 runtime/node.js/24", 400},
                         Row{"OpenAI/JS 7.57.0", 502}, Row{"fair/1.0", 502}}) {
    CAPTURE(row.agent);
    Served server;
    server.sim.add_fault(broken_job());
    const std::string agent = "User-Agent: " + std::string(row.agent) + "\r\n";
    const Received got = server.post(images, lighthouse, agent);
    CHECK(got.status == row.status);
    CHECK(text_at(got.body, "error.code") == "image_generation_failed");
    CHECK(got.header("x-should-retry") == "false");
    // Before a job is taken it may be sent again.
    server.sim.add_fault({.step = falsim::Step::submit,
                          .answer = falsim::Answer{.status = 429, .body = R"({"detail":"x"})"}});
    CHECK(server.post(images, R"({"model":"flux","prompt":"b"})", agent).status == 429);
  }
}

TEST_CASE("a program that repeats a failure without a word pays once") {
  Served server;
  server.sim.add_fault(broken_job());
  for (int i = 0; i < 3; ++i) CHECK(server.post(images, lighthouse).status == 502);
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("a request that is cut and sent again finds its job, though it says nothing") {
  const Served server({}, {.job_time = Milliseconds(1500)});
  RawClient first(server.port());
  first.send(test::post(images, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  first.close();
  CHECK(server.post(images, lighthouse).status == 200);
  CHECK(server.sim.stats().submits == 1);
  CHECK(server.sim.stats().cancelled == 0);
}

TEST_CASE("a stream that is cut goes on for the request that comes back") {
  const Served server({}, {.job_time = Milliseconds(1500)});
  const std::string body = R"({"model":"flux","prompt":"a","stream":true})";
  RawClient first(server.port());
  first.send(test::post(images, body, key_field()));
  REQUIRE(first.wait_for(": running"));
  first.reset();
  const Received again = server.post(images, body);
  CHECK(again.status == 200);
  CHECK(again.body.find("event: image_generation.completed") != std::string::npos);
  CHECK(server.sim.stats().submits == 1);
  CHECK(server.sim.stats().cancelled == 0);
}

}  // namespace falproxy::app
