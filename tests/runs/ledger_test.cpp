// A repeat of a request is attached to the run of the first instead of being paid for again.
#include "runs/ledger.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <latch>
#include <new>
#include <thread>

#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"
#include "runs/scripted_fal.hpp"
#include "runs/side_by_side.hpp"
#include "wish/digest.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
using runs::Harvest;
using runs::Ledger;
using runs::Patience;
using runs::Served;
using testing::answer;
using testing::catalog_model;
using testing::GatewayWorld;
using testing::request_for;

// The SDK's silent repeat, `count` the number of it.
CallContext repeat(int count = 1) { return {.client = "me", .retry_count = count}; }
CallContext first() { return {.client = "me"}; }

}  // namespace

TEST_CASE("a repeat of a finished request gets its answer, and nothing is paid for it") {
  GatewayWorld world;
  const Outcome once = world.handle(request_for("flux"), first());
  const Outcome again = world.handle(request_for("flux"), repeat());
  REQUIRE(once.response);
  REQUIRE(again.response);
  CHECK(world.fal.jobs.size() == 1);
  CHECK(again.response->at(0).content.str() == once.response->at(0).content.str());
  CHECK_FALSE(once.receipt.recovered);
  CHECK(again.receipt.recovered);
  CHECK(again.receipt.total == 0us);
  CHECK(world.runner.counters().recovered == 1);
}

TEST_CASE("what is a repeat, and what is not") {
  struct Row {
    const char* name;
    CallContext before, after;
    bool attached;
  };
  CallContext with_key = first();
  with_key.idempotency_key = "k1";
  CallContext other_key = first();
  other_key.idempotency_key = "k2";
  CallContext repeat_with_key = repeat();
  repeat_with_key.idempotency_key = "k1";
  CallContext somebody_else = repeat();
  somebody_else.client = "you";
  CallContext cannot_repeat = first();
  cannot_repeat.may_repeat = false;
  const std::vector<Row> rows = {
      {"the same again, without saying that it is a repeat", first(), first(), false},
      {"a counted repeat", first(), repeat(), true},
      {"a second repeat", first(), repeat(2), true},
      {"the same idempotency key", with_key, with_key, true},
      {"the same idempotency key, counted", with_key, repeat_with_key, true},
      {"another idempotency key", with_key, other_key, false},
      {"another idempotency key, counted", other_key, repeat_with_key, false},
      {"a counted repeat of a request that had a key", with_key, repeat(), true},
      {"a counted repeat with a key of a request without one", first(), repeat_with_key, true},
      {"an idempotency key on a request that had none", first(), with_key, false},
      {"another client", first(), somebody_else, false},
      {"of one that was not expected to be repeated", cannot_repeat, repeat(), true},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world;
      CHECK(world.handle(request_for("flux"), row.before).response);
      CHECK(world.handle(request_for("flux"), row.after).receipt.recovered == row.attached);
      CHECK(world.fal.jobs.size() == (row.attached ? 1 : 2));
    }
  }
}

