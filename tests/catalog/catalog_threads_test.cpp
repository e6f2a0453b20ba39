// With threads and the machine's clock.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "catalog_models.hpp"
#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"
#include "support/model_documents.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
using testing::model_document;

// Answers when the gate of its endpoint is opened.
class GatedTransport final : public Transport {
 public:
  Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                    std::stop_token stop, ResponseSink& sink) override {
    const std::string endpoint = endpoint_of(request);
    std::unique_lock lock(mutex_);
    ++fetches_[endpoint];
    ++running_;
    most_running_ = std::max(most_running_, running_);
    changed_.notify_all();
    const bool opened = changed_.wait_until(lock, stop, deadline,
                                            [&] { return open_.contains(endpoint) || all_open_; });
    --running_;
    if (!opened)
      return TransportError{stop.stop_requested() ? TransportFault::cancelled
                                                  : TransportFault::timed_out};
    lock.unlock();
    if (!sink.head({200, {}})) return TransportError{TransportFault::cancelled};
    sink.data(model_document(endpoint));
    return Done{};
  }
  void open(const std::string& endpoint) {
    const std::lock_guard lock(mutex_);
    open_.insert(endpoint);
    changed_.notify_all();
  }
  void open_all() {
    const std::lock_guard lock(mutex_);
    all_open_ = true;
    changed_.notify_all();
  }
  void wait_for_running(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ >= count; });
  }
  int fetches(const std::string& endpoint) {
    const std::lock_guard lock(mutex_);
    return fetches_[endpoint];
  }
  int most_running() {
    const std::lock_guard lock(mutex_);
    return most_running_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::string> open_;
  bool all_open_ = false;
  std::map<std::string, int> fetches_;
  int running_ = 0, most_running_ = 0;
};

struct ThreadedWorld {
  explicit ThreadedWorld(std::vector<CatalogModel> models, Catalog::Options options = {})
      : catalog({transport, clock, executor, nullptr, [] { return 0.5; }, {}}, options,
                std::move(models), {}) {}
  GatedTransport transport;
  SystemClock clock;
  ThreadExecutor executor;
  Catalog catalog;
};

}  // namespace

TEST_CASE("many requests for one document share one fetch, and wait for no other") {
  ThreadedWorld world({model("slow", "a/slow"), model("quick", "a/quick")});
  std::jthread background(
      [&](std::stop_token stop) { world.catalog.refresh_due(world.clock.now(), stop); });
  world.transport.wait_for_running(2);
  std::atomic<int> served{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 16; ++i) {
      clients.emplace_back([&] {
        const auto schema =
            world.catalog.profile(id("a/quick"), "quick", world.clock.now() + 60s, {});
        if (schema) ++served;
      });
    }
    world.transport.open("a/quick");
  }
  CHECK(served == 16);  // while the slow one is still on its way
  CHECK(world.transport.fetches("a/quick") == 1);
  CHECK(world.catalog.cached(id("a/slow"), "slow") == nullptr);
  world.transport.open_all();
  CHECK(world.catalog.profile(id("a/slow"), "slow", world.clock.now() + 60s, {}));
  CHECK(world.transport.fetches("a/slow") == 1);
}

TEST_CASE("when the client leaves whose request fetches a document, another's takes over") {
  ThreadedWorld world({model("flux", flux)});
  std::stop_source first_leaves;
  std::atomic<bool> first_cancelled{false}, second_served{false};
  std::jthread first([&] {
    const auto schema =
        world.catalog.profile(id(flux), "flux", world.clock.now() + 60s, first_leaves.get_token());
    first_cancelled = !schema && schema.error().kind == ErrorKind::cancelled;
  });
  world.transport.wait_for_running(1);
  std::jthread second([&] {
    second_served =
        world.catalog.profile(id(flux), "flux", world.clock.now() + 60s, {}).has_value();
  });
  first_leaves.request_stop();
  first.join();
  world.transport.open_all();
  second.join();
  CHECK(first_cancelled);
  CHECK(second_served);
}

TEST_CASE("fetches run side by side, as many as are allowed") {
  std::vector<CatalogModel> models;
  for (int i = 0; i < 40; ++i)
    models.push_back(model("m" + std::to_string(i), "a/m" + std::to_string(i)));
  ThreadedWorld world(models, {.parallel_fetches = 4});
  std::jthread background(
      [&](std::stop_token stop) { world.catalog.refresh_due(world.clock.now(), stop); });
  world.transport.wait_for_running(4);
  world.transport.open_all();
  background.join();
  CHECK(world.transport.most_running() == 4);
  for (const DocumentStatus& status : world.catalog.status()) CHECK(status.available);
}

TEST_CASE("reads, refreshes, contradictions and reloads do not disturb each other") {
  std::vector<CatalogModel> models;
  for (int i = 0; i < 8; ++i)
    models.push_back(model("m" + std::to_string(i), "a/m" + std::to_string(i)));
  ThreadedWorld world(models, {.allow_any_model = true, .max_any_models = 4});
  world.transport.open_all();
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const std::string name =
              t == 0 ? "b/any" + std::to_string(i % 9) : "m" + std::to_string(i % 8);
          const auto found = world.catalog.find(name);
          if (!found || !world.catalog.profile(found->endpoint, name, world.clock.now() + 60s, {}))
            ++failures;
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        world.catalog.contradicted(id("a/m" + std::to_string(i % 8)), world.clock.now());
        world.catalog.refresh_due(world.clock.now(), {});
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        world.catalog.reload({.allow_any_model = true, .max_any_models = 4}, models, {});
        (void)world.catalog.status();
      }
    });
  }
  CHECK(failures == 0);
}

}  // namespace falproxy
