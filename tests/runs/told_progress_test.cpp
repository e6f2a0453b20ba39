// How far a run has come, as its model prints it.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "runs/later_run.hpp"
#include "runs/restarted.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

namespace {

std::string bar(int step) {
  return " " + std::to_string(step * 100 / 20) + "%|#####     | " + std::to_string(step) +
         "/20 [00:07<00:07,  1.92it/s]";
}

std::string working(const std::vector<std::string>& lines) {
  nlohmann::json logs = nlohmann::json::array();
  for (const std::string& line : lines) logs.push_back({{"message", line}});
  return nlohmann::json{{"status", "IN_PROGRESS"}, {"logs", logs}}.dump();
}

// Its model makes videos, and prints what it is told to.
struct VideoWorld : Restarted {
  VideoWorld() {
    fal.documents["fal-ai/flux/dev"] =
        model_document("fal-ai/flux/dev", R"({"prompt":{"type":"string"}})",
                       R"({"video":{"type":"object","properties":{"url":{"type":"string"}}}})");
    fal.result = [](const auto& job) {
      return R"({"video":{"url":"https://v3.fal.media/files/)" + job.id + R"(.mp4"}})";
    };
    fal.job_time = 600s;
    fal.fault = [this](const HttpRequest& request) { return stream_of(request); };
  }

  [[nodiscard]] static Wish video() {
    Wish wish = request_for("flux");
    wish.makes = Medium::video;
    return wish;
  }
  // After so much time more.
  void print(Milliseconds pause, std::string line) { printed.emplace_back(pause, std::move(line)); }
  // What the status stream says, if logs are asked for.
  std::optional<Script> stream_of(const HttpRequest& request) {
    if (!request.url.ends_with("/status/stream?logs=1")) return std::nullopt;
    Script script{.headers = {{"content-type", "text/event-stream"}},
                  .chunks = {{0ms, "data: " + working({}) + "\n\n"}}};
    for (const auto& [pause, line] : printed) {
      const std::string event = line.empty() ? ": ping" : "data: " + working({line});
      script.chunks.push_back({pause, event + "\n\n"});
    }
    script.chunks.push_back({1000ms, "data: {\"status\":\"COMPLETED\"}\n\n"});
    return script;
  }
  // What is told after so much time, by this process and by another one.
  void look_after(Milliseconds time, int want) {
    clock.at(clock.now() + time, [this, want] {
      CAPTURE(want);
      CHECK(status_now(*first).progress == want);
      CHECK(status_now(*other).progress == want);
      CHECK(status_now(*other).phase == RunPhase::in_progress);
      ++looks;
    });
  }
  // How often more percent were noted, or the first.
  [[nodiscard]] std::size_t notes() const {
    std::vector<std::string> all;
    for (const auto& records : before.steps) {
      for (const auto& [id, record] : records)
        if (record.details.find("\"percent\"") != std::string::npos) all.push_back(record.details);
    }
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all.size();
  }

  std::vector<std::pair<Milliseconds, std::string>> printed;
  std::unique_ptr<Runner> other = runner_over(before);
  int looks = 0;
};

}  // namespace

TEST_CASE("a video is as far as its model prints, whatever the time, and each process says so") {
  VideoWorld world;
  world.print(2s, bar(1));  // 5%
  for (int i = 0; i < 4; ++i) world.print(20s, "");
  world.print(10s, bar(10));  // after 92 s
  world.print(20s, bar(13));
  world.look_after(1900ms, 2);  // by the time
  world.look_after(3s, 5);
  world.look_after(91s, 5);
  world.look_after(93s, 50);
  world.look_after(113s - 1ms, 65);
  const Later later;
  REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
  CHECK(world.looks == 5);
  CHECK(status_now(*world.first).progress == 100);
}

TEST_CASE("a video's progress does not fall when its model's first word is less than was told") {
  VideoWorld world;
  for (int i = 0; i < 2; ++i) world.print(20s, "");
  world.print(2s, bar(1));
  world.print(2s, bar(2));
  world.look_after(42s - 1ms, 62);
  world.look_after(42s + 1ms, 64);
  world.look_after(44s + 1ms, 64);
  const Later later;
  REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
  CHECK(world.looks == 3);
}

TEST_CASE("what a model prints is noted at each ten percent more, and not twice in a second") {
  for (const auto& [between, want] :
       std::vector<std::pair<Milliseconds, std::size_t>>{{500ms, 10}, {50ms, 5}, {1ms, 1}}) {
    const Milliseconds pause = between;
    CAPTURE(pause.count());
    VideoWorld world;
    for (int percent = 1; percent < 100; ++percent)
      world.print(pause, "Progress: " + std::to_string(percent) + "%");
    const Later later;
    REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
    CHECK(world.notes() == want);
  }
}

TEST_CASE("a model that has loaded its parts has made nothing of a video yet") {
  VideoWorld world;
  world.print(1s, "Loading pipeline components...:  57%|#####     | 4/7 [00:00<00:00, 12.50it/s]");
  world.print(1s, "Loading pipeline components...: 100%|##########| 7/7 [00:00<00:00, 12.50it/s]");
  world.print(1s, "100%|##########| 30/30 [00:00<00:00, 12.50it/s]");
  world.print(1s, "");
  world.look_after(4s - 1ms, 5);  // by the time
  const Later later;
  REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
  CHECK(world.looks == 1);
  CHECK(world.notes() == 0);
}

