#include "users.hpp"

#include "base/utf8.hpp"

namespace falproxy::app {

std::string Users::told_as(const std::string& client, std::string_view user, WallTime now) {
  constexpr std::size_t longest = 128;
  std::string name = cut(user, longest);
  if (name.empty()) return name;
  const std::lock_guard lock(mutex_);
  if (const Day today = day_of(now); today != day_) {
    day_ = today;
    seen_.clear();
  }
  std::set<std::size_t>& seen = seen_[client];
  const std::size_t hash = std::hash<std::string_view>()(name);
  if (seen.size() >= most_of_a_key && !seen.contains(hash)) return std::string(others);
  seen.insert(hash);
  return name;
}

}  // namespace falproxy::app
