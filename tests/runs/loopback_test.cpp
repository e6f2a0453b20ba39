// The runner over sockets: falsim on loopback, http and https, with faults switched on.
#include "runs/loopback.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
using falsim::Fault;
using testing::Loopback;

Fault preset(std::string_view name, int times = -1) {
  std::optional<Fault> fault = Fault::preset(name);
  REQUIRE(fault.has_value());
  fault->times = times;
  return *fault;
}

bool is_png(const OpensslCodecs& codecs, const std::string& base64) {
  const std::optional<std::string> bytes = codecs.decode_base64(base64);
  return bytes.has_value() && media::sniff(*bytes) == media::ImageType::png;
}

}  // namespace

TEST_CASE("every way of completion brings the image, over http and https") {
  for (const falsim::Tls tls : {falsim::Tls::none, falsim::Tls::valid}) {
    for (const Completion completion : {Completion::stream, Completion::poll, Completion::sync}) {
      CAPTURE(static_cast<int>(tls));
      CAPTURE(static_cast<int>(completion));
      Loopback world({.job_time = 20ms}, {.completion = completion}, Loopback::three_accounts(),
                     tls);
      const Outcome outcome = world.handle(request_for("flux"));
      REQUIRE_MESSAGE(outcome.response, outcome.response.error().message);
      CHECK(outcome.response->at(0).content.str().starts_with(world.sim().url()));
      const falsim::FalsimStats stats = world.sim().stats();
      CHECK(stats.submits + stats.runs == 1);
      CHECK(outcome.receipt.jobs.at(0).fal_request_id == world.sim().submits().at(0).request_id);
      world.check_closed();
    }
  }
}