TEST_CASE("requests that differ in a field or a picture are not the same") {
  const testing::PlainCodecs codecs;
  const auto digest = [&](const auto& change) {
    Wish request = request_for("flux");
    change(request);
    return digest_of(request, codecs);
  };
  const auto picture = [](std::string bytes) {
    InputFile image;
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    image.bytes = *owner;
    image.owner = owner;
    return image;
  };
  const std::vector<std::function<void(Wish&)>> changes = {
      [](auto&) {},
      [](auto& r) { r.prompt = "a hare"; },
      [](auto& r) { r.prompt = std::nullopt; },
      [](auto& r) { r.prompt = ""; },
      [](auto& r) { r.model = "other"; },
      [](auto& r) { r.n = 1; },
      [](auto& r) { r.size = {SizeWish::Kind::pixels, 1, 12}; },
      [](auto& r) { r.size = {SizeWish::Kind::pixels, 11, 2}; },
      [](auto& r) { r.size = {SizeWish::Kind::ratio, 1, 12}; },
      [](auto& r) { r.size_word = "2K"; },
      [](auto& r) { r.quality = "hd"; },
      [](auto& r) { r.style = "hd"; },
      [](auto& r) { r.background = "hd"; },
      [](auto& r) { r.moderation = "hd"; },
      [](auto& r) { r.output_format = "hd"; },
      [](auto& r) { r.input_fidelity = "hd"; },
      [](auto& r) { r.output_compression = 1; },
      [](auto& r) { r.response_format = ResponseFormat::url; },
      [](auto& r) { r.response_format = ResponseFormat::b64_json; },
      [](auto& r) { r.user = "hd"; },
      [](auto& r) { r.stream = true; },
      [](auto& r) { r.partial_images = 1; },
      [](auto& r) { r.intent = Intent::edit; },
      [](auto& r) { r.native = {{"seed", Json::integer(1)}}; },
      [](auto& r) { r.native = {{"seed", Json::string("1")}}; },
      [&](auto& r) { r.images = {picture("a")}; },
      [&](auto& r) { r.images = {picture("b")}; },
      [&](auto& r) { r.images = {picture("a"), picture("a")}; },
      [&](auto& r) { r.mask = picture("a"); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    for (std::size_t k = 0; k < changes.size(); ++k) {
      CAPTURE(i);
      CAPTURE(k);
      CHECK((digest(changes[i]) == digest(changes[k])) == (i == k));
    }
  }
}

TEST_CASE("a run that throws ends with an error, and the next one begins anew") {
  Ledger ledger;
  testing::VirtualClock clock;
  const auto run = [&](const Ledger::Work& work) {
    return ledger.run("key", repeat(), clock, {}, work);
  };
  const Outcome failed =
      run([](const auto&, const Patience&, Progress*) -> Served { throw std::bad_alloc(); });
  REQUIRE_FALSE(failed.response);
  CHECK(failed.response.error().kind == ErrorKind::internal);
  CHECK(run([](const auto&, const Patience&, Progress*) {
          return Served{Outcome{std::vector<Product>(1), {}}};
        }).response);
}

TEST_CASE("what throws beside others throws once all have returned") {
  std::atomic<int> ended{0};
  std::latch throws(1);
  ThreadExecutor executor;
  const auto run = [&] {
    runs::side_by_side(executor, 4, 4, [&](std::size_t i) {
      if (i == 0) {
        throws.count_down();
        throw std::bad_alloc();
      }
      throws.wait();
      ++ended;
    });
  };
  CHECK_THROWS_AS(run(), std::bad_alloc);
  CHECK(ended == 3);
}

TEST_CASE("an answer is kept for the recovery window and no longer") {
  GatewayWorld world;
  CHECK(world.handle(request_for("flux"), first()).response);
  world.clock.advance(119s);
  CHECK(world.handle(request_for("flux"), repeat()).receipt.recovered);
  world.clock.advance(2s);
  CHECK_FALSE(world.handle(request_for("flux"), repeat()).receipt.recovered);
  CHECK(world.fal.jobs.size() == 2);
}

TEST_CASE("the answers that are kept are bounded in bytes: the oldest goes first") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.recovery_bytes = 9000});
  const auto was_kept = [&](const char* prompt) {
    return world.handle(request_for("flux", prompt), repeat()).receipt.recovered;
  };
  for (const char* prompt : {"one", "two", "three"})
    CHECK(world.handle(request_for("flux", prompt), first()).response);
  CHECK(was_kept("three"));
  CHECK(was_kept("two"));
  CHECK_FALSE(was_kept("one"));
}

