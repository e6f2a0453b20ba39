#include "connection/chunk_framing.hpp"

#include <algorithm>
#include <charconv>

namespace falproxy::app {

bool ChunkFraming::accept(std::string_view bytes) noexcept {
  while (!bytes.empty() && state_ != State::broken) {
    if (state_ != State::data) {
      state_ = next(bytes.front());
      bytes.remove_prefix(1);
      continue;
    }
    const std::uint64_t n = std::min<std::uint64_t>(left_, bytes.size());
    left_ -= n;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    if (left_ == 0) state_ = State::data_cr;
  }
  return state_ != State::broken;
}

ChunkFraming::State ChunkFraming::next(char c) noexcept {
  const auto only = [c](char wanted, State then) { return c == wanted ? then : State::broken; };
  switch (state_) {
    case State::size:
      return after_size(c);
    case State::extension:
      return c == '\r' ? State::size_lf : c == '\n' ? State::broken : State::extension;
    case State::size_lf:
      return only('\n', left_ == 0 ? State::trailer_begin : State::data);
    case State::data_cr:
      return only('\r', State::data_lf);
    case State::data_lf:
      any_digit_ = false;
      return only('\n', State::size);
    case State::trailer_begin:
      return c == '\r' ? State::last_lf : c == '\n' ? State::broken : State::trailer;
    case State::trailer:
      return c == '\r' ? State::trailer_lf : c == '\n' ? State::broken : State::trailer;
    case State::trailer_lf:
      return only('\n', State::trailer_begin);
    case State::last_lf:
      return only('\n', State::over);
    case State::data:
    case State::over:
    case State::broken:
      break;
  }
  return State::broken;
}

ChunkFraming::State ChunkFraming::after_size(char c) noexcept {
  unsigned digit = 0;
  if (std::from_chars(&c, &c + 1, digit, 16).ec == std::errc()) {
    constexpr std::uint64_t most = std::uint64_t{1} << 40;
    any_digit_ = true;
    left_ = left_ * 16 + digit;
    return left_ <= most ? State::size : State::broken;
  }
  if (!any_digit_) return State::broken;
  if (c == '\r') return State::size_lf;
  return c == ';' || c == ' ' || c == '\t' ? State::extension : State::broken;
}

}  // namespace falproxy::app
