// What replicas know of each other's keys, limits, folders and runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cluster.hpp"
#include "media_store/folder_signs.hpp"

namespace falproxy::app {
namespace {

// KEYS_FILE with one row, "ann".
struct OneRow {
  explicit OneRow(const std::string& limits) : path((folder.path() / "keys.json").string()) {
    std::ofstream(path) << R"({"ann": {"key": "ann-has-this-key", )" << limits << "}}";
  }
  testing::Folder folder;
  std::string path;
};

const std::string ann = "ann-has-this-key";

Received exchange_with(const Cluster& world, std::size_t replica, const std::string& method,
                       const std::string& path) {
  RawClient client(world.replicas[replica]->port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + key_field() +
              "Connection: close\r\n\r\n");
  return client.receive();
}

}  // namespace

TEST_CASE("an account that fal blocks for one replica is asked by no other one") {
  if (!RedisServer::is_there()) return;
  Cluster world(3, Served::quick(), {{"AI_KEYS", "one-id:one-secret"}});
  falsim::Fault locked{.name = "locked", .step = falsim::Step::submit};
  locked.answer = falsim::Answer{
      .status = 403, .body = R"({"detail":"User is locked. Reason: Exhausted balance."})"};
  world.sim.add_fault(locked);
  CHECK(world.ask(0, key_field()).status >= 400);
  const std::uint64_t refused = world.sim.stats().faults.at("locked");
  for (const std::size_t replica : {1U, 2U}) {
    CHECK(in_the_end([&] {
      RawClient client(world.replicas[replica]->port());
      return client.exchange(get("/v1/falproxy/status", key_field())).body.find("blocked") !=
             std::string::npos;
    }));
    CHECK(world.ask(replica, key_field()).status >= 400);
  }
  CHECK(world.sim.stats().faults.at("locked") == refused);
}

TEST_CASE("a rate of a key is one for all replicas, and a share of it while Redis is away") {
  if (!RedisServer::is_there()) return;
  const OneRow row(R"("rate_limit": "9/h")");
  const std::string operators = "the-operators-own-key";
  Cluster world(3, Served::quick(), {{"KEYS_FILE", row.path}, {"ADMIN_KEY", operators}},
                "?bound_ms=1000");
  const auto served = [&] {
    int count = 0;
    for (std::size_t i = 0; i < 18; ++i)
      count += world.ask(i % 3, key_field(ann)).status == 200 ? 1 : 0;
    return count;
  };
  CHECK(served() == 9);
  const Received refused = world.ask(1, key_field(ann));
  CHECK(refused.status == 429);
  CHECK(refused.header("x-ratelimit-limit-requests") == "9");
  CHECK(refused.header("x-ratelimit-remaining-requests") == "0");
  CHECK_FALSE(refused.header("retry-after").empty());
  // Each has its share of those that it has heard of.
  for (const auto& replica : world.replicas) {
    CHECK(in_the_end([&] {
      RawClient client(replica->port());
      return client.exchange(get("/metrics", key_field(operators)))
                 .body.find("\nfalproxy_replicas 3\n") != std::string::npos;
    }));
  }
  world.redis.stop();
  CHECK(in_the_end([&] {
    return std::ranges::all_of(std::vector<std::size_t>{0, 1, 2}, [&](std::size_t replica) {
      return world.ready(replica).body.find("degraded") != std::string::npos;
    });
  }));
  CHECK(served() == 9);  // three each
}

TEST_CASE("a key has so many requests in flight, at all replicas together") {
  if (!RedisServer::is_there()) return;
  const OneRow row(R"("max_in_flight": 2)");
  const Cluster world(3, {.job_time = Milliseconds(2'000)}, {{"KEYS_FILE", row.path}});
  std::atomic<int> served = 0, refused = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const int status = world.ask(t % 3, key_field(ann)).status;
        served += status == 200 ? 1 : 0;
        refused += status == 429 ? 1 : 0;
      });
    }
  }
  CHECK(served == 2);
  CHECK(refused == 4);
  CHECK(world.ask(2, key_field(ann)).status == 200);
}

