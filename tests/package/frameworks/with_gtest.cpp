#include <gtest/gtest.h>

#include "values.hpp"

TEST(Printing, Error) {
  EXPECT_EQ(error_of(falproxy::ErrorKind::invalid_type),
            error_of(falproxy::ErrorKind::invalid_value));
}
TEST(Printing, Json) { EXPECT_EQ(json_of(1), json_of(2)); }
TEST(Printing, Note) { EXPECT_EQ(note_of("n"), note_of("size")); }
TEST(Printing, Plan) { EXPECT_EQ(plan_of(1), plan_of(2)); }
TEST(Printing, Wish) { EXPECT_EQ(wish_of("a fox"), wish_of("a hare")); }
