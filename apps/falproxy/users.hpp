// users.hpp: for whom the holders of access keys ask, as reports tell them apart.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/money.hpp"

namespace falproxy::app {

/// A client chooses the text that names a user, and each one is a row of every day's reports: so
/// there are at most so many of a key on a day. Thread-safe.
class Users {
 public:
  static constexpr std::size_t most_of_a_key = 1'000;
  /// Of all that come later.
  static constexpr std::string_view others = "(others)";

  /// `user`, or 128 bytes of it and how many there are; or `others`.
  [[nodiscard]] std::string told_as(const std::string& client, std::string_view user, WallTime now);

 private:
  std::mutex mutex_;
  Day day_ = 0;
  std::map<std::string, std::set<std::size_t>> seen_;  // hashes, of that day
};

}  // namespace falproxy::app
