// A process that was only paused, while another one has taken up its runs.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/memory_store.hpp"
#include "runs/live_runs.hpp"
#include "runs/recorder.hpp"
#include "runs/restarted.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

namespace {

// One of two processes, which may have been silent for long.
class Sleeper final : public Peers {
 public:
  Sleeper() { self_.bytes[0] = 1; }
  const RunId& self() const noexcept override { return self_; }
  bool is_gone(const RunId& process) const override { return process == gone; }
  std::size_t count() const override { return 2; }
  std::uint64_t departures() const override { return 0; }
  std::uint64_t absences() const override { return slept; }
  void take_place(const std::string& /*account*/, const std::string& /*ticket*/, int /*limit*/,
                  TimePoint /*deadline*/, Callback<bool> done) override {
    done(true);
  }
  void give_back(const std::string& /*account*/, const std::string& /*ticket*/) override {}
  void cancel(const RunId& run) override {
    cancelled.push_back(run);
    if (at_cancel) at_cancel();
  }
  void on_cancel(const std::function<void(const RunId&)>& heard) override { hears = heard; }

  std::uint64_t slept = 0;
  std::optional<RunId> gone;
  std::vector<RunId> cancelled;
  std::function<void()> at_cancel;
  std::function<void(const RunId&)> hears;

 private:
  RunId self_;
};

class CountingPurse final : public Purse {
 public:
  Result<std::vector<Reservation>> reserve(const Payer& /*payer*/,
                                           const std::vector<Job>& jobs) override {
    return std::vector<Reservation>(jobs.size());
  }
  std::optional<Usd> settle(const Payer& /*payer*/, const Reservation& /*reservation*/,
                            const Ended& /*job*/) override {
    ++settled;
    return Usd{1};
  }
  int settled = 0;
};

RunId other_process() {
  RunId id;
  id.bytes[0] = 2;
  return id;
}

struct Paused : Restarted {
  Paused() {
    Runner::Parts parts = parts_over(store);
    parts.peers = &peers;
    parts.purse = &purse;
    runner = std::make_unique<Runner>(std::move(parts), with_hosts({}));
  }
  RunRecord stored() {
    std::vector<RunRecord> all;
    store.find(RunQuery::of_owner("me", 10), clock.now() + 1s,
               [&](Result<std::vector<RunRecord>, StoreError> found) { all = *found; });
    REQUIRE(all.size() == 1);
    return all.front();
  }
  // Of another process, with a job that fal has, or may have.
  RunRecord left(RunState state) {
    RunRecord record;
    record.id.bytes.fill(7);
    record.owner = "me";
    record.surface = "images.generations";
    record.promised = true;
    record.state = state;
    record.holder = other_process();
    record.created = record.changed = clock.wall_now();
    record.expires = record.created + std::chrono::hours(1);
    record.jobs = {{.state = state, .endpoint = "fal-ai/flux/dev"}};
    if (state == RunState::accepted) record.jobs.front().request_id = "r";
    store.write(record, Durability::durable, clock.now() + 1s,
                [](const auto& done) { REQUIRE(done); });
    return record;
  }
  // As another process does.
  void be_taken() {
    RunRecord record = stored();
    runs::take_hold(record, other_process());
    record.details = "another's";
    store.write(record, Durability::durable, clock.now() + 1s,
                [](const auto& done) { REQUIRE(done); });
  }
  // `event` happens once, when fal is asked for the first time after the submit.
  void while_it_runs(std::function<void()> event) {
    fal.fault = [event = std::move(event),
                 asked = 0](const HttpRequest& request) mutable -> std::optional<Script> {
      const bool of_queue = request.url.find("queue.fal.run") != std::string::npos;
      if (of_queue && ++asked == 2) event();
      return std::nullopt;
    };
  }

  MemoryStore store{clock};
  Sleeper peers;
  CountingPurse purse;
  std::unique_ptr<Runner> runner;
};

}  // namespace

TEST_CASE("whoever was only paused neither ends nor settles a run that another has taken up") {
  for (const bool knows : {true, false}) {
    CAPTURE(knows);
    Paused world;
    world.while_it_runs([&] {
      world.be_taken();
      world.peers.slept += knows ? 1 : 0;
    });
    CHECK(world.runner->handle(request_for("flux"), world.keyed()).response);
    const RunRecord left = world.stored();
    CHECK(left.holder == other_process());
    CHECK(left.state == RunState::accepted);
    CHECK(left.details == "another's");
    CHECK(world.purse.settled == (knows ? 0 : 1));
  }
}

TEST_CASE("whoever was paused, and has lost nothing, ends and settles its runs") {
  Paused world;
  world.while_it_runs([&] { ++world.peers.slept; });
  CHECK(world.runner->handle(request_for("flux"), world.keyed()).response);
  CHECK(world.stored().state == RunState::completed);
  CHECK(world.purse.settled == 1);
}

