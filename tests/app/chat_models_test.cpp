// Chat models behind fal's router, over real sockets and falsim.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const Environment routed{
    {"LLM_MODELS", "gpt:openai/gpt-4.1-mini,google/gemini-2.5-flash,deepseek/deepseek-r1:free"},
    {"AI_KEYS", "one-id:one-secret,two-id:two-secret"}};
constexpr const char* completions = "/v1/chat/completions";
constexpr const char* router_chat = "openrouter/router/openai/v1/chat/completions";

std::string say(const std::string& model, const std::string& text, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","messages":[{"role":"user","content":")" + text + "\"}]" +
         more + "}";
}

falsim::Fault at_router(int status, const std::string& body, const std::string& key = {}) {
  falsim::Fault fault;
  fault.step = falsim::Step::run;
  fault.endpoint = router_chat;
  fault.key = key;
  fault.answer = falsim::Answer{.status = status, .body = body};
  return fault;
}

// Any JSON that a client may send: deep, with numbers that no double has and text that is escaped.
std::string random_value(std::mt19937& random, int depth) {
  static const std::vector<std::string> leaves{"null",
                                               "true",
                                               "1.0",
                                               "9007199254740993",
                                               "-0",
                                               "1e400",
                                               R"("\ud83d\ude00 \/ \u0041")",
                                               R"("a\"},{\"model\":\"x")",
                                               "0.10",
                                               R"("ü€")",
                                               "[]",
                                               "{}"};
  const auto draw = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  if (depth == 0 || draw(3) == 0) return leaves[draw(leaves.size())];
  std::string text = draw(2) == 0 ? "[" : "{";
  const bool is_object = text == "{";
  const std::size_t n = draw(4) + 1;
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0) text += draw(2) == 0 ? " ,\n" : ",";
    if (is_object) text += (draw(3) == 0 ? R"("model")" : "\"k" + std::to_string(i) + "\"") + ": ";
    text += random_value(random, depth - 1);
  }
  return text + (is_object ? "}" : "]");
}

}  // namespace

TEST_CASE("200 random bodies reach fal and 200 random answers the client byte for byte") {
  Served served(routed);
  std::mt19937 random(28);
  RawClient client(served.port());
  for (int i = 0; i < 200; ++i) {
    const bool has_alias = i % 2 == 0;
    const std::string model = has_alias ? "gpt" : "google/gemini-2.5-flash";
    const std::string before = R"({ "a":)" + random_value(random, 4) + R"( ,"model" : )";
    const std::string after = R"(, "messages":)" + random_value(random, 4) + "}";
    const std::string answer = random_value(random, 5) + std::string(i % 3, ' ');
    served.sim.clear_faults();
    served.sim.add_fault(at_router(200, answer));
    const Received got = client.exchange(
        post(completions, before + '"' + model + '"' + after,
             key_field() + "Cookie: a=b\r\nX-Stainless-Lang: js\r\nOpenAI-Organization: o\r\n"));
    CAPTURE(before);
    CAPTURE(after);
    REQUIRE(got.status == 200);
    REQUIRE(got.body == answer);
    const falsim::SeenSubmit seen = served.sim.submits().back();
    const std::string sent_model = has_alias ? "openai/gpt-4.1-mini" : model;
    REQUIRE(seen.input == before + '"' + sent_model + '"' + after);
    for (const char* name : {"cookie", "x-stainless-lang", "openai-organization", "api-key"})
      CHECK_FALSE(seen.headers.find(name));
    CHECK(seen.headers.find("authorization")->starts_with("Key "));
  }
}

TEST_CASE("a chat model answers, streamed and not, and nothing of fal's cookies comes along") {
  Served served(routed);
  const Received got = served.post(completions, say("gpt", "hello there"));
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "choices.0.message.content") == "You said: hello there ");
  CHECK(text_at(got.body, "model") == "openai/gpt-4.1-mini");
  CHECK(got.header("content-type") == "application/json");
  CHECK(got.header("set-cookie").empty());
  CHECK_FALSE(got.header("x-fal-request-id").empty());
  CHECK_FALSE(got.header("x-request-id").empty());
  const Received streamed = served.post(
      completions, say("deepseek/deepseek-r1:free", "count to 20", R"(,"stream":true)"));
  CHECK(streamed.header("content-type") == "text/event-stream");
  CHECK(streamed.body.starts_with(": OPENROUTER PROCESSING\n\n"));
  CHECK(streamed.body.find(R"("content":"20 ")") != std::string::npos);
  CHECK(streamed.body.ends_with("data: [DONE]\n\n"));
  CHECK(served.post("/v1/embeddings", R"({"model":"gpt","input":"a"})").status == 200);
  CHECK(
      served.post("/openai/deployments/gpt/embeddings?api-version=1", R"({"input":"a"})").status ==
      200);
  CHECK(served.sim.submits().back().input == R"({"model":"openai/gpt-4.1-mini","input":"a"})");
  CHECK(served.sim.stats().submits == 0);
}

