// What becomes of a request where keys and accounts give out, and that nobody sees them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/runner.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

// A submit with the first key.
std::function<std::optional<Script>(const HttpRequest&)> fail_first_key(Script script) {
  return [script = std::move(script)](const HttpRequest& request) -> std::optional<Script> {
    if (request.method != "POST" || request.headers.find("authorization") != "Key key-a:secret-a")
      return std::nullopt;
    return script;
  };
}

}  // namespace

TEST_CASE("keys take turns, and the next one is tried at once when fal refuses one") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(401, R"({"detail":"No user found"})"));
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(outcome.response);
  CHECK(outcome.receipt.jobs[0].key_slot == 1);
  CHECK(outcome.receipt.jobs[0].submits == 2);
  CHECK(world.fal.jobs[0].key == "Key key-b:secret-b");
  CHECK(outcome.receipt.total == 1s);  // no time was lost over it
  world.check_closed();
}

TEST_CASE("when every key is refused the client hears nothing of fal's accounts") {
  GatewayWorld world;
  world.fal.fault =
      fail_on("POST https://queue",
              answer(403, R"({"detail":"User is locked. Reason: Exhausted balance. Top up."})"));
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  const Error& error = outcome.response.error();
  CHECK((error.kind == ErrorKind::keys_out || error.kind == ErrorKind::keys_resting));
  CHECK(error.message.find("alance") == std::string::npos);
  CHECK_FALSE(error.submitted);
  world.check_closed();
}

TEST_CASE(
    "the operator hears each time fal refuses a key, and when it takes it again, and no key") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(401, R"({"detail":"No user for key-a:secret-a"})"));
  const std::string refused =
      "warning key 1 of AI_KEYS is left out, and tried again in 5 minutes: fal refuses it (401: No "
      "user for [key]); take it out, or put the right one there";
  for (int i = 0; i < 4; ++i) CHECK(world.handle(request_for("flux")).response);
  CHECK(world.log_lines == std::vector<std::string>{refused});

  world.clock.advance(6min);
  for (int i = 0; i < 4; ++i) CHECK(world.handle(request_for("flux")).response);
  CHECK(world.log_lines == std::vector<std::string>{refused, refused});

  world.fal.fault = nullptr;
  world.clock.advance(6min);
  for (int i = 0; i < 4; ++i) CHECK(world.handle(request_for("flux")).response);
  CHECK(world.log_lines ==
        std::vector<std::string>{refused, refused, "info key 1 of AI_KEYS can be used again"});
  world.check_closed();
}

TEST_CASE("a 401 of somebody in between says nothing of a key") {
  GatewayWorld world;
  world.fal.fault =
      fail_on("POST https://queue", answer(401, "<h1>401 Authorization Required</h1>"), 2);
  const Outcome refused = world.handle(request_for("flux"));
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::upstream_failed);
  CHECK(refused.response.error().message == "fal's address answered 401, and not in fal's form.");
  CHECK_FALSE(refused.response.error().submitted);
  CHECK(refused.receipt.jobs.at(0).submits == 2);  // each key was asked
  for (const AccountStatus& account : world.keys.status(world.clock.now()))
    CHECK(account.state == AccountStatus::State::ready);
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.log_lines.empty());
  world.check_closed();
}

TEST_CASE("60 requests: of two accounts only the one that fal calls locked or empty is left out") {
  struct Case {
    const char* text;
    bool blocks;
  };
  const std::vector<Case> cases{
      {"User is locked. Reason: Exhausted balance. Top up your balance.", true},
      {"User is locked. Reason: TOP_UP.", true},
      {"Exhausted balance.", true},
      {"Request blocked by content filter", false},
      {"The feature is locked for your account", false},
      {"A balanced composition is required", false},
      {"Your IP is blocked", false},
      {"Load balancer refused the request", false},
      {"Forbidden", false},
      {"You are not on the allow list", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    GatewayWorld world;
    const std::string body = std::string(R"({"detail":")") + c.text + R"("})";
    int refused = 0;
    world.fal.fault = [&](const HttpRequest& request) {
      std::optional<Script> script = fail_first_key(answer(403, body))(request);
      refused += script.has_value() ? 1 : 0;
      return script;
    };
    for (int i = 0; i < 6; ++i) CHECK(world.handle(request_for("flux")).response);
    CHECK((refused == 1) == c.blocks);
    const std::vector<AccountStatus> accounts = world.keys.status(world.clock.now());
    CHECK((accounts.at(0).state == AccountStatus::State::blocked) == c.blocks);
    CHECK(accounts.at(1).state == AccountStatus::State::ready);
    world.check_closed();
  }
}

TEST_CASE("a job under way is collected though fal refuses its account new ones meanwhile") {
  GatewayWorld world;
  std::optional<Outcome> second;
  world.clock.at(world.clock.now() + 500ms, [&] {
    world.fal.fault = fail_on("POST https://queue",
                              answer(403, R"({"detail":"User is locked. Reason: TOP_UP."})"));
    second = world.handle(request_for("flux", "another"));
  });
  const Outcome first = world.handle(request_for("flux"));
  CHECK(first.response);
  REQUIRE(second.has_value());
  CHECK_FALSE(second->response);
  for (const AccountStatus& account : world.keys.status(world.clock.now()))
    CHECK(account.state == AccountStatus::State::blocked);
  world.check_closed();
}

TEST_CASE("a model's own stream that quotes the key shows it to nobody") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.stream = true;
  GatewayWorld world({model});
  world.fal.fault = fail_on(
      "POST https://fal.run",
      answer(422, R"({"detail":[{"loc":["body","prompt"],"msg":"bad for key-a:secret-a"}]})"));
  Wish request = request_for("flux");
  request.stream = true;
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().message.find("bad for [key]") != std::string::npos);
  world.check_closed();
}

