// restarted.hpp: a server that ends in the middle of its runs, and begins again.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/memory_store.hpp"
#include "runs/scripted_fal.hpp"
#include "support/changed_store.hpp"

namespace falproxy::inline v0::testing {

using namespace std::chrono_literals;

/// Keeps what a restart would find after each of its writes.
class SteppingStore final : public tests::ChangedStore {
 public:
  using ChangedStore::ChangedStore;

  void write(const RunRecord& record, Durability durability, TimePoint deadline,
             Callback<Done> done) override {
    if (refuses) return done(StoreError{StoreFault::unavailable, "the disk is full"});
    now_[record.id] = record;
    steps.push_back(now_);
    ChangedStore::write(record, durability, deadline, std::move(done));
  }
  void erase(const RunId& id, TimePoint deadline, Callback<Done> done) override {
    now_.erase(id);
    ChangedStore::erase(id, deadline, std::move(done));
  }

  using Records = std::map<RunId, RunRecord>;
  std::vector<Records> steps;
  bool refuses = false;  ///< every write

 private:
  Records now_;
};

/// A server that ends and begins again: the runners are two, fal and the store are the same.
struct Restarted : GatewayWorld {
  Restarted() : before(clock), first(runner_over(before)) {}

  [[nodiscard]] Runner::Parts parts_over(StateStore& store) {
    return {.transport = transport,
            .clock = clock,
            .executor = inline_executor,
            .codecs = codecs,
            .keys = keys,
            .catalog = catalog,
            .random = [this] { return random; },
            .memory = &memory,
            .state = &store};
  }
  [[nodiscard]] std::unique_ptr<Runner> runner_over(StateStore& store,
                                                    Runner::Options options = {}) {
    return std::make_unique<Runner>(parts_over(store), with_debug(with_hosts(std::move(options))));
  }
  /// What comes after the process ended with the `step`th write.
  Runner& restart(std::size_t step, Runner::Options options = {}) {
    second.reset();
    after.emplace(clock);
    clock.sleep_until(clock.now() + 1s, {});
    for (const auto& [id, record] : before.steps.at(step))
      after->write(record, Durability::durable, clock.now() + 1s,
                   [](const auto& done) { REQUIRE(done); });
    second = runner_over(*after, std::move(options));
    return *second;
  }
  [[nodiscard]] CallContext keyed(std::string key = "k-1") {
    return {.deadline = clock.now() + 600s, .client = "me", .idempotency_key = std::move(key)};
  }
  [[nodiscard]] CallContext repeated() {
    return {.deadline = clock.now() + 600s, .client = "me", .retry_count = 1};
  }
  [[nodiscard]] std::size_t submits() { return transport.count("POST https://queue.fal.run/"); }
  [[nodiscard]] std::vector<RunRecord> records() {
    std::vector<RunRecord> all;
    after->find(RunQuery::of_owner("me", 10), clock.now() + 1s,
                [&](Result<std::vector<RunRecord>, StoreError> found) { all = *found; });
    return all;
  }

  SteppingStore before;
  std::unique_ptr<Runner> first;
  std::optional<MemoryStore> after;
  std::unique_ptr<Runner> second;
};

}  // namespace falproxy::inline v0::testing
