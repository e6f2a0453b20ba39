// Runs that outlive the request that began them, and are asked for by their id.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "runs/later_run.hpp"
#include "runs/restarted.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

namespace {

bool is_known(Runner& runner, const std::string& client, std::uint8_t number = 1) {
  const auto found = runner.find(client, later_id(number));
  REQUIRE(found);
  return found->has_value();
}

}  // namespace

TEST_CASE("a run that is asked for later is found by its id, from before its submit to its end") {
  Restarted world;
  Later later;
  std::vector<std::string> seen;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("queue.fal.run") == std::string::npos) return std::nullopt;
    CHECK(later.ids == std::vector{later_id(1)});
    const RunStatus status = status_now(*world.first);
    seen.push_back(std::string(name_of(status.phase)));
    CHECK(status.progress < 100);
    CHECK(status.products.empty());
    return std::nullopt;
  };
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  CHECK(seen == std::vector<std::string>{"queued", "queued", "in_progress"});
  const RunStatus status = status_now(*world.first);
  CHECK(status.phase == RunPhase::completed);
  CHECK(status.progress == 100);
  REQUIRE(status.products.size() == 1);
  CHECK(status.products[0].content.str() == "https://v3.fal.media/files/job-1.png");
  CHECK(status.products[0].output_format == "png");
  CHECK(status.record.requested_model == "flux");
  CHECK_FALSE(status.record.prompt.has_value());
  CHECK(later.ids.size() == 1);
}

TEST_CASE("a run that is somebody else's is not there") {
  Restarted world;
  Later later;
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  CHECK(is_known(*world.first, "me"));
  CHECK_FALSE(is_known(*world.first, "you"));
  CHECK_FALSE(is_known(*world.first, ""));
  CHECK_FALSE(world.first->cancel("you", later_id(1))->has_value());
  CHECK_FALSE(*world.first->forget("you", later_id(1)));
  CHECK(is_known(*world.first, "me"));
  CHECK(world.first->list("you", {}, 10)->empty());
}

TEST_CASE("base64 is fetched when it is asked for") {
  Restarted world;
  Later later;
  REQUIRE(world.first->handle(in_base64(request_for("flux")), later.context()).response);
  CHECK(world.transport.count("GET https://v3.fal.media/") == 0);
  const RunStatus status = status_now(*world.first);
  CHECK(status.response_format == ResponseFormat::b64_json);
  const auto products = world.first->products_of(status, {.deadline = no_deadline});
  REQUIRE(products);
  REQUIRE(products->size() == 1);
  CHECK_FALSE(products->at(0).is_address);
  CHECK(products->at(0).content.str() == base64(world.fal.picture));
}

TEST_CASE("a run goes on over a restart, and is found with what it made") {
  Restarted world;
  Later later;
  later.details = R"({"of":"the surface"})";
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  const RunStatus before = status_now(*world.first);
  for (const std::size_t step : {std::size_t{1}, std::size_t{2}}) {
    CAPTURE(step);
    Runner& runner = world.restart(step);
    REQUIRE(runner.recover({}));
    const RunStatus after = status_now(runner);
    CHECK(after.phase == RunPhase::completed);
    REQUIRE(after.products.size() == 1);
    CHECK(after.products[0].content == before.products[0].content);
    CHECK(after.products[0].output_format == before.products[0].output_format);
    CHECK(after.details == later.details);
  }
  CHECK(world.submits() == 1);
}

TEST_CASE("a run tells no less progress after a restart than before") {
  Restarted world;
  world.fal.job_time = 50s;
  Later later;
  int most = 0;
  int compared = 0;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("queue.fal.run") == std::string::npos) return std::nullopt;
    const RunStatus here = status_now(*world.first);
    CHECK(here.progress >= most);
    most = here.progress;
    if (here.phase != RunPhase::in_progress || most == 0) return std::nullopt;
    const RunStatus there = status_now(world.restart(world.before.steps.size() - 1));
    CHECK(there.phase == RunPhase::in_progress);
    CHECK(there.progress >= most);
    CHECK(there.progress < 100);
    ++compared;
    return std::nullopt;
  };
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  CHECK(compared > 0);
  CHECK(most > 0);
}

TEST_CASE("a run on which fal works is not queued again while another process takes it up") {
  Restarted world;
  world.fal.job_time = 50s;
  Later later;
  std::size_t working = 0;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("queue.fal.run") == std::string::npos) return std::nullopt;
    if (status_now(*world.first).progress > 0) working = world.before.steps.size() - 1;
    return std::nullopt;
  };
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  REQUIRE(working > 0);
  Runner& runner = world.restart(working);
  int looks = 0;
  world.fal.fault = [&](const HttpRequest&) -> std::optional<Script> {
    ++looks;
    CHECK(status_now(runner).phase == RunPhase::in_progress);
    return std::nullopt;
  };
  REQUIRE(runner.recover({}));
  CHECK(looks > 0);
}

