// later_run.hpp: runs that outlive their request, for tests.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/runner.hpp"

namespace falproxy::inline v0::testing {

inline RunId later_id(std::uint8_t number) {
  RunId id;
  id.bytes.fill(number);
  return id;
}

/// One run of "me".
struct Later : LaterRun {
  explicit Later(std::uint8_t number = 1) {
    id = later_id(number);
    surface = "images.generations";
    noted = [this](const RunId& told) { ids.push_back(told); };
  }
  [[nodiscard]] CallContext context(std::string key = {}) const {
    return {.client = "me", .idempotency_key = std::move(key), .later = this};
  }
  std::vector<RunId> ids;  ///< that were told
};

inline RunStatus status_now(Runner& runner, std::uint8_t number = 1,
                            const std::string& client = "me") {
  const auto found = runner.find(client, later_id(number));
  REQUIRE(found);
  REQUIRE(found->has_value());
  return **found;
}

}  // namespace falproxy::inline v0::testing
