// Several falproxies, each a process, over one fal and one Redis.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cluster.hpp"

namespace falproxy::app {

TEST_CASE("three replicas have one limit of jobs, and each request its turn") {
  if (!RedisServer::is_there()) return;
  const Cluster world(3, {.job_time = Milliseconds(20)}, {{"MAX_JOBS_PER_ACCOUNT", "4"}});
  constexpr int jobs = 500;
  std::atomic<int> next = 0, answered = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 24; ++t) {
    threads.emplace_back([&, t] {
      while (next++ < jobs) answered += world.ask(t % 3, key_field()).status == 200 ? 1 : 0;
    });
  }
  threads.clear();
  CHECK(answered == jobs);
  const FalsimStats stats = world.sim.stats();
  CHECK(stats.submits == jobs);
  CHECK(stats.most_in_progress <= 4);
  CHECK(stats.most_in_progress >= 2);
}

TEST_CASE("each replica says how many of them there are") {
  if (!RedisServer::is_there()) return;
  const Cluster world(3);
  const auto told = [&](std::size_t replica) {
    RawClient client(world.replicas[replica]->port());
    return client.exchange(get("/v1/falproxy/status", key_field())).body;
  };
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(in_the_end([&] { return at(told(i), "replicas").as_integer() == 3; }));
  RawClient client(world.replicas[0]->port());
  CHECK(client.exchange(get("/metrics", key_field())).body.find("\nfalproxy_replicas 3\n") !=
        std::string::npos);
  const Served alone;
  CHECK(at(alone.get("/v1/falproxy/status").body, "replicas").is_null());
}

