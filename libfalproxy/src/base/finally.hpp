// finally.hpp: what is to be done at the end of a scope, also if something is thrown.
#pragma once

#include <concepts>
#include <utility>

namespace falproxy::inline v0 {

/// Calls `end`, which must not throw, when it goes.
template <std::invocable End>
class Finally {
 public:
  explicit Finally(End end) : end_(std::move(end)) {}
  ~Finally() { end_(); }
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;

 private:
  End end_;
};

}  // namespace falproxy::inline v0