TEST_CASE("base64 is real, from a data URI or from the CDN, and the size is the picture's") {
  for (const falsim::Tls tls : {falsim::Tls::none, falsim::Tls::valid}) {
    for (const char* model : {"flux", "vidu"}) {
      CAPTURE(model);
      Loopback world({.job_time = 5ms, .picture_bytes = 300'000}, {}, Loopback::three_accounts(),
                     tls);
      Wish request = request_for(model);
      request.response_format = ResponseFormat::b64_json;
      request.output_format = "png";
      const Outcome outcome = world.handle(request);
      REQUIRE_MESSAGE(outcome.response, outcome.response.error().message);
      const std::string content = outcome.response->at(0).content.str();
      CHECK(content.size() >= 400'000);
      CHECK(is_png(OpensslCodecs(), content));
      const std::optional<std::string> bytes = OpensslCodecs().decode_base64(content);
      const std::optional<media::Dimensions> size = media::dimensions(*bytes);
      REQUIRE(size.has_value());
      CHECK(outcome.response->front().size ==
            std::to_string(size->width) + "x" + std::to_string(size->height));
      CHECK(outcome.response->front().output_format == "png");
      CHECK((world.sim().stats().media_requests == 1) == (std::string_view(model) == "vidu"));
      world.check_closed();
    }
  }
}

TEST_CASE("an edit uploads its picture and brings an image") {
  Loopback world;
  Wish request = request_for("nano");
  request.intent = Intent::edit;
  // A real picture: the answer to a first request.
  Wish first = request_for("flux");
  first.response_format = ResponseFormat::b64_json;
  const Outcome made = world.handle(first);
  REQUIRE(made.response);
  auto bytes = std::make_shared<const std::string>(
      *OpensslCodecs().decode_base64(made.response->at(0).content.str()));
  InputFile image;
  image.bytes = *bytes;
  image.owner = bytes;
  request.images = {image, image};
  const Outcome outcome = world.handle(request);
  REQUIRE_MESSAGE(outcome.response, outcome.response.error().message);
  CHECK(world.sim().stats().uploads == 2);
  CHECK(outcome.receipt.jobs.at(0).endpoint == "fal-ai/nano-banana/edit");
  CHECK(outcome.receipt.upload > 0us);
  world.check_closed();
}

TEST_CASE("when one of several jobs fails for good, the others run to their end") {
  Loopback world({.job_time = 200ms});
  Fault fails = preset("content_policy", 1);
  fails.job.job_time = 10ms;
  world.sim().add_fault(fails);
  Wish request = request_for("vidu");
  request.n = 4;
  const Outcome outcome = world.handle(request);
  CHECK(outcome.receipt.jobs.size() == 4);
  REQUIRE(outcome.response);
  CHECK(outcome.response->size() == 3);
  CHECK(outcome.shortfall->kind == ErrorKind::content_policy);
  CHECK(world.sim().stats().cancelled == 0);
  CHECK(world.sim().stats().results_fetched == 4);
  CHECK(world.runner().counters().results == 3);
  CHECK(world.runner().counters().failures == 1);
  world.check_closed();
}

TEST_CASE(
    "of ten texts of a 403 only those that speak of lock or balance block an account, and only "
    "the one that was asked") {
  struct Row {
    const char* text;
    bool blocks;
  };
  const std::vector<Row> rows = {
      {"User is locked. Reason: Exhausted balance. Top up your balance at "
       "fal.ai/dashboard/billing.",
       true},
      {"User is locked. Reason: TOP_UP.", true},
      {"Your account is locked.", true},
      {"Insufficient balance", true},
      {"Request blocked by content filter", false},
      {"This model is locked to enterprise customers", false},
      {"Your IP address is blocked", false},
      {"A balanced composition is required", false},
      {"Interlocked frames are not supported", false},
      {"Forbidden", false},
  };
  constexpr int requests = 6;
  int answered = 0;
  for (const Row& row : rows) {
    CAPTURE(std::string(row.text));
    Loopback world({.job_time = 1ms}, {}, {{Secret("key-a:secret-a")}, {Secret("key-b:secret-b")}});
    world.sim().add_fault(
        {.step = falsim::Step::submit,
         .key = "key-a:secret-a",
         .answer = falsim::Answer{.status = 403,
                                  .body = std::string(R"({"detail":")") + row.text + R"("})"}});
    for (int i = 0; i < requests; ++i)
      answered += world.handle(request_for("flux")).response ? 1 : 0;
    using State = AccountStatus::State;
    const std::vector<AccountStatus> accounts = world.keys().status(world.clock().now());
    CHECK(accounts.at(0).state == (row.blocks ? State::blocked : State::ready));
    CHECK(accounts.at(1).state == State::ready);
    // A blocked account is not asked again; one that is not has its turn as before.
    const auto submits = static_cast<int>(world.runner().counters().submits);
    CHECK((row.blocks ? submits == requests + 1 : submits > requests + 1));
    world.check_closed();
  }
  CHECK(answered == 10 * requests);
}

TEST_CASE("a submit that is answered after the client's time is up is cancelled at fal") {
  Loopback world({.job_time = 30s});
  world.sim().add_fault({.step = falsim::Step::submit, .delay = 600ms});
  const Outcome outcome =
      world.handle(request_for("flux"), {.deadline = world.clock().now() + 200ms});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(world.sim().stats().submits == 1);
  CHECK(world.sim().stats().cancelled == 1);
  world.check_closed();
}

TEST_CASE("a client that leaves while its result is fetched leaves it for the repeat") {
  Loopback world({.job_time = 20ms});
  world.sim().add_fault({.step = falsim::Step::result, .times = 1, .delay = 600ms});
  std::stop_source stop;
  std::jthread client([&] {
    CHECK(world.sim().wait_for([](const auto& stats) { return stats.result_requests == 1; }));
    stop.request_stop();
  });
  (void)world.handle(request_for("flux"), {.stop = stop.get_token(), .client = "me"});
  const Outcome repeat = world.handle(request_for("flux"), {.client = "me", .retry_count = 1});
  CHECK(repeat.response);
  CHECK(repeat.receipt.recovered);
  const falsim::FalsimStats stats = world.sim().stats();
  CHECK(stats.submits == 1);
  CHECK(stats.cancelled + stats.cancels_late == 0);
  world.check_closed();
}

TEST_CASE("several jobs run side by side, and their images keep their order") {
  Loopback world({.job_time = 200ms});
  Wish request = request_for("vidu");
  request.n = 4;
  const Outcome outcome = world.handle(request);
  REQUIRE(outcome.response);
  CHECK(outcome.response->size() == 4);
  CHECK(world.sim().stats().most_in_progress == 4);
  world.check_closed();
}

TEST_CASE("a client that leaves takes its job with it") {
  for (const Completion completion : {Completion::stream, Completion::poll}) {
    Loopback world({.job_time = 30s}, {.completion = completion});
    std::stop_source stop;
    std::jthread client([&] {
      CHECK(world.sim().wait_for([](const auto& stats) { return stats.in_progress == 1; }));
      stop.request_stop();
    });
    const Outcome outcome = world.handle(request_for("flux"), {.stop = stop.get_token()});
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::cancelled);
    CHECK(world.sim().stats().cancelled == 1);
    CHECK(world.sim().wait_for([](const auto& stats) { return stats.streams_open == 0; }));
    world.check_closed();
  }
}

TEST_CASE("when the time runs out the job is cancelled at fal") {
  Loopback world({.job_time = 30s});
  const Outcome outcome =
      world.handle(request_for("flux"), {.deadline = world.clock().now() + 200ms});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(world.sim().stats().cancelled == 1);
  world.check_closed();
}

TEST_CASE("faults that falproxy gets over") {
  struct Row {
    const char* fault;
    int times;
    bool over_tls = false;
  };
  const std::vector<Row> rows = {
      {"rate_limited", 1},       {"bad_key", 1},
      {"exhausted", 2},          {"ingress_502", 2},
      {"ingress_503", 2},        {"ingress_504", 1},
      {"stream_refused", -1},    {"stream_unknown", -1},
      {"stream_locked", -1},     {"stream_dies", -1},
      {"stream_ends", -1},       {"status_500", 3},
      {"status_html", 3},        {"status_reset", 3},
      {"result_503", 3},         {"result_html", 2},
      {"result_reset", 2},       {"result_close", 2},
      {"result_truncated", 2},   {"result_drip", -1},
      {"media_404", 1},          {"media_500", 2},
      {"media_reset", 1},        {"media_truncated", 1},
      {"submit_drip", -1},       {"expect_ignored", -1},
      {"result_reset", 2, true}, {"result_half", 2},
      {"elsewhere_status", -1},  {"elsewhere_result", -1},
      {"elsewhere_cancel", -1},  {"stream_dies", -1, true},
  };
  for (const Row& row : rows) {
    SUBCASE(row.fault) {
      Loopback world({.job_time = 60ms}, {}, Loopback::three_accounts(),
                     row.over_tls ? falsim::Tls::valid : falsim::Tls::none);
      // The faults of reading the status only strike where the status is read.
      if (std::string_view(row.fault).starts_with("status"))
        world.sim().add_fault(preset("stream_refused"));
      world.sim().add_fault(preset(row.fault, row.times));
      Wish request = request_for("vidu");
      request.response_format = ResponseFormat::b64_json;
      const Outcome outcome = world.handle(request);
      CHECK_MESSAGE(outcome.response, outcome.response.error().message);
      const falsim::FalsimStats stats = world.sim().stats();
      CHECK(stats.submits == 1);
      CHECK(stats.results_fetched == 1);
      CHECK(stats.faults.size() >= 1);
      world.check_closed();
    }
  }
}

TEST_CASE("a status that is refused as locked does not lose the image") {
  Loopback world({.job_time = 100ms}, {.completion = Completion::poll});
  world.sim().add_fault(preset("status_locked"));
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(outcome.response);
  CHECK(world.sim().stats().submits == 1);
}

TEST_CASE("faults that falproxy reports") {
  struct Row {
    const char* fault;
    ErrorKind want;
    bool submitted;
    Completion completion = Completion::stream;
  };
  using enum ErrorKind;
  const std::vector<Row> rows = {
      {"rate_limited_retry_after", keys_resting, false},
      {"bad_key", keys_out, false},
      {"queue_500", upstream_failed, true},
      {"queue_503", upstream_failed, true},
      {"queue_html", upstream_failed, true},
      {"submit_redirect", upstream_failed, false},
      {"submit_reset_unread", upstream_failed, true},
      {"submit_close_unread", upstream_failed, true},
      {"submit_reset", upstream_failed, true},
      {"submit_reads_and_closes", upstream_failed, true},
      {"submit_accepts_and_closes", upstream_failed, true},
      {"job_error", upstream_failed, true},
      {"job_disconnected", upstream_failed, true},
      {"job_invalid", rejected_by_model, true},
      {"job_500", upstream_failed, true},
      {"content_policy", content_policy, true},
      {"no_media", no_image, true},
      {"no_images", no_image, true},
      {"elsewhere_images", upstream_untrusted_url, true},
      {"media_404", download_failed, true},
      {"media_html", download_failed, true},
      {"media_redirect", download_failed, true},
      {"run_reset", upstream_failed, true, Completion::sync},
  };
  for (const falsim::Tls tls : {falsim::Tls::none, falsim::Tls::valid}) {
    for (const Row& row : rows) {
      // Over https what is done to the connection matters, and what is said over it does not.
      const std::string_view fault = row.fault;
      if (tls == falsim::Tls::valid && !fault.starts_with("submit_") && fault != "run_reset")
        continue;
      const std::string name =
          row.fault + std::string(tls == falsim::Tls::valid ? " over https" : "");
      SUBCASE(name.c_str()) {
        Loopback world({.job_time = 20ms}, {.completion = row.completion},
                       Loopback::three_accounts(), tls);
        world.sim().add_fault(preset(row.fault));
        if (fault.starts_with("media_")) world.clock().run_at(10);  // pictures are asked for long
        Wish request = request_for("vidu");
        request.response_format = ResponseFormat::b64_json;
        const Outcome outcome = world.handle(request);
        REQUIRE_FALSE(outcome.response);
        const Error& error = outcome.response.error();
        CHECK_MESSAGE(error.kind == row.want, name_of(error.kind), ": ", error.message);
        CHECK(error.submitted == row.submitted);
        CHECK(error.message.find("balance") == std::string::npos);
        CHECK(error.message.find("secret") == std::string::npos);
        CHECK(world.sim().stats().submits <= 1);  // never twice
        CHECK(outcome.receipt.jobs.at(0).endpoint == "vidu/q2/text-to-image");
        world.check_closed();
      }
    }
  }
}

TEST_CASE("an upload address on another host is refused, without the image going there") {
  Loopback world;
  world.sim().add_fault(preset("elsewhere_upload"));
  Wish request = request_for("nano");
  request.intent = Intent::edit;
  const auto bytes = std::make_shared<const std::string>("\x89PNG\r\n\x1A\n0000IHDR00000000");
  InputFile image;
  image.bytes = *bytes;
  image.owner = bytes;
  request.images = {image};
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::upstream_untrusted_url);
  CHECK(world.sim().stats().submits == 0);
  world.check_closed();
}

TEST_CASE("fal's own stream gives partial images") {
  struct Listener final : Progress {
    void preview(const Product&, int index) override { indexes.push_back(index); }
    std::vector<int> indexes;
  };
  Loopback world({.job_time = 60ms});
  Listener listener;
  Wish request = request_for("flux");
  request.stream = true;
  request.partial_images = 3;
  request.response_format = ResponseFormat::b64_json;
  // "flux" is configured without "stream": fal's /stream is not used.
  CHECK(world.handle(request, {.progress = &listener}).response);
  CHECK(world.sim().stats().submits == 1);
  CHECK(listener.indexes.empty());

  request.model = "live";
  CHECK(world.handle(request, {.progress = &listener}).response);
  CHECK(world.sim().stats().runs == 1);
  CHECK(listener.indexes == std::vector{0, 1});
}

TEST_CASE("a model that fails in the middle of its own stream is understood") {
  using enum ErrorKind;
  for (const auto& [name, want] : {std::pair("content_policy", content_policy),
                                   {"job_invalid", rejected_by_model},
                                   {"no_media", no_image},
                                   {"job_error", upstream_failed},
                                   {"job_500", upstream_failed}}) {
    const std::string fault = name;
    CAPTURE(fault);
    Loopback world;
    world.sim().add_fault(preset(fault));
    Wish request = request_for("live");
    request.stream = true;
    const Outcome outcome = world.handle(request);
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == want);
    world.check_closed();
  }
}

