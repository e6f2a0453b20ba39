#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "values.hpp"

TEST_CASE("Error") {
  CHECK(error_of(falproxy::ErrorKind::invalid_type) ==
        error_of(falproxy::ErrorKind::invalid_value));
}
TEST_CASE("Json") { CHECK(json_of(1) == json_of(2)); }
TEST_CASE("Note") { CHECK(note_of("n") == note_of("size")); }
TEST_CASE("Plan") { CHECK(plan_of(1) == plan_of(2)); }
TEST_CASE("Wish") { CHECK(wish_of("a fox") == wish_of("a hare")); }