TEST_CASE("of processes that take a run from each other only the last one writes it") {
  VirtualClock clock;
  std::mt19937 random(7);
  for (int history = 0; history < 200; ++history) {
    MemoryStore store(clock);
    const auto write = [&](const RunRecord& record) {
      bool done = false;
      store.write(record, Durability::durable, clock.now() + 1s,
                  [&](const auto& written) { done = written.has_value(); });
      return done;
    };
    std::array<RunRecord, 3> copies;  // as each process knows the run
    copies[0].id.bytes.fill(1);
    copies[0].owner = "me";
    copies[0].created = copies[0].changed = copies[0].expires = clock.wall_now();
    copies[0].holder.bytes[0] = 1;
    REQUIRE(write(copies[0]));
    RunRecord last = copies[0];
    for (int step = 0; step < 40; ++step) {
      const std::size_t who = random() % copies.size();
      RunId self;
      self.bytes[0] = static_cast<std::uint8_t>(who + 1);
      RunRecord& copy = copies[who];
      if (random() % 4 == 0) {
        // It has read the run now, or a while ago.
        if (random() % 2 == 0 || copy.owner.empty()) copy = last;
        ++copy.fence;
        runs::take_hold(copy, self);
      } else {
        if (copy.holder != self) continue;
        ++copy.fence;
      }
      const bool was_holder = last.holder == self;
      const bool done = write(copy);
      if (done) last = copy;
      CAPTURE(history);
      CAPTURE(step);
      // Who is not the holder gets through by taking the run alone, and from what is there.
      if (done && !was_holder) CHECK((copy.fence & 0xffffffff) == 0);
    }
  }
}

TEST_CASE("a run of another process is cancelled by that one, and waited for") {
  Paused world;
  RunRecord record = world.left(RunState::accepted);
  const auto write = [&] {
    ++record.fence;
    world.store.write(record, Durability::durable, world.clock.now() + 1s,
                      [](const auto& done) { REQUIRE(done); });
  };
  const TimePoint began = world.clock.now();
  // Nobody does anything of it.
  const auto left = world.runner->forget("me", record.id);
  REQUIRE_FALSE(left.has_value());
  CHECK(left.error().kind == ErrorKind::overloaded);
  CHECK(world.clock.now() >= began + 10s);
  CHECK(world.peers.cancelled == std::vector{record.id});

  world.peers.at_cancel = [&] {
    world.clock.at(world.clock.now() + 3s, [&] {
      record.state = record.jobs.front().state = RunState::cancelled;
      write();
    });
  };
  const auto cancelled = world.runner->cancel("me", record.id);
  REQUIRE(cancelled.has_value());
  REQUIRE(cancelled->has_value());
  CHECK((*cancelled)->phase == RunPhase::cancelled);
  CHECK(world.peers.cancelled.size() == 2);
  CHECK(world.transport.count("PUT ") == 0);
  // What has ended is nobody's to cancel.
  CHECK(world.runner->cancel("me", record.id).has_value());
  CHECK(world.peers.cancelled.size() == 2);
}

TEST_CASE("what a process that is gone was submitting can be forgotten, once nobody looks for it") {
  Paused world;
  const RunRecord record = world.left(RunState::intent);
  world.peers.gone = other_process();
  // At first another process may ask fal for it.
  const auto early = world.runner->forget("me", record.id);
  REQUIRE_FALSE(early.has_value());
  CHECK(early.error().kind == ErrorKind::overloaded);
  world.peers.cancelled.clear();
  world.clock.sleep_until(world.clock.now() + 200s, {});
  const TimePoint began = world.clock.now();
  const auto forgotten = world.runner->forget("me", record.id);
  CHECK((forgotten.has_value() && *forgotten));
  CHECK(world.clock.now() == began);
  CHECK(world.peers.cancelled.empty());
}

TEST_CASE("a run that is followed here is not followed a second time") {
  VirtualClock clock;
  runs::LiveRuns live;
  RunId id;
  id.bytes.fill(7);
  runs::LiveRuns::Entry one = live.enter({.owner = "me"}, id, clock);
  REQUIRE(one.place != nullptr);
  const runs::LiveRuns::Entry two = live.enter({.owner = "me"}, id, clock);
  CHECK(two.place == nullptr);
  REQUIRE(two.equal != nullptr);
  CHECK(two.equal->id() == id);
  one.place.reset();
  CHECK(live.find("me", id) == nullptr);
  CHECK(live.enter({.owner = "me"}, id, clock).place != nullptr);
}

TEST_CASE("a run that another process is asked to cancel is cancelled at fal") {
  Paused world;
  LaterRun later;
  later.id.bytes.fill(9);
  later.surface = "images.generations";
  world.fal.job_time = 100s;
  world.while_it_runs([&] { world.peers.hears(later.id); });
  const Outcome outcome =
      world.runner->handle(request_for("flux"), {.client = "me", .later = &later});
  CHECK_FALSE(outcome.response);
  CHECK(world.stored().state == RunState::cancelled);
  CHECK(world.fal.count_cancelled() == 1);
  world.runner.reset();
  CHECK_FALSE(world.peers.hears);
}

}  // namespace falproxy
