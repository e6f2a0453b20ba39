// chunk_framing.hpp: holds a chunked body to the grammar of RFC 9112, 7.1.
#pragma once

#include <cstdint>
#include <string_view>

namespace falproxy::app {

/// httplib reads the size of a chunk as strtoul does (`0x1d`, `+1d`, `1dzz`, a bare LF): what reads
/// otherwise in front of falproxy would see other requests. So each byte passes here first.
class ChunkFraming {
 public:
  /// The next bytes of the body, as they arrived. False: they are no chunks; stays false.
  [[nodiscard]] bool accept(std::string_view bytes) noexcept;

 private:
  enum class State : std::uint8_t {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_begin,
    trailer,
    trailer_lf,
    last_lf,
    over,
    broken,
  };
  [[nodiscard]] State next(char c) noexcept;
  [[nodiscard]] State after_size(char c) noexcept;

  State state_ = State::size;
  bool any_digit_ = false;
  std::uint64_t left_ = 0;  // of the chunk
};

}  // namespace falproxy::app