TEST_CASE("a repeat after a dropped connection gets the first one's image") {
  Loopback world({.job_time = 300ms});
  std::optional<Outcome> one, two;
  {
    std::stop_source leaves;
    std::jthread first([&] {
      one = world.handle(request_for("flux"), {.stop = leaves.get_token(), .client = "me"});
    });
    CHECK(world.sim().wait_for([](const auto& stats) { return stats.in_progress == 1; }));
    struct Listener final : Progress {
      void running() override { attached.count_down(); }
      std::latch attached{1};
    } listener;
    CallContext context{.client = "me", .retry_count = 1, .progress = &listener};
    std::jthread second([&] { two = world.handle(request_for("flux"), context); });
    listener.attached.wait();
    leaves.request_stop();
  }
  REQUIRE(two.has_value());
  CHECK(two->response);
  CHECK(two->receipt.recovered);
  CHECK(world.sim().stats().submits == 1);
  CHECK(world.sim().stats().cancelled == 0);
  world.check_closed();
}

TEST_CASE("the more requests poll, the more rarely each of them looks") {
  constexpr int requests = 400;
  Loopback world({.job_time = 1s}, {.completion = Completion::poll});
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < requests; ++i) {
      clients.emplace_back([&] { CHECK(world.handle(request_for("flux")).response); });
    }
  }
  // Alone, each would look ten times in the first half of a second and seven times in the second.
  CHECK(world.sim().stats().status_polls < 13 * requests);
  world.check_closed();
}

