// The header of version 3, else that of version 2.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include "values.hpp"

TEST_CASE("Error") {
  CHECK(error_of(falproxy::ErrorKind::invalid_type) ==
        error_of(falproxy::ErrorKind::invalid_value));
}
TEST_CASE("Json") { CHECK(json_of(1) == json_of(2)); }
TEST_CASE("Note") { CHECK(note_of("n") == note_of("size")); }
TEST_CASE("Plan") { CHECK(plan_of(1) == plan_of(2)); }
TEST_CASE("Wish") { CHECK(wish_of("a fox") == wish_of("a hare")); }
