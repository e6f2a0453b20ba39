// What strangers try at the doors beside /v1/images: it is refused, and nothing reaches fal.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const Environment many_doors{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"},
    {"LLM_MODELS", "gpt:openai/gpt-4.1-mini"}};

Received knock(const Served& served, const std::string& method, const std::string& path,
               const std::string& body, const std::string& fields = {}) {
  RawClient client(served.port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: a.example\r\n" + key_field() + fields +
              "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  return client.receive();
}

void check_refused(const Received& got, const char* member = "error") {
  CAPTURE(got.body.substr(0, 300));
  CHECK(got.status >= 400);
  CHECK(got.status < 500);
  CHECK_FALSE(at(got.body, member).is_null());
}

}  // namespace

TEST_CASE("a body that is none is refused at every door, and nothing reaches fal") {
  const Served served(many_doors);
  served.wait_for_documents();
  const std::uint64_t before = served.sim.stats().requests;
  std::string many = R"({"model":"flux","messages":[0)", deep;
  for (int i = 0; i < 200'000; ++i) many += ",0";
  for (int i = 0; i < 100; ++i) deep += R"({"messages":[)";
  for (
      const std::string& body : std::vector<std::string>{
          "",
          " ",
          "null",
          "[]",
          "7",
          R"("a")",
          "{",
          "{}",
          R"({"a":1,"a":2})",
          many + "]}",
          deep,
          "{\"messages\":\"\xff\xfe\"}",
          R"({"model":null,"messages":null,"input":null})",
          R"({"model":"flux","messages":[null,[],7,"a"],"input":[null,[],7]})",
          R"({"model":"flux","messages":[{"role":"user","content":{"type":"text","text":7}}],"input":[{"role":"user","content":7}]})",
          R"({"model":{"a":1},"messages":[{"role":"user","content":"a"}],"input":"a","prompt":"a"})",
          R"({"model":"flux","messages":[{"role":"user","content":"a\u0000b"}],"input":"a\u0000b","prompt":"a\u0000b"})",
          R"({"model":"flux","messages":[{"role":"user","content":"a"}],"input":"a","prompt":"a","stream":"yes"})",
          R"({"model":"flux","messages":[{"role":"user","content":"a"}],"input":"a","prompt":"a","size":{"w":1}})",
          R"({"model":"flux","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}],"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"file:///etc/passwd"}]}],"prompt":"a","input_references":[{"image_url":{"url":"file:///etc/passwd"}}]})"}) {
    CAPTURE(body.substr(0, 200));
    for (const char* path : {"/v1/chat/completions", "/v1/responses", "/v1/embeddings",
                             "/api/v1/images", "/openai/deployments/flux/chat/completions"}) {
      CAPTURE(path);
      // An Azure address has named the model.
      const bool is_named = std::string(path).find("deployments") != std::string::npos &&
                            body.find(R"({"a":1})") != std::string::npos;
      if (!is_named) check_refused(knock(served, "POST", path, body));
    }
  }
  CHECK(served.sim.stats().requests == before);
}

TEST_CASE("an address that leads elsewhere is refused at every door, and nothing reaches fal") {
  const Served served(many_doors);
  served.wait_for_documents();
  const std::uint64_t before = served.sim.stats().requests;
  const std::string body =
      R"({"prompt":"a","model":"flux","messages":[{"role":"user","content":"a"}]})";
  for (const char* path : {"/fal/queue/fal-ai/flux/dev/../../../x",
                           "/fal/queue/%2e%2e/%2e%2e/x",
                           "/fal/queue/fal-ai/flux/dev/%2e%2e/%2e%2e/tokens",
                           "/fal/queue/fal-ai/flux/requests/%2e%2e/status",
                           "/fal/queue/fal-ai/flux/requests//status",
                           "/fal/queue/fal-ai/flux/requests/a/../../b/cancel",
                           "/fal/run/https://evil.example/a",
                           "/fal/run/https:%2f%2fevil.example%2fa",
                           "/fal/run/@evil.example/a",
                           "/fal/run/fal-ai/flux/dev%0d%0aX-A:%20b",
                           "/fal/run/fal-ai/flux/dev%00",
                           "/fal/run/fal-ai%5cflux%5cdev",
                           "/fal/run/fal-ai/flux/dev/stream/stream",
                           "/fal/run/openrouter/router/openai/v1/chat/completions",
                           "/openai/deployments/%2e%2e/chat/completions",
                           "/openai/deployments/none/images/edits",
                           "/openai/deployments/a%00b/images/generations",
                           "/openai/deployments//chat/completions",
                           "/api/v1/images/models/flux/endpoints",
                           "/v1/responses/resp_1/cancel"}) {
    CAPTURE(path);
    const bool is_fals = std::string(path).starts_with("/fal/");
    check_refused(knock(served, "POST", path, body), is_fals ? "detail" : "error");
  }
  for (const std::string& target : std::vector<std::string>{
           "HTTPS://fal.run/fal-ai/flux/dev", "https://FAL.RUN/fal-ai/flux/dev",
           "https://fal.run/%2e%2e/x", "https://fal.run//fal-ai/flux/dev",
           "https://fal.run/fal-ai/flux/dev#x", "https://fal.run/fal-ai/flux/dev/%2e%2e/x",
           "https://fal.run\t/fal-ai/flux/dev", "https://queue.fal.run/fal-ai/flux/requests/%00",
           "https://rest.fal.ai/storage/upload/initiate%2f..%2f..%2ftokens",
           "https://rest.fal.ai//storage/upload/initiate", "//fal.run/fal-ai/flux/dev"}) {
    CAPTURE(target);
    check_refused(knock(served, "POST", "/fal/proxy", body, "x-fal-target-url: " + target + "\r\n"),
                  "detail");
  }
  CHECK(served.sim.stats().requests == before);
}

TEST_CASE("ids that are none, or somebody else's, find nothing at any door") {
  const Served served(many_doors);
  served.wait_for_documents();
  const std::uint64_t before = served.sim.stats().requests;
  for (const std::string& id :
       std::vector<std::string>{"resp_", "resp_00000000000000000000000000000000", "resp_%2e%2e",
                                "job_1", "\\u0000", "fal:default", std::string(5000, '0')}) {
    CAPTURE(id.substr(0, 60));
    check_refused(knock(served, "POST", "/v1/responses",
                        R"({"model":"nano","input":"a","previous_response_id":")" + id + "\"}"));
    check_refused(knock(
        served, "POST", "/v1/responses",
        R"({"model":"nano","input":[{"role":"user","content":"a"},{"type":"item_reference","id":"ig_)" +
            id + R"("},{"role":"user","content":"b"}]})"));
  }
  for (const std::string& id : std::vector<std::string>{"0", "a-b_c", std::string(128, 'a')}) {
    CAPTURE(id);
    CHECK(knock(served, "GET", "/fal/queue/fal-ai/flux/requests/" + id, "").status == 404);
  }
  CHECK(served.sim.stats().requests == before);
}

}  // namespace falproxy::app