TEST_CASE("a thousand requests under random faults: the accounts close") {
  constexpr int threads = 16, per_thread = 64;
  Loopback world({.job_time = 15ms, .random_seed = 7}, {.max_upstream_streams = 8});
  const auto sometimes = [&](const char* name, double chance) {
    Fault fault = preset(name);
    fault.chance = chance;
    world.sim().add_fault(fault);
  };
  for (const char* name : {"ingress_503",
                           "ingress_502",
                           "queue_500",
                           "submit_reset_unread",
                           "submit_reset",
                           "submit_reads_and_closes",
                           "submit_accepts_and_closes",
                           "stream_refused",
                           "stream_dies",
                           "stream_ends",
                           "status_500",
                           "status_reset",
                           "result_503",
                           "result_reset",
                           "result_truncated",
                           "job_error",
                           "job_500",
                           "content_policy",
                           "no_images",
                           "elsewhere_result",
                           "cancel_500"}) {
    sometimes(name, 0.02);
  }
  std::atomic<int> answered{0}, failed{0}, left{0}, late{0};
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t < threads; ++t) {
      clients.emplace_back([&, t] {
        testing::FixedRandom random(static_cast<std::uint64_t>(t) + 1);
        for (int i = 0; i < per_thread; ++i) {
          const double dice = random();
          std::stop_source stop;
          std::jthread leaver;
          CallContext context{.deadline = world.clock().now() + 20s, .stop = stop.get_token()};
          if (dice < 0.1) {
            const auto after = std::chrono::microseconds(static_cast<int>(random() * 30'000));
            leaver = std::jthread([&stop, after] {
              std::this_thread::sleep_for(after);
              stop.request_stop();
            });
          } else if (dice < 0.2) {
            context.deadline = world.clock().now() +
                               std::chrono::microseconds(static_cast<int>(random() * 40'000));
          }
          const int n = dice > 0.9 ? 3 : 1;
          Wish request =
              request_for("vidu", fmt::format("request {} of client {}, images: {}", i, t, n));
          request.n = n;
          const Outcome outcome = world.handle(std::move(request), context);
          if (outcome.response) {
            ++answered;
          } else if (outcome.response.error().kind == ErrorKind::cancelled) {
            ++left;
          } else if (outcome.response.error().kind == ErrorKind::timed_out) {
            ++late;
          } else {
            ++failed;
          }
        }
      });
    }
  }
  const Runner::Counters counters = world.runner().counters();
  const falsim::FalsimStats stats = world.sim().stats();
  MESSAGE("answered ", answered.load(), ", failed ", failed.load(), ", left ", left.load(),
          ", late ", late.load(), "; submits ", counters.submits, ", repeated ", counters.repeated,
          ", accepted ", counters.accepted, ", results ", counters.results, ", cancels ",
          counters.cancels, ", failures ", counters.failures, ", abandoned ", counters.abandoned,
          "; fal took ", stats.submits);
  CHECK(answered > threads * per_thread / 3);
  CHECK(failed > 0);
  CHECK(left > 0);
  CHECK(late > 0);
  world.check_closed();

  // Every job that fal took is one of ours: accepted, or given up as possibly taken.
  CHECK(stats.submits >= counters.accepted);
  CHECK(stats.submits - counters.accepted <= counters.abandoned);
  CHECK(counters.accepted <=
        counters.results + counters.cancels + counters.failures + counters.abandoned);

  // No job was submitted twice: fal took at most as many for each prompt as it asks for.
  std::map<std::string, int> taken;
  for (const falsim::SeenSubmit& submit : world.sim().submits()) {
    if (submit.request_id.empty()) continue;
    const auto prompt = nlohmann::json::parse(submit.input)["prompt"].get<std::string>();
    ++taken[prompt];
  }
  for (const auto& [text, count] : taken) {
    const std::string& prompt = text;
    CAPTURE(prompt);
    CHECK(count <= std::stoi(prompt.substr(prompt.rfind(' '))));
  }
}

}  // namespace falproxy