TEST_CASE("nobody asks for the log of a picture, or of a run that ends with its request") {
  VideoWorld world;
  REQUIRE(world.first->handle(VideoWorld::video(), {.deadline = no_deadline}).response);
  Restarted pictures;
  const Later later;
  REQUIRE(pictures.first->handle(request_for("flux"), later.context()).response);
  for (const Restarted* one : {static_cast<Restarted*>(&world), &pictures}) {
    for (const std::string& request : one->transport.requests())
      CHECK(request.find("logs") == std::string::npos);
  }
  CHECK(pictures.transport.count("GET https://queue.fal.run/fal-ai/flux/requests/job-1/status") >
        0);
}

TEST_CASE("a video that was taken up goes on from where it was, by what its model prints") {
  for (const bool was_running : {true, false}) {
    CAPTURE(was_running);
    VideoWorld world;
    if (was_running) world.print(5s, bar(4));
    world.print(5s, "");
    const Later later;
    REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
    // The steps are: about to be submitted, taken, running, and what was printed.
    Runner& runner = world.restart(was_running ? 3 : 1);
    const std::unique_ptr<Runner> third = world.runner_over(*world.after);
    CHECK(status_now(runner).progress == (was_running ? 20 : 0));
    const TimePoint begin = world.clock.now();
    std::vector<int> told;
    world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
      if (!request.url.ends_with("/status?logs=1")) {
        CHECK(request.url.find("/status") == std::string::npos);
        return std::nullopt;
      }
      if (told.size() > 1) CHECK(status_now(*third).phase == RunPhase::in_progress);
      told.push_back(status_now(*third).progress);
      CHECK(told.back() <= status_now(runner).progress);
      const auto seconds = (world.clock.now() - begin) / 1s;
      if (seconds >= 100) return answer(200, R"({"status":"COMPLETED"})");
      const int step = static_cast<int>(seconds / 5);
      return answer(202, working({bar(std::max(step - 1, 0)), bar(step), "still at it"}));
    };
    REQUIRE(runner.recover({}));
    CHECK(std::ranges::is_sorted(told));
    CHECK(told.back() == 90);
    CHECK(status_now(*third).phase == RunPhase::completed);
  }
}

TEST_CASE("a log that has become too long is not asked for again, and the video is found") {
  VideoWorld world;
  const Later later;
  REQUIRE(world.first->handle(VideoWorld::video(), later.context()).response);
  Runner& runner = world.restart(1);
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.ends_with("/status?logs=1"))
      return answer(202, working({std::string(2u << 20, 'x')}));
    if (request.url.ends_with("/status")) return answer(200, R"({"status":"COMPLETED"})");
    return std::nullopt;
  };
  REQUIRE(runner.recover({}));
  CHECK(status_now(runner).phase == RunPhase::completed);
  CHECK(world.transport.count(
            "GET https://queue.fal.run/fal-ai/flux/requests/job-1/status?logs=1") == 1);
}

TEST_CASE("of several jobs the one that is least far counts") {
  VideoWorld world;
  world.print(2s, bar(10));
  world.print(2s, "");
  // One after the other here.
  world.look_after(3s, 4);  // by the time
  world.look_after(8s, 50);
  Wish two = VideoWorld::video();
  two.n = 2;
  const Later later;
  REQUIRE(world.first->handle(two, later.context()).response);
  CHECK(world.submits() == 2);
  CHECK(world.looks == 2);
}

TEST_CASE("a video over falsim tells the steps that its model prints") {
  VirtualClock clock;
  InProcessFal fal(clock, {.queue_time = 10s, .job_time = 200s});
  InlineExecutor executor;
  const PlainCodecs codecs;
  KeyRing keys({{Secret("key-a:secret-a")}}, {}, [] { return 0.5; });
  Catalog catalog({fal, clock, executor, nullptr, [] { return 0.5; }, {}},
                  {.fal = InProcessFal::addresses()},
                  {catalog_model("clip", "falsim/clip/text-to-video")}, {});
  MemoryStore store(clock);
  Runner runner({.transport = fal,
                 .clock = clock,
                 .executor = executor,
                 .codecs = codecs,
                 .keys = keys,
                 .catalog = catalog,
                 .state = &store},
                {.fal = InProcessFal::addresses(),
                 .media_hosts = *fal::MediaHosts::parse(InProcessFal::media_hosts)});
  std::vector<std::string> seen;
  for (const Milliseconds time : {9s, 11s, 31s, 111s, 171s, 209s}) {
    clock.at(clock.now() + time, [&] {
      const RunStatus status = status_now(runner);
      seen.push_back(std::string(name_of(status.phase)) + " " + std::to_string(status.progress));
      if (status.phase == RunPhase::queued) CHECK(status.queue_position.has_value());
    });
  }
  Wish wish = request_for("clip");
  wish.makes = Medium::video;
  const Later later;
  REQUIRE(runner.handle(wish, later.context()).response);
  CHECK(seen == std::vector<std::string>{"queued 0", "in_progress 1", "in_progress 16",
                                         "in_progress 50", "in_progress 80", "in_progress 90"});
  CHECK(status_now(runner).progress == 100);
}

}  // namespace falproxy
