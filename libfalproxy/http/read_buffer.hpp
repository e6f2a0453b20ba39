// read_buffer.hpp: bytes that have arrived and are not yet used.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace falproxy::inline v0 {

/// Has no memory until it is filled.
class ReadBuffer {
 public:
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {data_.get() + begin_, end_ - begin_};
  }
  void drop_front(std::size_t n) noexcept { begin_ += n; }
  [[nodiscard]] bool is_full() const noexcept { return end_ == capacity_; }

  /// Gives the memory back if nothing is held.
  void release_if_empty() noexcept {
    if (begin_ == end_) *this = ReadBuffer();
  }
  /// As release_if_empty, of more than `size` bytes.
  void release_if_larger(std::size_t size) noexcept {
    if (capacity_ > size) release_if_empty();
  }

  /// Room for `size` bytes, or for twice what is held: where to read to, and how much.
  [[nodiscard]] std::pair<char*, std::size_t> room(std::size_t size) {
    const std::size_t held = end_ - begin_;
    if (held == 0) begin_ = end_ = 0;
    if (capacity_ == end_ || (held == 0 && capacity_ < size)) {
      size = std::max(size, held * 2);
      std::unique_ptr<char[]> larger(new char[size]);
      if (held > 0) std::memcpy(larger.get(), data_.get() + begin_, held);
      data_ = std::move(larger);
      capacity_ = size;
      begin_ = 0;
      end_ = held;
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  /// So many bytes were read to where room() said.
  void filled(std::size_t n) noexcept { end_ += n; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace falproxy::inline v0