TEST_CASE("what fal's own clients have under way is not among this server's runs") {
  Restarted world;
  RunRecord record;
  record.owner = "me";
  record.promised = true;
  record.state = RunState::accepted;
  record.surface = native_surface;
  record.jobs = {{.state = RunState::accepted, .endpoint = "fal-ai/flux/dev", .request_id = "r"}};
  for (const std::uint8_t number : std::initializer_list<std::uint8_t>{1, 2}) {
    record.id = later_id(number);
    record.surface = number == 1 ? std::string(native_surface) : "images.generations";
    world.before.write(record, Durability::durable, world.clock.now() + 1s,
                       [](const auto& done) { REQUIRE(done); });
  }
  const auto all = world.first->under_way(10);
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  CHECK(all->front().record.id == later_id(2));
}

TEST_CASE("a run that was being submitted at a restart has failed, since nobody knows") {
  Restarted world;
  Later later;
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  Runner& runner = world.restart(0);
  REQUIRE(runner.recover({}));
  const RunStatus status = status_now(runner);
  CHECK(status.phase == RunPhase::failed);
  REQUIRE(status.error.has_value());
  CHECK(status.error->kind == ErrorKind::job_uncertain);
  CHECK(world.submits() == 1);
}

TEST_CASE("a run that is cancelled is cancelled at fal, and says so") {
  for (const bool after_restart : {false, true}) {
    CAPTURE(after_restart);
    Restarted world;
    Later later;
    Runner* runner = world.first.get();
    if (after_restart) {
      REQUIRE(runner->handle(request_for("flux"), later.context()).response);
      runner = &world.restart(1);
    }
    world.fal.job_time = 100s;
    bool cancelled = false;
    world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
      if (request.url.find("/status") == std::string::npos || std::exchange(cancelled, true))
        return std::nullopt;
      // It waits in virtual time, which only this thread moves.
      static_cast<void>(runner->cancel("me", later_id(1)));
      return std::nullopt;
    };
    if (after_restart) {
      REQUIRE(runner->recover({}));
    } else {
      CHECK_FALSE(runner->handle(request_for("flux"), later.context()).response);
    }
    CHECK(world.fal.count_cancelled() == 1);
    const RunStatus status = status_now(*runner);
    CHECK(status.phase == RunPhase::cancelled);
    CHECK(status.error->kind == ErrorKind::cancelled);
    CHECK(status.products.empty());
  }
}

TEST_CASE("fal goes on with a run when the server stops, and the next one finds it") {
  Restarted world;
  Later later;
  std::stop_source stop;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("/status") != std::string::npos) stop.request_stop();
    return std::nullopt;
  };
  CallContext context = later.context();
  context.stop = stop.get_token();
  CHECK_FALSE(world.first->handle(request_for("flux"), context).response);
  CHECK(world.fal.count_cancelled() == 0);
  world.fal.fault = {};
  Runner& runner = world.restart(world.before.steps.size() - 1);
  REQUIRE(runner.recover({}));
  CHECK(status_now(runner).phase == RunPhase::completed);
  CHECK(world.submits() == 1);
}

TEST_CASE("a run that waits for a key when the server stops was not submitted, and says so") {
  Restarted world;
  Later later;
  std::stop_source stop;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.method != "POST" || request.url.find("queue.fal.run") == std::string::npos)
      return std::nullopt;
    stop.request_stop();
    return answer(429, R"({"detail":"slow down"})", {{"retry-after", "30"}});
  };
  CallContext context = later.context();
  context.stop = stop.get_token();
  CHECK_FALSE(world.first->handle(request_for("flux"), context).response);
  const RunStatus status = status_now(*world.first);
  CHECK(status.phase == RunPhase::failed);
  CHECK(status.error->kind == ErrorKind::cancelled);
  CHECK(world.fal.jobs.empty());
}

TEST_CASE("a repeat of an asynchronous request gets the run that the first one began") {
  Restarted world;
  Later first(1), second(2), third(3), other(4);
  Runner& runner = *world.first;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    // While the first one runs.
    if (request.url.find("/status") != std::string::npos && second.ids.empty())
      CHECK_FALSE(runner.handle(request_for("flux"), second.context("k")).response);
    return std::nullopt;
  };
  REQUIRE(runner.handle(request_for("flux"), first.context("k")).response);
  CHECK(second.ids == std::vector{later_id(1)});
  const Outcome again = runner.handle(request_for("flux"), third.context("k"));
  CHECK(again.receipt.recovered);
  CHECK(third.ids == std::vector{later_id(1)});
  const Outcome refused = runner.handle(request_for("flux", "another"), other.context("k"));
  CHECK(refused.response.error().kind == ErrorKind::idempotency_key_reused);
  CHECK(other.ids.empty());
  CHECK(world.submits() == 1);
  // Equal requests without a key are not repeats.
  CHECK(runner.handle(request_for("flux"), other.context()).response);
  CHECK(other.ids == std::vector{later_id(4)});
  CHECK(world.submits() == 2);
}

