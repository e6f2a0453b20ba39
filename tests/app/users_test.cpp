// For whom the holders of access keys ask.
#include "users.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

namespace falproxy::app {

TEST_CASE(
    "a key has at most a thousand users of its own in a day's reports, and the rest together") {
  Users users;
  const WallTime today = WallTime(std::chrono::hours(24 * 20'000));
  for (std::size_t i = 0; i < Users::most_of_a_key; ++i) {
    const std::string name = "user-" + std::to_string(i);
    CHECK(users.told_as("team", name, today) == name);
  }
  CHECK(users.told_as("team", "one more", today) == Users::others);
  CHECK(users.told_as("team", "user-7", today) == "user-7");
  CHECK(users.told_as("another team", "one more", today) == "one more");
  CHECK(users.told_as("team", "one more", today + std::chrono::hours(24)) == "one more");
}

TEST_CASE("a user is cut to what a row has room for, and nobody stays nobody") {
  Users users;
  const std::string cut = users.told_as("team", std::string(500, 'x'), {});
  CHECK(cut.starts_with(std::string(128, 'x')));
  CHECK(cut.find(std::string(129, 'x')) == std::string::npos);
  CHECK(cut.size() < 160);
  CHECK(users.told_as("team", "", {}).empty());
}

}  // namespace falproxy::app
