// law.hpp: what the fuzzers share: laws that must hold, and inputs of several parts.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace fuzz {

/// Ends the run where a law is broken; libFuzzer then keeps the input.
inline void hold(bool law, std::string_view what) {
  if (law) return;
  std::fprintf(stderr, "broken law: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The parts of an input that stand between lines of "---": exactly `count`, the missing ones
/// empty.
inline std::vector<std::string_view> parts(std::string_view input, std::size_t count) {
  constexpr std::string_view line = "\n---\n";
  std::vector<std::string_view> all;
  while (all.size() + 1 < count) {
    const std::size_t end = input.find(line);
    if (end == std::string_view::npos) break;
    all.push_back(input.substr(0, end));
    input.remove_prefix(end + line.size());
  }
  all.push_back(input);
  all.resize(count);
  return all;
}

}  // namespace fuzz
