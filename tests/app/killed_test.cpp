// What is left when the process is killed in the middle of a request, and what a repeat finds.
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "folder.hpp"
#include "program.hpp"
#include "raw_client.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using falsim::FalsimStats;
using namespace test;

const std::string pictures_path = "/v1/images/generations";
constexpr Milliseconds very_long{10'000'000};

std::string keyed(std::string_view key) {
  return key_field() + "Idempotency-Key: " + std::string(key) + "\r\n";
}

std::size_t submits_of(const falsim::Falsim& sim, const std::string& prompt) {
  std::size_t count = 0;
  for (const auto& submit : sim.submits())
    count += submit.input.find("\"" + prompt + "\"") != std::string::npos ? 1U : 0U;
  return count;
}

// Where a process is when it is killed.
struct Point {
  std::string name;
  falsim::FalsimOptions options;
  std::optional<falsim::Fault> fault;
  std::function<bool(const FalsimStats&)> reached;
  std::string body = lighthouse;
  bool is_certain = true;
  bool is_answering = false;
};

std::vector<Point> points() {
  const auto hangs = [](falsim::Step step) {
    return falsim::Fault{.name = "hangs", .step = step, .delay = very_long};
  };
  const auto has_hung = [](const FalsimStats& s) { return s.faults.contains("hangs"); };
  return {
      {"the submit is under way, and fal lists the account's requests", Served::quick(),
       hangs(falsim::Step::submit), has_hung},
      {"the submit is under way, and fal does not", Served::quick(), hangs(falsim::Step::submit),
       has_hung, lighthouse, false},
      {"the job waits",
       {.queue_time = Milliseconds(1500)},
       {},
       [](const FalsimStats& s) { return s.in_queue == 1; }},
      {"the job runs",
       {.job_time = Milliseconds(1500)},
       {},
       [](const FalsimStats& s) { return s.in_progress == 1; }},
      {"the result is fetched", Served::quick(), hangs(falsim::Step::result), has_hung},
      {"the picture is fetched", Served::quick(), hangs(falsim::Step::media), has_hung,
       R"({"model":"vidu","prompt":"a lighthouse","response_format":"b64_json"})"},
      {"the answer is sent",
       {.job_time = Milliseconds(0), .picture_bytes = 8'000'000},
       {},
       [](const FalsimStats& s) { return s.submits == 1; },
       R"({"model":"flux","prompt":"a lighthouse","response_format":"b64_json","output_format":"png"})",
       true,
       true},
  };
}

struct Killed {
  explicit Killed(const falsim::FalsimOptions& options)
      : sim(std::move(falsim::Falsim::start(options)).value()), program(begin()) {}

  std::unique_ptr<Program> begin() {
    return std::make_unique<Program>(sim,
                                     Environment{{"STATE_DIR", folder.path().string()},
                                                 {"SUPPORTED_MODELS",
                                                  "flux:fal-ai/flux/dev,vidu:vidu/q2/text-to-image,"
                                                  "clip:falsim/clip/text-to-video"}});
  }
  void kill_and_begin(bool is_listed = true) {
    program->signal(SIGKILL);
    REQUIRE(program->wait(Seconds(20)) == 128 + SIGKILL);
    sim.clear_faults();
    if (!is_listed)
      sim.add_fault({.step = falsim::Step::history, .answer = falsim::Answer{.status = 403}});
    program = begin();
  }
  /// Waits until so many steps of runs are on the disk.
  void wait_for_writes(int wanted) const {
    for (int tries = 0; tries < 1000; ++tries) {
      RawClient client(program->port());
      const Received got = client.exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n" + key_field() +
                                           "Connection: close\r\n\r\n");
      const std::string_view name = "\nfalproxy_state_writes_total ";
      const std::size_t at = got.body.find(name);
      REQUIRE(at != std::string::npos);
      if (std::stoi(got.body.substr(at + name.size())) >= wanted) return;
      std::this_thread::sleep_for(Milliseconds(5));
    }
    FAIL("the runs were not noted");
  }
  /// Sends a request, and kills the process when it has come to `point`. The client hangs up later.
  [[nodiscard]] std::unique_ptr<RawClient> kill_at(const Point& point, const std::string& fields) {
    if (point.fault) sim.add_fault(*point.fault);
    auto client = std::make_unique<RawClient>(program->port());
    client->send(test::post(pictures_path, point.body, fields));
    REQUIRE(sim.wait_for(point.reached));
    const bool is_submitted = point.fault && point.fault->step == falsim::Step::submit;
    if (!is_submitted) wait_for_writes(2);
    if (point.is_answering) REQUIRE(client->wait_for("HTTP/1.1 200"));
    kill_and_begin(point.is_certain);
    return client;
  }
  [[nodiscard]] Received ask(const std::string& fields, const std::string& body = lighthouse) {
    RawClient client(program->port());
    return client.exchange(test::post(pictures_path, body, fields));
  }

  testing::Folder folder;
  falsim::Falsim sim;
  std::unique_ptr<Program> program;
};

}  // namespace