TEST_CASE(
    "of clients that never said that they repeat, a thousand answers are kept, and they push out "
    "no other") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.recovery_window = 24h});
  CHECK(world.handle(request_for("flux", "announced"), first()).response);
  CallContext unannounced = first();
  unannounced.may_repeat = false;
  for (int i = 0; i <= 1000; ++i)
    CHECK(world.handle(request_for("flux", std::to_string(i)), unannounced).response);
  const auto was_kept = [&](const char* prompt) {
    return world.handle(request_for("flux", prompt), repeat()).receipt.recovered;
  };
  CHECK(was_kept("announced"));
  CHECK(was_kept("1"));
  CHECK_FALSE(was_kept("0"));
}

TEST_CASE("where bytes are short, answers of clients that do not repeat go first") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.recovery_bytes = 9000});
  CHECK(world.handle(request_for("flux", "announced"), first()).response);
  CallContext unannounced = first();
  unannounced.may_repeat = false;
  for (const char* prompt : {"one", "two", "three"})
    CHECK(world.handle(request_for("flux", prompt), unannounced).response);
  CHECK(world.handle(request_for("flux", "announced"), repeat()).receipt.recovered);
  CHECK_FALSE(world.handle(request_for("flux", "two"), repeat()).receipt.recovered);
}

TEST_CASE("an answer larger than the whole ledger is not kept") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.recovery_bytes = 1000});
  CHECK(world.handle(request_for("flux"), first()).response);
  CHECK_FALSE(world.handle(request_for("flux"), repeat()).receipt.recovered);
}

TEST_CASE("a failure that was paid for is not paid for twice; one that was not is tried anew") {
  SUBCASE("the job failed") {
    GatewayWorld world;
    world.fal.fault = [](const HttpRequest& request) -> std::optional<testing::Script> {
      if (!request.url.ends_with("/requests/job-1")) return std::nullopt;
      return answer(
          422,
          R"({"detail":[{"loc":["body","prompt"],"msg":"no","type":"content_policy_violation"}]})");
    };
    CHECK_FALSE(world.handle(request_for("flux"), first()).response);
    const Outcome again = world.handle(request_for("flux"), repeat());
    REQUIRE_FALSE(again.response);
    CHECK(again.response.error().kind == ErrorKind::content_policy);
    CHECK(world.fal.jobs.size() == 1);
  }
  SUBCASE("nothing was submitted") {
    GatewayWorld world;
    bool up = false;
    world.fal.fault = [&](const HttpRequest& request) -> std::optional<testing::Script> {
      if (up || request.method != "POST") return std::nullopt;
      return answer(503, "");
    };
    CHECK_FALSE(world.handle(request_for("flux"), first()).response);
    up = true;
    CHECK(world.handle(request_for("flux"), repeat()).response);
  }
  SUBCASE("the time ran out") {
    GatewayWorld world;
    world.fal.job_time = 30s;
    CallContext hasty = first();
    hasty.deadline = world.clock.now() + 10s;
    CHECK_FALSE(world.handle(request_for("flux"), hasty).response);
    CHECK(world.handle(request_for("flux"), repeat()).response);
  }
}

TEST_CASE("each of two equal requests gets its own answer back") {
  GatewayWorld world;
  const std::string one = world.handle(request_for("flux"), first()).response->at(0).content.str();
  const std::string two = world.handle(request_for("flux"), first()).response->at(0).content.str();
  CHECK(one != two);
  std::vector<std::string> recovered;
  for (int i = 0; i < 2; ++i)
    recovered.push_back(world.handle(request_for("flux"), repeat()).response->at(0).content.str());
  std::ranges::sort(recovered);
  CHECK(recovered == std::vector<std::string>{one, two});
}

// ---- While the first still runs, with threads.

