#include "state/query.hpp"

#include "base/fmt.hpp"

namespace falproxy::inline v0 {

std::optional<StoreError> fault_of(const RunQuery& query) {
  if (query.limit < 1 || query.limit > max_found) {
    return StoreError{
        StoreFault::invalid,
        fmt::format("A query's limit is {}, and must be 1 to {}.", query.limit, max_found)};
  }
  if (query.owner.empty() && query.by != RunQuery::By::id && query.by != RunQuery::By::open) {
    return StoreError{StoreFault::invalid,
                      fmt::format("A query by {} must name the owner.", name_of(query.by))};
  }
  return std::nullopt;
}

StoreError outdated(std::uint64_t written, std::uint64_t stored) {
  return {
      StoreFault::outdated,
      fmt::format("The record was written by somebody else: its fence is {}, and the write's {}.",
                  stored, written)};
}

StoreError other_run() {
  return {StoreFault::invalid,
          "A record keeps its owner, digest, key_hash, surface and created, and this write changes "
          "one of them."};
}

StoreError too_late() {
  return {StoreFault::timed_out, "The deadline passed before the store came to it."};
}

}  // namespace falproxy::inline v0