TEST_CASE(
    "a process that is killed at any point leaves a job that a repeat finds, and one submit") {
  for (const Point& point : points()) {
    for (const std::string& repeats :
         {keyed("k-1"), key_field() + "x-stainless-retry-count: 1\r\n"}) {
      CAPTURE(point.name);
      CAPTURE(repeats);
      Killed world(point.options);
      const auto client = world.kill_at(point, repeats);
      const Received again = world.ask(repeats, point.body);
      if (point.is_certain) {
        CHECK(again.status == 200);
        CHECK(again.header("idempotent-replayed") == "true");
      } else {
        CHECK(again.status == 409);
        CHECK(text_at(again.body, "error.code") == "job_uncertain");
        CHECK(again.header("x-should-retry") == "false");
      }
      CHECK(world.sim.stats().submits <= 1);
    }
  }
}

TEST_CASE("a process that is killed at any point leaves one submit, also if nobody asks again") {
  for (const Point& point : points()) {
    // What is uncertain is looked for for half a minute, and what is answered has ended.
    if (!point.is_certain || point.is_answering) continue;
    CAPTURE(point.name);
    Killed world(point.options);
    const auto client = world.kill_at(point, key_field());
    const std::string line = world.program->log_until("runs of an earlier process");
    CAPTURE(line);
    CHECK(line.find("1 runs of an earlier process were found: 1 have brought something") !=
          std::string::npos);
    CHECK(world.sim.submits().size() <= 1);
  }
}

TEST_CASE("a process that is killed after the answer gives it again, and to nobody else") {
  Killed world(Served::quick());
  const Received once = world.ask(keyed("k-1"));
  REQUIRE(once.status == 200);
  world.kill_and_begin();
  const Received again = world.ask(keyed("k-1"));
  CHECK(again.status == 200);
  CHECK(text_at(again.body, "data.0.url") == text_at(once.body, "data.0.url"));
  CHECK(world.sim.stats().submits == 1);
  CHECK(world.ask(keyed("k-1"), R"({"model":"flux","prompt":"another"})").status == 409);
  CHECK(world.ask(keyed("k-2")).status == 200);
  CHECK(world.sim.stats().submits == 2);
}

TEST_CASE("a job that nobody asks for again is followed, and the log says what became of it") {
  Killed world({.job_time = Milliseconds(1500)});
  RawClient client(world.program->port());
  client.send(test::post(pictures_path, lighthouse, keyed("k-1")));
  REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  world.wait_for_writes(2);
  world.kill_and_begin();
  const std::string line = world.program->log_until("runs of an earlier process");
  CAPTURE(line);
  CHECK(line.find("1 runs of an earlier process were found: 1 have brought something") !=
        std::string::npos);
  CHECK(world.sim.stats().submits == 1);
}

