// changed_store.hpp: a store in memory, for tests that change what one operation does.
#pragma once

#include <utility>
#include <vector>

#include "falproxy/memory_store.hpp"

namespace falproxy::tests {

struct ChangedStore : StateStore {
  explicit ChangedStore(const Clock& clock) : inner(clock) {}
  void write(const RunRecord& record, Durability durability, TimePoint deadline,
             Callback<Done> done) override {
    inner.write(record, durability, deadline, std::move(done));
  }
  void erase(const RunId& id, TimePoint deadline, Callback<Done> done) override {
    inner.erase(id, deadline, std::move(done));
  }
  void find(const RunQuery& query, TimePoint deadline,
            Callback<std::vector<RunRecord>> done) override {
    inner.find(query, deadline, std::move(done));
  }
  void forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) override {
    inner.forget_expired(now, deadline, std::move(done));
  }
  [[nodiscard]] StoreStatus status() const override { return inner.status(); }

  MemoryStore inner;
};

}  // namespace falproxy::tests