TEST_CASE("a key that comes with another request while the first one runs is refused") {
  Restarted world;
  Later first(1), other(2);
  Runner& runner = *world.first;
  std::optional<ErrorKind> refused;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("/status") != std::string::npos && !refused.has_value()) {
      refused = ErrorKind::internal;
      refused =
          runner.handle(request_for("flux", "another"), other.context("k")).response.error().kind;
    }
    return std::nullopt;
  };
  REQUIRE(runner.handle(request_for("flux"), first.context("k")).response);
  CHECK(refused == ErrorKind::idempotency_key_reused);
  CHECK(other.ids.empty());
  CHECK(world.submits() == 1);
}

TEST_CASE("a repeat of what fal never took is made anew") {
  Restarted world;
  Later first(1), again(2);
  Runner& runner = *world.first;
  world.fal.fault = fail_on("POST https://queue.fal.run/", answer(401, R"({"detail":"no"})"));
  CHECK_FALSE(runner.handle(request_for("flux"), first.context("k")).response);
  CHECK(status_now(runner, 1).phase == RunPhase::failed);
  world.fal.fault = {};
  world.keys.reload({{Secret("key-c:secret-c")}}, {});
  CHECK(runner.handle(request_for("flux"), again.context("k")).response);
  CHECK(again.ids == std::vector{later_id(2)});
}

TEST_CASE("a run that was forgotten stays forgotten when its end is told") {
  Restarted world;
  Later later;
  later.tells_end = true;
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  const auto untold = world.first->untold();
  REQUIRE(untold->size() == 1);
  CHECK(*world.first->forget("me", later_id(1)));
  world.first->told(untold->at(0));
  CHECK_FALSE(is_known(*world.first, "me"));
}

TEST_CASE("a submit that fal may have taken is not repeated by who asks again") {
  Restarted world;
  Later first(1), again(2);
  Runner& runner = *world.first;
  world.fal.fault = fail_on("POST https://queue.fal.run/",
                            Script{.fault = TransportError{TransportFault::interrupted, "gone"}});
  CHECK_FALSE(runner.handle(request_for("flux"), first.context("k")).response);
  REQUIRE(status_now(runner, 1).error.has_value());
  const std::size_t submits = world.submits();
  world.fal.fault = {};
  CHECK_FALSE(runner.handle(request_for("flux"), again.context("k")).response);
  CHECK(again.ids == std::vector{later_id(1)});
  CHECK(world.submits() == submits);
}

TEST_CASE("a key may not have by naming none, or by a fallback, what it may not use") {
  CatalogModel flux = catalog_model("flux", "fal-ai/flux/dev");
  flux.settings.fallback = {"clip"};
  GatewayWorld world({flux, catalog_model("clip", "fal-ai/clip")});
  world.fal.documents["fal-ai/clip"] =
      model_document("fal-ai/clip", R"({"prompt":{"type":"string"}})",
                     R"({"video":{"type":"object","properties":{"url":{"type":"string"}}}})");
  CallContext context{.deadline = no_deadline,
                      .may_use = [](std::string_view model) { return model == "flux"; }};
  const auto kind_of = [&](Wish wish) {
    const Outcome outcome = world.runner.handle(std::move(wish), context);
    REQUIRE_FALSE(outcome.response);
    return outcome.response.error().kind;
  };
  REQUIRE(world.catalog.profile(endpoint_id("fal-ai/clip"), "clip", no_deadline, {}));
  Wish video = request_for("flux");
  video.model.reset();
  video.makes = Medium::video;
  CHECK(kind_of(video) == ErrorKind::model_not_allowed);
  world.fal.documents.erase("fal-ai/flux/dev");
  CHECK(kind_of(request_for("flux")) != ErrorKind::model_not_allowed);
  CHECK(world.transport.count("POST https://queue.fal.run/") == 0);
}

TEST_CASE("what cannot be noted is not begun") {
  Restarted world;
  Later later;
  world.before.refuses = true;
  const Outcome outcome = world.first->handle(request_for("flux"), later.context());
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::overloaded);
  CHECK_FALSE(outcome.response.error().submitted);
  CHECK(later.ids.empty());
  CHECK(world.submits() == 0);
}

