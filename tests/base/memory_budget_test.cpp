#include "falproxy/memory_budget.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

using namespace falproxy;

TEST_CASE("shares divide the memory that there is, and give it back") {
  MemoryBudget budget(100);
  {
    MemoryShare one(&budget);
    CHECK(one.resize(60));
    CHECK(one.resize(50));
    MemoryShare two(&budget);
    CHECK_FALSE(two.resize(51));
    CHECK(two.resize(50));
    CHECK(budget.used() == 100);
    CHECK_FALSE(one.resize(51));
    CHECK(one.bytes() == 50);
    CHECK_FALSE(one.resize(SIZE_MAX));
    CHECK(budget.used() == 100);
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("what is paid for is never refused, and others wait until it is gone") {
  MemoryBudget budget(100);
  MemoryShare answer(&budget);
  answer.charge_to(150);
  CHECK(budget.used() == 150);
  MemoryShare other(&budget);
  CHECK_FALSE(other.resize(1));
  answer.charge_to(20);
  CHECK(other.resize(80));
}

TEST_CASE("a share that moves is given back once") {
  MemoryBudget budget(100);
  MemoryShare one(&budget);
  REQUIRE(one.resize(40));
  {
    MemoryShare two(std::move(one));
    CHECK(two.bytes() == 40);
    MemoryShare three(&budget);
    REQUIRE(three.resize(10));
    three = std::move(two);
    CHECK(three.bytes() == 40);
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("without a budget nothing is refused") {
  MemoryShare free(nullptr);
  CHECK(free.resize(SIZE_MAX / 2));
  CHECK(free.bytes() == SIZE_MAX / 2);
}

TEST_CASE("a smaller limit leaves what is taken") {
  MemoryBudget budget(100);
  MemoryShare one(&budget);
  REQUIRE(one.resize(80));
  budget.set_limit(50);
  CHECK_FALSE(one.resize(81));
  CHECK(one.resize(30));
  CHECK(one.resize(50));
}

TEST_CASE("text that grows counts with the room that it has, until its last owner goes") {
  MemoryBudget budget(100'000);
  std::shared_ptr<const std::string> owner;
  {
    CountedText text(&budget, 50'000);
    while (text.text().size() < 50'000) REQUIRE(text.append(std::string(1000, 'a')));
    CHECK(text.text().capacity() == 50'000);
    CHECK(budget.used() == 50'000);
    CHECK_FALSE(text.append(std::string(1000, 'a')));
    CHECK(text.text().size() == 50'000);
    owner = text.take();
  }
  CHECK(owner->size() == 50'000);
  CHECK(budget.used() == 50'000);
  owner.reset();
  CHECK(budget.used() == 0);
}

TEST_CASE("text that is paid for grows past what there is") {
  MemoryBudget budget(1000);
  CountedText text(&budget);
  CHECK_FALSE(text.make_room(2000));
  text.charge_room(2000);
  CHECK(budget.used() >= 2000);
  CHECK(text.append(std::string(2000, 'a')));
}
