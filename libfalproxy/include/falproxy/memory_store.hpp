// memory_store.hpp: records of runs, as long as the process lives.
#pragma once

#include <cstddef>
#include <memory>

#include "falproxy/clock.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// For tests, and if nothing is to be kept on a disk. Each callback is called before its
/// operation returns. If a limit would be passed, the oldest records that are not open go first;
/// if all are open, the write fails as `overloaded`.
class MemoryStore final : public StateStore {
 public:
  /// For all records together.
  struct Limits {
    std::size_t max_records = 20'000;   ///< open ones included
    std::size_t max_bytes = 32u << 20;  ///< packed
  };
  /// `clock` tells which deadlines have passed, and outlives the store.
  explicit MemoryStore(const Clock& clock);
  MemoryStore(const Clock& clock, Limits limits);  ///< as above
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  void write(const RunRecord& record, Durability durability, TimePoint deadline,
             Callback<Done> done) override;
  void erase(const RunId& id, TimePoint deadline, Callback<Done> done) override;
  void find(const RunQuery& query, TimePoint deadline,
            Callback<std::vector<RunRecord>> done) override;
  void forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) override;
  [[nodiscard]] StoreStatus status() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