TEST_CASE("a repeat that lands at another replica finds the job, at each point, and one submit") {
  if (!RedisServer::is_there()) return;
  struct Point {
    const char* name;
    falsim::FalsimOptions options;
    std::function<bool(const FalsimStats&)> reached;
    bool kills;
  };
  const auto waits = [](const FalsimStats& s) { return s.in_queue == 1; };
  const auto runs = [](const FalsimStats& s) { return s.in_progress == 1; };
  const auto is_done = [](const FalsimStats& s) { return s.results_fetched == 1; };
  for (const Point& point : {
           Point{"it waits at fal", {.queue_time = Milliseconds(2'000)}, waits, false},
           Point{"it waits at fal, and its replica is killed",
                 {.queue_time = Milliseconds(2'000)},
                 waits,
                 true},
           Point{"it runs", {.job_time = Milliseconds(2'000)}, runs, false},
           Point{
               "it runs, and its replica is killed", {.job_time = Milliseconds(2'000)}, runs, true},
           Point{"it is done", Served::quick(), is_done, false},
           Point{"it is done, and its replica is killed", Served::quick(), is_done, true},
       }) {
    CAPTURE(point.name);
    const Cluster world(2, point.options);
    RawClient first(world.replicas[0]->port());
    first.send(post(generations, lighthouse, with_key("k-1")));
    REQUIRE(world.sim.wait_for(point.reached));
    if (point.kills) {
      REQUIRE(in_the_end([&] { return world.redis.records_with(world.job(0)) == 1; }));
      world.kill(0);
    }
    const Received again = world.ask(1, with_key("k-1"));
    CHECK(again.status == 200);
    CHECK(again.header("idempotent-replayed") == "true");
    if (!point.kills) {
      const Received once = first.receive();
      CHECK(once.status == 200);
      CHECK(text_at(once.body, "data.0.url") == text_at(again.body, "data.0.url"));
    }
    CHECK(world.sim.stats().submits == 1);
    CHECK(world.ask(1, with_key("k-1"), R"({"model":"flux","prompt":"another"})").status == 409);
  }
}

TEST_CASE("of equal requests that come to all replicas at once one is submitted") {
  if (!RedisServer::is_there()) return;
  const Cluster world(3, {.job_time = Milliseconds(50)});
  constexpr int keys = 20;
  std::atomic<int> answered = 0;
  for (int key = 0; key < keys; ++key) {
    std::vector<std::jthread> threads;
    for (std::size_t replica = 0; replica < 3; ++replica) {
      threads.emplace_back([&, replica] {
        answered += world.ask(replica, with_key("k-" + std::to_string(key))).status == 200 ? 1 : 0;
      });
    }
  }
  CHECK(answered == 3 * keys);
  CHECK(world.sim.stats().submits == keys);
}

TEST_CASE("what is begun without waiting is one job for all replicas, and found at each") {
  if (!RedisServer::is_there()) return;
  const Cluster world(2, {.job_time = Milliseconds(300)});
  const std::string fields = with_key("k-1") + "Prefer: respond-async\r\n";
  const Received first = world.ask(0, fields), second = world.ask(1, fields);
  CHECK(first.status == 202);
  CHECK(second.status == 202);
  const std::string id = text_at(first.body, "id");
  CHECK(id == text_at(second.body, "id"));
  CHECK(in_the_end([&] {
    RawClient client(world.replicas[1]->port());
    const Received got = client.exchange(get("/v1/falproxy/jobs/" + id, key_field()));
    return text_at(got.body, "status") == "completed";
  }));
  CHECK(world.sim.stats().submits == 1);
}

TEST_CASE(
    "a video is shown, and its file handed out, at each replica, also if its own was killed") {
  if (!RedisServer::is_there()) return;
  for (const bool kills : {false, true}) {
    CAPTURE(kills);
    const Cluster world(2, {.job_time = Milliseconds(3'000)},
                        {{"SUPPORTED_MODELS", "clip:falsim/clip/text-to-video"}});
    const auto see = [&](const std::string& path) {
      RawClient client(world.replicas[1]->port());
      return client.exchange(get(path, key_field()));
    };
    RawClient client(world.replicas[0]->port());
    const Received begun =
        client.exchange(post("/v1/videos", R"({"model":"clip","prompt":"a fox"})", key_field()));
    REQUIRE(begun.status == 200);
    const std::string video = "/v1/videos/" + text_at(begun.body, "id");
    REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
    REQUIRE(in_the_end([&] { return world.redis.records_with(world.job(0)) == 1; }));
    const auto see_at_first = [&](const std::string& path) {
      RawClient own(world.replicas[0]->port());
      return own.exchange(get(path, key_field()));
    };
    // Who has begun it tells the same of it as the other one.
    std::int64_t progress = 0;
    CHECK(in_the_end([&] {
      for (const Received& got : {see_at_first(video), see(video)}) {
        CHECK(got.status == 200);
        const std::int64_t now = at(got.body, "progress").as_integer().value_or(-1);
        CHECK(now >= progress);
        progress = now;
      }
      return progress > 0;
    }));
    if (kills) world.kill(0);
    CHECK(in_the_end([&] {
      const Received got = see(video);
      CHECK(text_at(got.body, "status") != "failed");
      CHECK(text_at(got.body, "status") != "queued");
      const std::int64_t now = at(got.body, "progress").as_integer().value_or(-1);
      CHECK(now >= progress);
      progress = now;
      return text_at(got.body, "status") == "completed";
    }));
    CHECK(progress == 100);
    CHECK(text_at(see("/v1/videos").body, "data.0.id") == text_at(begun.body, "id"));
    const Received file = see(video + "/content");
    CHECK(file.status == 200);
    CHECK(file.body.starts_with("\x1A\x45\xDF\xA3"));
    CHECK(world.sim.stats().submits == 1);
  }
}

TEST_CASE("a generation costs Redis three round trips, and some two kilobytes") {
  if (!RedisServer::is_there()) return;
  struct Kind {
    const char* name;
    bool keyed;
    Environment settings;
    double trips;
  };
  for (const Kind& kind :
       {Kind{"plain", false, {}, 3}, Kind{"with an Idempotency-Key", true, {}, 4},
        Kind{"with a limit of jobs", false, {{"MAX_JOBS_PER_ACCOUNT", "8"}}, 4}}) {
    CAPTURE(kind.name);
    const Cluster world(1, Served::quick(), kind.settings);
    CHECK(world.ask(0, key_field()).status == 200);
    constexpr int generations_made = 200;
    std::this_thread::sleep_for(Milliseconds(200));
    const auto now = [&] {
      return std::array<long long, 4>{world.redis.figure("cmdstat_evalsha:calls"),
                                      world.redis.figure("total_net_input_bytes"),
                                      world.redis.figure("total_net_output_bytes"),
                                      world.redis.figure("total_reads_processed")};
    };
    const auto before = now();
    for (int i = 0; i < generations_made; ++i) {
      const std::string number = std::to_string(i);
      const std::string fields = kind.keyed ? with_key("k-" + number) : key_field();
      REQUIRE(
          world.ask(0, fields, R"({"model":"flux","prompt":"number )" + number + R"("})").status ==
          200);
    }
    std::this_thread::sleep_for(Milliseconds(200));
    const auto after = now();
    const auto each = [&](std::size_t i) {
      return static_cast<double>(after[i] - before[i]) / generations_made;
    };
    const std::string name = kind.name;
    MESSAGE(name, ": ", each(0), " scripts, ", each(1), " bytes in, ", each(2), " bytes out, ",
            each(3), " round trips, a generation");
    CHECK(each(0) <= 7.5);
    CHECK(each(3) <= kind.trips + 0.5);
    CHECK(each(1) + each(2) <= 2'500);
  }
}

TEST_CASE("no request fails for a Redis that is slow, stopped or started again") {
  if (!RedisServer::is_there()) return;
  Cluster world(2, {.job_time = Milliseconds(10)}, {{"MAX_JOBS_PER_ACCOUNT", "8"}}, "");
  std::atomic<bool> ends = false;
  std::atomic<int> asked = 0, failed = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !ends; ++i) {
        const std::string key = std::to_string(t) + "-" + std::to_string(i);
        failed += world.ask(t % 2, i % 2 == 0 ? key_field() : with_key(key)).status == 200 ? 0 : 1;
        ++asked;
      }
    });
  }
  const auto some_more = [&](int more) {
    const int before = asked;
    REQUIRE(in_the_end([&] { return asked >= before + more; }));
  };
  const auto is_degraded = [&] {
    const Received got = world.ready(0);
    CHECK(got.status == 200);
    return got.body.find("STATE_URL") != std::string::npos;
  };
  some_more(40);
  world.redis.pause();
  some_more(40);
  CHECK(in_the_end(is_degraded));
  CHECK(world.ask(0, with_key("in the outage")).status == 200);
  world.redis.go_on();
  some_more(40);
  CHECK(in_the_end([&] { return !is_degraded(); }));
  world.redis.stop();
  some_more(40);
  CHECK(in_the_end(is_degraded));
  world.redis.start();
  CHECK(in_the_end([&] { return !is_degraded(); }));
  some_more(40);
  ends = true;
  threads.clear();
  CHECK(failed == 0);
}

TEST_CASE("what was noted while Redis was away is shared once it is back") {
  if (!RedisServer::is_there()) return;
  const Cluster world(2, Served::quick(), {}, "?bound_ms=300");
  world.redis.pause();
  CHECK(world.ask(0, with_key("k-1")).status == 200);
  world.redis.go_on();
  // What is asked before would be another job.
  REQUIRE(in_the_end([&] { return world.redis.records_with(world.job(0)) == 1; }));
  CHECK(in_the_end([&] {
    const Received got = world.ask(1, with_key("k-1"));
    return got.status == 200 && got.header("idempotent-replayed") == "true";
  }));
  CHECK(world.sim.stats().submits == 1);
}

TEST_CASE("what a replica leaves is followed by another, and what is uncertain stays so") {
  if (!RedisServer::is_there()) return;
  Cluster world(2, {.job_time = Milliseconds(3'000)});
  RawClient followed(world.replicas[0]->port());
  followed.send(post(generations, lighthouse, with_key("k-1")));
  REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  world.sim.add_fault(
      {.name = "hangs", .step = falsim::Step::submit, .delay = Milliseconds(10'000'000)});
  RawClient uncertain(world.replicas[0]->port());
  uncertain.send(post(generations, R"({"model":"flux","prompt":"never"})", with_key("k-2")));
  REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.faults.contains("hangs"); }));
  REQUIRE(in_the_end([&] { return world.redis.records_with(world.job(0)) == 1; }));
  world.kill(0);
  world.sim.clear_faults();
  // Whether fal has it cannot be looked up.
  world.sim.add_fault({.step = falsim::Step::history, .answer = falsim::Answer{.status = 403}});

  Received got;
  CHECK(in_the_end([&] {
    got = world.ask(1, with_key("k-2"), R"({"model":"flux","prompt":"never"})");
    return got.status == 409;
  }));
  CHECK(text_at(got.body, "error.code") == "job_uncertain");
  const std::string line = world.replicas[1]->log_until("runs of an earlier process were found");
  CHECK(line.find("2 runs of an earlier process were found: 1 have brought something") !=
        std::string::npos);
  CHECK(world.ask(1, with_key("k-1")).status == 200);
  for (const char* prompt : {"a lighthouse", "never"}) {
    CHECK(std::ranges::count_if(world.sim.submits(), [&](const falsim::SeenSubmit& submit) {
            return submit.input.find(prompt) != std::string::npos;
          }) <= 1);
  }
}

TEST_CASE("a replica that starts while Redis is away serves what needs no Redis") {
  if (!RedisServer::is_there()) return;
  RedisServer redis;
  redis.stop();
  const falsim::Falsim sim = std::move(falsim::Falsim::start(Served::quick())).value();
  const testing::Folder folder;
  const std::string file = (folder.path() / "keys.json").string();
  std::ofstream(file) << R"({"ann": {"key": "ann-has-this-key", "budget": "5/day",
                                     "on_state_loss": "allow"},
                             "joe": {"key": "joe-has-this-key", "max_job_cost": "1"},
                             "kim": {"key": "kim-has-this-key", "budget": "5/day"}})";
  const Program replica(sim, {{"STATE_URL", redis.address()},
                              {"STATE_DIR", (folder.path() / "state").string()},
                              {"KEYS_FILE", file},
                              {"FAL_API_URL", sim.api_url()}});
  const auto ask = [&](const char* key) {
    RawClient client(replica.port());
    return client.exchange(post(generations, lighthouse, key_field(key))).status;
  };
  CHECK(in_the_end([&] { return ask("ann-has-this-key") == 200; }));
  CHECK(in_the_end([&] { return ask("joe-has-this-key") == 200; }));
  CHECK(ask("kim-has-this-key") == 503);
  redis.start();
  CHECK(in_the_end([&] { return ask("kim-has-this-key") == 200; }));
}

}  // namespace falproxy::app
