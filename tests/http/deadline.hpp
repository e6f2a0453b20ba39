#pragma once

#include <chrono>

#include "falproxy/clock.hpp"

namespace falproxy_test {

inline falproxy::TimePoint in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

}  // namespace falproxy_test