TEST_CASE("forty kills under sixty keyed requests: nothing is paid twice, nothing paid is lost") {
  constexpr int requests = 60, kills = 40, clients = 6;
  Killed world({.job_time = Milliseconds(150)});
  std::atomic<std::uint16_t> port{world.program->port()};
  std::atomic<int> next{0}, answered{0}, uncertain{0}, other{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < clients; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < requests; i = next++) {
        const std::string number = std::to_string(i);
        const std::string body = R"({"model":"flux","prompt":"number )" + number + R"("})";
        for (int attempt = 0; attempt < 500; ++attempt) {
          RawClient client(port.load());
          const Received got =
              client.exchange(test::post(pictures_path, body, keyed("k-" + number)));
          if (got.status == 200) ++answered;
          if (got.status == 409) ++uncertain;
          if (got.status == 200 || got.status == 409) break;
          if (got.status != 0 && got.status != 503) ++other;
          std::this_thread::sleep_for(Milliseconds(20));
        }
      }
    });
  }
  for (int kill = 0; kill < kills; ++kill) {
    std::this_thread::sleep_for(Milliseconds(40 + (kill * 37) % 160));
    world.kill_and_begin();
    port.store(world.program->port());
  }
  threads.clear();
  CHECK(answered + uncertain == requests);
  CHECK(other == 0);
  for (int i = 0; i < requests; ++i) {
    CAPTURE(i);
    CHECK(submits_of(world.sim, "number " + std::to_string(i)) <= 1);
  }
  MESSAGE("answered ", answered.load(), ", uncertain ", uncertain.load());
}

TEST_CASE("a video goes on over a kill, keeps its id, and its file is there") {
  for (const falsim::FalsimOptions& slow :
       {falsim::FalsimOptions{.queue_time = Milliseconds(1500)},
        falsim::FalsimOptions{.job_time = Milliseconds(1500)}}) {
    Killed world(slow);
    const bool waits = slow.queue_time.count() > 0;
    CAPTURE(waits);
    RawClient client(world.program->port());
    const Received begun = client.exchange(test::post(
        "/v1/videos", R"({"model":"clip","prompt":"a fox","seconds":"8","size":"1280x720"})",
        key_field()));
    CAPTURE(begun.body);
    REQUIRE(begun.status == 200);
    const std::string path = "/v1/videos/" + text_at(begun.body, "id");
    REQUIRE(world.sim.wait_for(
        [&](const FalsimStats& s) { return (waits ? s.in_queue : s.in_progress) == 1; }));
    world.kill_and_begin();
    const auto look = [&](const std::string& at) {
      RawClient looking(world.program->port());
      return looking.exchange(test::get(at, key_field()));
    };
    int progress = 0;
    Received got = look(path);
    for (int tries = 0; tries < 1000 && text_at(got.body, "status") != "completed"; ++tries) {
      CHECK(got.status == 200);
      CHECK(at(got.body, "error").is_null());
      const auto now = static_cast<int>(at(got.body, "progress").as_integer().value_or(-1));
      CHECK(now >= progress);
      CHECK(now < 100);
      progress = now;
      std::this_thread::sleep_for(Milliseconds(10));
      got = look(path);
    }
    CAPTURE(got.body);
    CHECK(text_at(got.body, "status") == "completed");
    CHECK(text_at(got.body, "seconds") == "8");
    CHECK(text_at(got.body, "size") == "1280x720");
    CHECK(look(path + "/content").body.substr(0, 4) == "\x1A\x45\xDF\xA3");
    CHECK(text_at(look("/v1/videos").body, "data.0.id") == text_at(begun.body, "id"));
    CHECK(world.sim.submits().size() == 1);
  }
}

TEST_CASE("an asynchronous request goes on over a kill, and is found by its address") {
  Killed world({.queue_time = Milliseconds(1500)});
  const Received begun = world.ask(key_field() + "Prefer: respond-async\r\n");
  REQUIRE(begun.status == 202);
  world.kill_and_begin();
  const auto look = [&] {
    RawClient client(world.program->port());
    return client.exchange("GET " + begun.header("location") + " HTTP/1.1\r\nHost: a\r\n" +
                           key_field() + "Connection: close\r\n\r\n");
  };
  Received got = look();
  CHECK(got.status == 200);
  for (int tries = 0; tries < 1000 && text_at(got.body, "status") != "completed"; ++tries) {
    std::this_thread::sleep_for(Milliseconds(10));
    got = look();
  }
  CHECK(text_at(got.body, "id") == text_at(begun.body, "id"));
  CHECK(text_at(got.body, "response.data.0.url").starts_with("http"));
  CHECK(world.sim.submits().size() == 1);
}

}  // namespace falproxy::app