TEST_CASE("half a key that fal quotes is shown to nobody, wherever fal's words are told") {
  for (const char* const half : {"key-id-a", "secret-a", "key-id-a:secret-a"}) {
    CAPTURE(std::string(half));
    GatewayWorld world;
    world.keys.reload({{Secret("key-id-a:secret-a")}}, {});
    const std::string said =
        std::string(R"({"detail":[{"loc":["body","prompt"],"msg":"bad for ')") + half +
        R"('","type":")" + half + R"("}]})";
    world.fal.fault =
        fail_result(answer(422, said, {{"x-fal-request-id", std::string("id-of-") + half}}));
    const Outcome outcome = world.handle(request_for("flux"));
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().message.find("bad for '[key]'") != std::string::npos);
    for (const std::string& told :
         {outcome.response.error().message, outcome.response.error().fal_request_id,
          outcome.receipt.jobs.at(0).fault})
      CHECK(told.find(half) == std::string::npos);
    world.check_closed();
  }
}

TEST_CASE("the operator hears of an account that fal blocks, and that it can be used again") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(403, R"({"detail":"User is locked. Top up."})"));
  CHECK(world.handle(request_for("flux")).response);
  world.fal.fault = nullptr;
  world.clock.advance(6min);
  for (int i = 0; i < 3; ++i) CHECK(world.handle(request_for("flux")).response);
  REQUIRE(world.log_lines.size() == 2);
  CHECK(world.log_lines[0].starts_with("warning the account of key 1 of AI_KEYS is blocked"));
  CHECK(world.log_lines[0].find("403: User is locked. Top up.") != std::string::npos);
  CHECK(world.log_lines[1] == "info key 1 of AI_KEYS can be used again");
  world.check_closed();
}

TEST_CASE("an address on another host never sees a key, and its job is fetched all the same") {
  GatewayWorld world;
  world.fal.fault = [&, seen = false](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.method != "POST" || seen) return std::nullopt;
    seen = true;
    (void)world.fal.serve(request);
    return answer(
        200,
        R"({"request_id":"job-1","status_url":"https://evil.example/s","response_url":"https://evil.example/r","cancel_url":"https://evil.example/c"})");
  };
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.fal.count_fetched() == 1);
  CHECK(world.transport.count("GET https://evil") == 0);
  world.check_closed();
}

TEST_CASE("a job of an own app runs though its account has as many jobs as it may") {
  for (const bool own_app : {true, false}) {
    CAPTURE(own_app);
    CatalogModel mine = catalog_model("mine", "me/mine");
    mine.settings.own_app = own_app;
    GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev"), mine});
    world.fal.documents["me/mine"] = model_document("me/mine");
    world.keys.reload({{Secret("key-a:secret-a")}}, {.max_jobs_per_account = 1});
    std::optional<Outcome> second;
    world.clock.at(world.clock.now() + 500ms, [&] {
      second = world.handle(request_for("mine"), {.deadline = world.clock.now() + 10s});
    });
    CHECK(world.handle(request_for("flux")).response);
    REQUIRE(second.has_value());
    CHECK(second->response.has_value() == own_app);
    world.check_closed();
  }
}

TEST_CASE("a result is not taken for a key because it holds the short half of one") {
  GatewayWorld world;
  world.keys.reload({{Secret("fal:secret-a")}}, {});
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(only_content(outcome) == "https://v3.fal.media/files/job-1.png");
}

}  // namespace falproxy
