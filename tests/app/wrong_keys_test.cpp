#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "rate_limit.hpp"

namespace falproxy::app {
namespace {

const TimePoint begin_of_time{std::chrono::hours(1)};

TEST_CASE("ten wrong keys of an address are answered at once, and those after them are late") {
  WrongKeys wrong;
  for (int i = 0; i < 10; ++i) CHECK(wrong.count(1, begin_of_time) == nullptr);
  CHECK(wrong.count(1, begin_of_time) != nullptr);
  CHECK(wrong.count(2, begin_of_time) == nullptr);
  // One a minute is forgiven.
  CHECK(wrong.count(1, begin_of_time + Seconds(61)) == nullptr);
  CHECK(wrong.count(1, begin_of_time + Seconds(61)) != nullptr);
  CHECK(wrong.count(1, begin_of_time + std::chrono::hours(1)) == nullptr);
}

TEST_CASE("only so many answers wait, and one that went out makes room for another") {
  WrongKeys wrong;
  for (int i = 0; i < 10; ++i) (void)wrong.count(1, begin_of_time);
  std::vector<std::shared_ptr<void>> late;
  for (std::size_t i = 0; i < WrongKeys::max_late; ++i) {
    late.push_back(wrong.count(1, begin_of_time));
    REQUIRE(late.back() != nullptr);
  }
  CHECK(wrong.count(1, begin_of_time) == nullptr);
  late.pop_back();
  CHECK(wrong.count(1, begin_of_time) != nullptr);
}

TEST_CASE(
    "only so many addresses are remembered: past them all are late, until some are forgotten") {
  WrongKeys wrong;
  for (std::uint64_t peer = 1; peer <= WrongKeys::max_peers; ++peer)
    REQUIRE(wrong.count(peer, begin_of_time) == nullptr);
  CHECK(wrong.count(WrongKeys::max_peers + 1, begin_of_time) != nullptr);
  CHECK(wrong.count(WrongKeys::max_peers + 1, begin_of_time + Seconds(59)) != nullptr);
  CHECK(wrong.count(WrongKeys::max_peers + 1, begin_of_time + Seconds(75)) == nullptr);
  // Those that go on are not forgotten.
  for (int i = 0; i < 20; ++i) (void)wrong.count(1, begin_of_time + Seconds(76));
  CHECK(wrong.count(1, begin_of_time + Seconds(76)) != nullptr);
}

TEST_CASE("an answer that waits may outlive what counted it") {
  std::shared_ptr<void> late;
  {
    WrongKeys wrong;
    for (int i = 0; i < 11; ++i) late = wrong.count(1, begin_of_time);
  }
  CHECK(late != nullptr);
}

}  // namespace
}  // namespace falproxy::app
