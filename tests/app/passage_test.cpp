#include "passage.hpp"

#include <doctest/doctest.h>

#include "falproxy/test_doubles.hpp"

namespace falproxy::app {

TEST_CASE("who waits for the end of what was never sent hears once that it was not") {
  testing::VirtualClock clock;
  int ends = 0;
  bool submitted = true;
  {
    const Passage passage(clock, {}, {.end = [&](const Result<Forwarded>& how) {
                            ++ends;
                            submitted = how || how.error().submitted;
                          }});
  }
  CHECK(ends == 1);
  CHECK_FALSE(submitted);
}

}  // namespace falproxy::app