TEST_CASE("a keyed repeat finds its job after a kill, also if Redis is away by then") {
  if (!RedisServer::is_there()) return;
  Cluster world(1, {.job_time = Milliseconds(2'000)});
  RawClient first(world.replicas[0]->port());
  first.send(post(generations, lighthouse, with_key("k-1")));
  REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  REQUIRE(in_the_end([&] { return world.has_copy(0, world.job(0)); }));
  world.kill(0);
  world.redis.stop();
  world.begin_again(0);
  const Received again = world.ask(0, with_key("k-1"));
  CAPTURE(again.body.substr(0, 300));
  CHECK(again.status == 200);
  CHECK(again.header("idempotent-replayed") == "true");
  CHECK(world.sim.stats().submits == 1);
}

TEST_CASE("a run whose request is out of time is followed, and each replica tells its end") {
  if (!RedisServer::is_there()) return;
  const Cluster world(2, {.job_time = Milliseconds(6'000)});
  const std::string keyed = key_field() + "Idempotency-Key: k-1\r\n";
  CHECK(world.ask(0, keyed + "x-stainless-timeout: 3\r\n").status == 504);
  for (const std::size_t replica : {1U, 0U}) {
    CHECK(in_the_end([&] {
      const std::string jobs = exchange_with(world, replica, "GET", "/v1/falproxy/jobs").body;
      return text_at(jobs, "data.0.status") == "completed";
    }));
  }
  const Received again = world.ask(1, keyed);
  CHECK(again.status == 200);
  CHECK(again.header("idempotent-replayed") == "true");
  CHECK(world.sim.stats().submits == 1);
  CHECK(world.sim.stats().cancelled == 0);
}

TEST_CASE("a run is cancelled at fal, once, whichever replica is asked to") {
  if (!RedisServer::is_there()) return;
  const Cluster world(
      2, {.queue_time = Milliseconds(600'000)},
      {{"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,clip:falsim/clip/text-to-video"}});
  const Received begun = world.ask(0, key_field() + "Prefer: respond-async\r\n");
  REQUIRE(begun.status == 202);
  RawClient client(world.replicas[0]->port());
  const Received video = client.exchange(
      post("/v1/videos", R"({"model":"clip","prompt":"a fox","seconds":"8","size":"1280x720"})",
           key_field()));
  REQUIRE(video.status == 200);
  REQUIRE(world.sim.wait_for([](const FalsimStats& s) { return s.in_queue == 2; }));

  const Received cancelled =
      exchange_with(world, 1, "DELETE", "/v1/falproxy/jobs/" + text_at(begun.body, "id"));
  CHECK(cancelled.status == 200);
  CHECK(text_at(cancelled.body, "status") == "cancelled");
  CHECK(world.sim.stats().cancelled == 1);
  const std::string path = "/v1/videos/" + text_at(video.body, "id");
  CHECK(exchange_with(world, 1, "DELETE", path).status == 200);
  for (const std::size_t replica : {0U, 1U})
    CHECK(exchange_with(world, replica, "GET", path).status == 404);
  const FalsimStats stats = world.sim.stats();
  CHECK(stats.cancelled == 2);
  CHECK(stats.cancels_late + stats.cancels_unknown == 0);
  CHECK(stats.submits == 2);
}

TEST_CASE("a file that one replica keeps in a folder of all is there at each") {
  if (!RedisServer::is_there()) return;
  const testing::Folder shared;
  const Cluster world(2, Served::quick(), {{"MEDIA_STORE", "dir:" + shared.path().string()}});
  const Received made = world.ask(0, key_field());
  REQUIRE(made.status == 200);
  const std::string url = text_at(made.body, "data.0.url");
  const std::size_t path = url.find("/media/");
  REQUIRE(path != std::string::npos);
  for (const std::size_t replica : {0U, 1U}) {
    CHECK(in_the_end([&] {
      RawClient client(world.replicas[replica]->port());
      return client.exchange(get(url.substr(path))).status == 200;
    }));
  }
}

TEST_CASE("a folder that another replica does not have is a fault that names a bucket") {
  const testing::Folder shared, other;
  RunId one, two;
  one.bytes[0] = 1;
  two.bytes[0] = 2;
  const auto both = [&] { return std::vector<RunId>{one, two}; };
  {
    const auto first = leave_sign(shared.path(), one), second = leave_sign(shared.path(), two);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(find_signs(shared.path(), both, Milliseconds(0)).has_value());
    const auto stranger = leave_sign(other.path(), two);
    REQUIRE(stranger.has_value());
    const auto found = find_signs(other.path(), both, Milliseconds(300));
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().kind == ErrorKind::invalid_settings);
    CHECK(found.error().field == "MEDIA_STORE");
    CHECK(found.error().message.find("s3://") != std::string::npos);
    // Who is gone meanwhile need not have left any.
    int looks = 0;
    CHECK(find_signs(
              other.path(), [&] { return ++looks < 3 ? both() : std::vector<RunId>{two}; },
              Seconds(10))
              .has_value());
  }
  CHECK_FALSE(find_signs(shared.path(), both, Milliseconds(0)).has_value());
  CHECK_FALSE(leave_sign("/proc/nowhere", one).has_value());
}

}  // namespace falproxy::app