TEST_CASE("a token goes on as it comes, and a client that leaves ends the call at fal") {
  falsim::FalsimOptions slow;
  slow.job_time = std::chrono::milliseconds(60'000);
  Served served(routed, slow);
  {
    RawClient client(served.port());
    client.send(post(completions, say("gpt", "count to 10", R"(,"stream":true)"), key_field()));
    CHECK(client.wait_for("OPENROUTER PROCESSING"));
    CHECK(served.sim.stats().runs == 1);
  }
  CHECK(served.sim.wait_for([](const falsim::FalsimStats& s) { return s.runs_abandoned == 1; }));
}

TEST_CASE("another key takes a chat that fal refuses for its key, and nobody hears of it") {
  for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
           {401, R"({"detail":"No user found for Key ID and Secret"})"},
           {403, R"({"detail":"User is locked. Reason: Exhausted balance."})"},
           {402, R"({"error":{"message":"Insufficient credits","code":402}})"},
           {429, R"({"detail":"Reached concurrent requests limit of 2"})"}}) {
    const int answered = status;
    CAPTURE(answered);
    Served served(routed);
    served.sim.add_fault(at_router(status, body, "one-id:one-secret"));
    CHECK(served.post(completions, say("gpt", "a")).status == 200);
    CHECK(served.post(completions, say("gpt", "b")).status == 200);
    served.sim.add_fault(at_router(status, body, "two-id:two-secret"));
    const Received got = served.post(completions, say("gpt", "c"), "x-request-timeout: 2\r\n");
    CHECK((got.status == 503 || got.status == 429));
    CHECK(got.body.find("balance") == std::string::npos);
    CHECK(got.body.find("Insufficient") == std::string::npos);
    CHECK(got.body.find("secret") == std::string::npos);
  }
}

TEST_CASE("what a model refuses passes with its status, in OpenAI's form, and costs no other key") {
  Served served(routed);
  served.sim.add_fault(
      at_router(429, R"({"error":{"message":"Rate limit exceeded: free","code":429}})"));
  const Received slow = served.post(completions, say("gpt", "a"));
  CHECK(slow.status == 429);
  CHECK(text_at(slow.body, "error.code") == "rate_limit_exceeded");
  CHECK(text_at(slow.body, "error.message") == "Rate limit exceeded: free");
  CHECK(slow.header("x-should-retry").empty());
  CHECK(served.sim.submits().size() == 1);
  served.sim.clear_faults();
  served.sim.add_fault(at_router(500, R"({"detail":"Internal Server Error"})"));
  CHECK(served.post(completions, say("gpt", "a"), "User-Agent: ai/7\r\n").status == 500);
}

TEST_CASE("names of chat models and of picture models each have their place") {
  Served served(routed);
  const Received list = served.get("/v1/models");
  CHECK(list.body.find(R"("id":"gpt")") != std::string::npos);
  CHECK(list.body.find(R"("owned_by":"openrouter")") != std::string::npos);
  CHECK(text_at(served.get("/v1/models/gpt").body, "owned_by") == "openrouter");
  const Received picture = served.post("/v1/images/generations", R"({"model":"gpt","prompt":"a"})");
  CHECK(picture.status == 400);
  CHECK(text_at(picture.body, "error.param") == "model");
  const Received embedding = served.post("/v1/embeddings", R"({"model":"flux","input":"a"})");
  CHECK(embedding.status == 400);
  CHECK(text_at(embedding.body, "error.param") == "model");
  const Received unknown = served.post(completions, say("none", "a"));
  CHECK(unknown.status == 404);
  CHECK(text_at(unknown.body, "error.code") == "model_not_found");
  CHECK(served.post("/v1/embeddings", R"({"model":"none","input":"a"})").status == 404);
  CHECK(served.post(completions, R"({"model":"gpt","model":"flux"})").status == 400);
  CHECK(text_at(served.post(completions, say("flux", "a")).body,
                "choices.0.message.images.0.type") == "image_url");
}

TEST_CASE("a pattern serves any name that is no picture's") {
  Served served(Environment{{"LLM_MODELS", "openai/*,*:google/gemini-2.5-flash"}});
  CHECK(text_at(served.post(completions, say("openai/gpt-5", "a")).body, "model") ==
        "openai/gpt-5");
  CHECK(text_at(served.post(completions, say("gpt-5", "a")).body, "model") ==
        "google/gemini-2.5-flash");
  CHECK(served.post(completions, say("flux", "a")).body.find("images") != std::string::npos);
  CHECK(served.get("/v1/models").body.find("*") == std::string::npos);
}