TEST_CASE("a run is there for a week after its end, or until it is forgotten") {
  Restarted world;
  Later one(1), two(2);
  Runner& runner = *world.first;
  REQUIRE(runner.handle(request_for("flux"), one.context()).response);
  REQUIRE(runner.handle(request_for("flux"), two.context()).response);
  CHECK(*runner.forget("me", later_id(1)));
  CHECK_FALSE(is_known(runner, "me", 1));
  CHECK_FALSE(*runner.forget("me", later_id(1)));
  const auto pass = [&](std::chrono::hours time) {
    world.clock.sleep_until(world.clock.now() + time, {});
    world.before.forget_expired(world.clock.wall_now(), no_deadline,
                                [](const auto& done) { CHECK(done); });
  };
  pass(167h);
  CHECK(is_known(runner, "me", 2));
  pass(2h);
  CHECK_FALSE(is_known(runner, "me", 2));
}

TEST_CASE("runs are listed the newest first, page by page, each surface by itself") {
  Restarted world;
  Runner& runner = *world.first;
  for (std::uint8_t number = 1; number <= 5; ++number) {
    Later later(number);
    if (number == 3) later.surface = "videos";
    REQUIRE(runner.handle(request_for("flux"), later.context()).response);
    world.clock.sleep_until(world.clock.now() + 1s, {});
  }
  const auto ids = [&](const std::string& surface, std::size_t limit,
                       std::optional<RunPlace> after = std::nullopt) {
    const auto runs = runner.list("me", surface, limit, after);
    REQUIRE(runs);
    std::string text;
    for (const RunStatus& run : *runs) text += std::to_string(run.record.id.bytes[0]);
    return text;
  };
  CHECK(ids({}, 10) == "54321");
  CHECK(ids({}, 2) == "54");
  CHECK(ids({}, 2, place_of(status_now(runner, 4).record)) == "32");
  CHECK(ids("videos", 10) == "3");
}

TEST_CASE("an end that is to be told is untold until it was, also after a restart") {
  Restarted world;
  Later later;
  later.tells_end = true;
  REQUIRE(world.first->handle(request_for("flux"), later.context()).response);
  REQUIRE(world.first->untold()->size() == 1);
  Runner& runner = world.restart(world.before.steps.size() - 1);
  const auto recovered = runner.recover({});
  REQUIRE(recovered);
  CHECK(recovered->found == 0);
  const auto untold = runner.untold();
  REQUIRE(untold->size() == 1);
  CHECK(untold->at(0).phase == RunPhase::completed);
  runner.told(untold->at(0));
  CHECK(runner.untold()->empty());
  CHECK(status_now(runner).phase == RunPhase::completed);
}

TEST_CASE("a prompt is noted only if the operator keeps prompts") {
  Restarted world;
  Later kept(1), dropped(2);
  kept.keeps_prompt = true;
  for (Later* later : {&kept, &dropped})
    REQUIRE(world.first->handle(request_for("flux", "a lighthouse"), later->context()).response);
  CHECK(status_now(*world.first, 1).record.prompt == "a lighthouse");
  CHECK_FALSE(status_now(*world.first, 2).record.prompt.has_value());
}

TEST_CASE("a job with more files than its record has room for is answered with all of them") {
  Restarted world;
  constexpr std::size_t files = 10;
  world.fal.result = [](const auto&) {
    nlohmann::json images = nlohmann::json::array();
    for (std::size_t i = 0; i < files; ++i) {
      images.push_back({{"url", "https://v3.fal.media/files/" + std::string(300, 'x') +
                                    std::to_string(i) + ".png"}});
    }
    return nlohmann::json{{"images", images}}.dump();
  };
  Later later;
  Wish many = request_for("flux");
  many.n = files;
  world.fal.documents["fal-ai/flux/dev"] = model_document(
      "fal-ai/flux/dev",
      R"({"prompt":{"type":"string"},"num_images":{"type":"integer","maximum":50}})");
  const Outcome outcome = world.first->handle(many, later.context());
  REQUIRE(outcome.response);
  REQUIRE(outcome.response->size() == files);
  const RunStatus status = status_now(*world.first);
  CHECK(status.record.artifacts.size() < files);
  CHECK(status.left_out == 0);
  REQUIRE(status.products.size() == files);
  for (std::size_t i = 0; i < files; ++i) {
    CHECK(status.products[i].content.str() == outcome.response->at(i).content.str());
    CHECK(status.products[i].fal_request_id == "job-1");
  }
  CHECK(world.submits() == 1);
  // Once fal has it no longer, that is told.
  world.fal.fault = fail_on("/requests/job-1", answer(404, R"({"status":"NOT_FOUND"})"));
  const RunStatus rest = status_now(*world.first);
  CHECK(rest.phase == RunPhase::completed);
  CHECK(rest.products.size() == rest.record.artifacts.size());
  CHECK(rest.left_out == files - rest.products.size());
  CHECK(world.leases() == 0);
}

}  // namespace falproxy