namespace {

// A run that ends when it is told to, or stopped.
struct Running {
  Served run(const std::shared_ptr<const Harvest>& earlier, const Patience& patience,
             Progress* progress) {
    std::vector<Product> response(1);
    response.front().created = 42;
    if (earlier != nullptr) return {{response, {}}, earlier};
    if (progress != nullptr) progress->queued(7);
    std::unique_lock lock(mutex);
    changed.wait_for(lock, patience.stop(), 60s, [this] { return finish; });
    ++runs;
    stopped = patience.stop().stop_requested();
    if (stopped) return {{Error{ErrorKind::cancelled, "stopped"}, {}}};
    auto harvest = std::make_shared<Harvest>();
    harvest->outputs.push_back({.result = std::make_shared<const std::string>("{}")});
    return {{response, {}}, harvest};
  }
  void end() {
    const std::lock_guard lock(mutex);
    finish = true;
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable_any changed;
  bool finish = false, stopped = false;
  int runs = 0;
};

struct LedgerWorld {
  explicit LedgerWorld(OnDisconnect on_disconnect = OnDisconnect::cancel) {
    rules.on_disconnect = on_disconnect;
  }

  // A client that can leave. It hears where the request stands as soon as it waits for it.
  struct Client final : Progress {
    void queued(std::optional<int> position) override {
      CHECK(position == 7);
      attached.count_down();
    }
    std::latch attached{1};
    std::stop_source leaves;
    std::optional<Outcome> outcome;
    std::jthread thread;
  };
  std::unique_ptr<Client> start(CallContext context, Milliseconds patience = 60s) {
    auto client = std::make_unique<Client>();
    context.stop = client->leaves.get_token();
    context.progress = client.get();
    context.deadline = clock.now() + patience;
    client->thread = std::jthread([this, context, &client = *client] {
      client.outcome.emplace(
          ledger.run("key", context, clock, rules,
                     [this](const auto& earlier, const Patience& p, Progress* progress) {
                       return running.run(earlier, p, progress);
                     }));
    });
    return client;
  }
  SystemClock clock;
  Ledger ledger;
  Ledger::Rules rules;
  Running running;
};

}  // namespace

TEST_CASE(
    "a repeat of a request that runs waits for it; when the first client leaves, it goes on") {
  LedgerWorld world;
  const auto one = world.start(first());
  one->attached.wait();
  const auto two = world.start(repeat());
  two->attached.wait();
  one->leaves.request_stop();
  world.running.end();
  one->thread.join();
  two->thread.join();
  REQUIRE(two->outcome.has_value());
  REQUIRE(two->outcome->response);
  CHECK(two->outcome->response->front().created == 42);
  CHECK(two->outcome->receipt.recovered);
  CHECK_FALSE(world.running.stopped);
  CHECK(world.running.runs == 1);
}

TEST_CASE("when the last who waits leaves, the run is stopped") {
  LedgerWorld world;
  const auto one = world.start(first());
  one->attached.wait();
  const auto two = world.start(repeat());
  two->attached.wait();
  one->leaves.request_stop();
  two->leaves.request_stop();
  one->thread.join();
  two->thread.join();
  CHECK(world.running.stopped);
  CHECK(two->outcome->response.error().kind == ErrorKind::cancelled);
}

TEST_CASE("with ON_DISCONNECT=keep the run is finished for a repeat that comes later") {
  LedgerWorld world(OnDisconnect::keep);
  const auto one = world.start(first());
  one->attached.wait();
  one->leaves.request_stop();
  world.running.end();
  one->thread.join();
  CHECK_FALSE(world.running.stopped);
  const auto two = world.start(repeat());
  two->thread.join();
  CHECK(two->outcome->response->front().created == 42);
  CHECK(world.running.runs == 1);
}

TEST_CASE("an equal request is attached to one whose client has left, though it says nothing") {
  LedgerWorld world;
  std::atomic<bool> left{false};
  CallContext cut = first();
  cut.client_left = [&] { return left.load(); };
  const auto one = world.start(cut);
  one->attached.wait();

  SUBCASE("while it is held for that") {
    left = true;
    const auto two = world.start(first());
    two->attached.wait();
    one->leaves.request_stop();  // the hold is over
    world.running.end();
    two->thread.join();
    CHECK(two->outcome->response->front().created == 42);
    CHECK(two->outcome->receipt.recovered);
    CHECK(world.running.runs == 1);
  }
  SUBCASE("but not as long as its client is there") {
    const auto two = world.start(first());
    two->attached.wait();
    world.running.end();
    one->thread.join();
    two->thread.join();
    CHECK_FALSE(two->outcome->receipt.recovered);
    CHECK(world.running.runs == 2);
  }
  SUBCASE("nor with another idempotency key") {
    left = true;
    CallContext other = first();
    other.idempotency_key = "k2";
    CallContext another = first();
    another.idempotency_key = "k3";
    const auto two = world.start(other);
    two->attached.wait();  // to the first, which has none
    const auto three = world.start(another);
    three->attached.wait();
    world.running.end();
    two->thread.join();
    three->thread.join();
    CHECK(two->outcome->receipt.recovered);
    CHECK_FALSE(three->outcome->receipt.recovered);
  }
}

TEST_CASE("who comes while a run is being stopped gets what comes of it, else a run of his own") {
  for (const bool something_came : {true, false}) {
    CAPTURE(something_came);
    SystemClock clock;
    Ledger ledger;
    std::latch begun(1), stopped(1), may_end(1);
    std::atomic<int> runs{0};
    const Ledger::Work work = [&](const auto& earlier, const Patience& patience, Progress*) {
      auto harvest = std::make_shared<Harvest>();
      harvest->outputs.push_back({.result = std::make_shared<const std::string>("{}")});
      const Served good{{std::vector<Product>(1), {}}, harvest};
      if (earlier != nullptr || ++runs > 1) return good;
      begun.count_down();
      const std::stop_callback on_stop(patience.stop(), [&] { stopped.count_down(); });
      may_end.wait();
      return something_came ? good : Served{{Error{ErrorKind::cancelled, "stopped"}, {}}};
    };
    std::stop_source leaves;
    CallContext cut = first();
    cut.stop = leaves.get_token();
    cut.deadline = clock.now() + 60s;
    std::jthread one([&] { static_cast<void>(ledger.run("key", cut, clock, {}, work)); });
    begun.wait();
    leaves.request_stop();
    stopped.wait();
    CallContext context = first();
    context.deadline = clock.now() + 60s;
    std::optional<Outcome> outcome;
    std::jthread two([&] { outcome.emplace(ledger.run("key", context, clock, {}, work)); });
    may_end.count_down();
    two.join();
    CHECK(outcome->response);
    CHECK(runs == (something_came ? 1 : 2));
  }
}

TEST_CASE("a repeat gives up at its own deadline, and the run goes on for the first") {
  LedgerWorld world;
  const auto one = world.start(first());
  one->attached.wait();
  const auto two = world.start(repeat(), 30ms);
  two->thread.join();
  CHECK(two->outcome->response.error().kind == ErrorKind::timed_out);
  CHECK(two->outcome->response.error().submitted);
  world.running.end();
  one->thread.join();
  CHECK(one->outcome->response);
}

TEST_CASE("a run that was stopped is not there for a repeat: it is begun anew") {
  LedgerWorld world;
  const auto one = world.start(first());
  one->attached.wait();
  one->leaves.request_stop();
  one->thread.join();
  const auto two = world.start(repeat());
  world.running.end();
  two->thread.join();
  CHECK(two->outcome->response);
  CHECK(world.running.runs == 2);
}

TEST_CASE("a repeat that is willing to wait longer gives the run more time") {
  LedgerWorld world;
  const auto one = world.start(first(), 10s);
  one->attached.wait();
  const auto two = world.start(repeat(), 50s);
  two->attached.wait();
  world.running.end();
  one->thread.join();
  two->thread.join();
  CHECK(two->outcome->response);
  Patience patience(testing::VirtualClock::epoch(), {});
  patience.extend(testing::VirtualClock::epoch() + 5s);
  patience.extend(testing::VirtualClock::epoch() + 1s);
  CHECK(patience.deadline() == testing::VirtualClock::epoch() + 5s);
}

}  // namespace falproxy