TEST_CASE("a chat of a key with a budget holds its reserve, and is settled by what it cost") {
  testing::Folder folder;
  Environment settings = routed;
  settings["KEYS_FILE"] = folder.write(
      "keys.json",
      R"({"team":{"key":"team-key-of-16-letters","budget":"0.10/day","on_state_loss":"allow","llm_reserve":"0.06"}})");
  Served served(settings);
  const std::string key = key_field("team-key-of-16-letters");
  const auto ask = [&](const std::string& text) {
    RawClient client(served.port());
    return client.exchange(post(completions, say("gpt", text), key));
  };
  Received got;
  REQUIRE(eventually([&] {
    got = ask("count to 1000");
    return got.status != 503;
  }));
  REQUIRE(got.status == 200);
  // 1000 tokens of 0.000025: what is left has room for one more reserve, and then for none.
  CHECK(eventually([&] {
    RawClient client(served.port());
    const Received usage = client.exchange(get("/v1/falproxy/usage", key));
    return at(usage.body, "data.0.cost_usd").as_number() == 0.025;
  }));
  CHECK(ask("count to 1000").status == 200);
  const Received refused = ask("a");
  CHECK(refused.status == 429);
  CHECK(text_at(refused.body, "error.code") == "insufficient_quota");
  CHECK(served.sim.stats().runs == 2);
}

TEST_CASE("what a chat costs is in the metrics") {
  Served served(routed);
  CHECK(served.post(completions, say("gpt", "count to 1000")).status == 200);
  CHECK(served.get("/metrics")
            .body.find(R"(falproxy_cost_usd_total{key="default",model="gpt"} 0.025)") !=
        std::string::npos);
}

TEST_CASE("chores of picture chats go to CHAT_TASK_MODEL, if there is one") {
  Environment settings = routed;
  settings["CHAT_TASK_MODEL"] = "gpt";
  Served served(settings);
  const Received got = served.post(completions, say("flux", "hi", R"(,"max_tokens":5)"));
  CHECK(text_at(got.body, "choices.0.message.content") == "You said: hi ");
  CHECK(served.sim.submits().back().input ==
        say("openai/gpt-4.1-mini", "hi", R"(,"max_tokens":5)"));
  CHECK(served.sim.stats().submits == 0);
}

TEST_CASE("a pattern that every name fits is no answer to a request that names none") {
  Environment settings = routed;
  settings["LLM_MODELS"] = "*:google/gemini-2.5-flash";
  Served served(settings);
  const std::string nameless = R"({"messages":[{"role":"user","content":"a fox"}])";
  CHECK(served.post(completions, say("flux", "hi", R"(,"max_tokens":5)")).status == 200);
  CHECK(text_at(served.post(completions, nameless + "}").body, "choices.0.message.images.0.type") ==
        "image_url");
  CHECK(served.sim.stats().runs == 0);
  const Received typo = served.post("/v1/images/generations", R"({"model":"fluxx","prompt":"a"})");
  CHECK(typo.status == 400);
  CHECK(typo.body.find("chat model") == std::string::npos);
}

TEST_CASE("a chat model on an address of Azure's for pictures is 400 on the model") {
  Served served(routed);
  const Received got =
      served.post("/openai/deployments/gpt/images/generations?api-version=1", R"({"prompt":"a"})");
  CHECK(got.status == 400);
  CHECK(text_at(got.body, "error.param") == "model");
  const Received unknown = served.post("/openai/deployments/none/embeddings", R"({"input":"a"})");
  CHECK(unknown.status == 404);
  CHECK(text_at(unknown.body, "error.code") == "DeploymentNotFound");
}

TEST_CASE("a chore that CHAT_TASK_MODEL may not or cannot do is answered all the same") {
  testing::Folder folder;
  Environment settings = routed;
  settings["CHAT_TASK_MODEL"] = "gpt";
  settings["KEYS_FILE"] =
      folder.write("keys.json",
                   R"({"team":{"key":"team-key-of-16-letters","models":["flux*"]},
          "poor":{"key":"poor-key-of-16-letters","budget":"0.01/day","on_state_loss":"allow"}})");
  Served served(settings);
  for (const char* key : {"team-key-of-16-letters", "poor-key-of-16-letters"}) {
    CAPTURE(key);
    for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
             {completions, say("flux", "hi", R"(,"max_tokens":5)")},
             {"/v1/responses", R"({"model":"flux","input":"hi","max_output_tokens":5})"}}) {
      RawClient client(served.port());
      const Received got = client.exchange(post(path, body, key_field(key)));
      CHECK(got.status == 200);
      CHECK(got.body.find("OK") != std::string::npos);
    }
  }
  CHECK(served.sim.stats().runs == 0);
}

TEST_CASE("a chat that breaks off before its answer keeps the status that it has elsewhere") {
  Served served(routed);
  falsim::Fault lost = at_router(200, "");
  lost.answer.reset();
  lost.wire = falsim::Wire::close;
  served.sim.add_fault(lost);
  CHECK(served.post(completions, say("gpt", "a"), "User-Agent: ai/7\r\n").status == 502);
}

}  // namespace falproxy::app
