// media_status.hpp: how the keeping of files stands.
#pragma once

#include <cstdint>
#include <string>

namespace falproxy::app {

/// For metrics and the status page.
struct MediaStatus {
  std::string place = {};
  std::uint64_t files = 0, bytes = 0;  ///< that are kept
  std::uint64_t waiting = 0;           ///< about to be, as far as this process knows
  std::uint64_t stored = 0, lost = 0;  ///< since the start
  std::string trouble = {};            ///< why nothing is kept now; empty: it is
};

}  // namespace falproxy::app
