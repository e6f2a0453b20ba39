// png_stream.hpp: PNG files row by row, over libpng.
//
// libpng reports faults by longjmp. It leaves no function here that has something to destroy.
#pragma once

#include <png.h>

#include <cstdint>
#include <string_view>

#include "falproxy/memory_budget.hpp"

namespace falproxy::inline v0::png {

struct Pixel {
  std::uint8_t gray;
  std::uint8_t alpha;
};

/// Reads gray and alpha of 8 bits each, whatever is in the file. Colours are taken as they stand,
/// without regard to gamma: a mask is no photograph.
class Reader {
 public:
  explicit Reader(std::string_view file);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // False, from here on: the file is broken, and only the destructor may follow.
  /// Reads the head: what is asked for next is there then, and little memory is taken.
  [[nodiscard]] bool open() noexcept;
  [[nodiscard]] std::uint32_t width() const noexcept;
  [[nodiscard]] std::uint32_t height() const noexcept;
  [[nodiscard]] bool has_alpha() const noexcept;
  [[nodiscard]] bool is_interlaced() const noexcept;

  [[nodiscard]] bool begin() noexcept;
  /// How often all rows must be read, each into the place that it had in the pass before.
  [[nodiscard]] int passes() const noexcept { return passes_; }
  [[nodiscard]] bool read(Pixel* row) noexcept;
  /// Something in the rows read so far was neither gray nor black nor white.
  [[nodiscard]] bool has_seen_colour() const noexcept;

 private:
  static void take(png_structp png, png_bytep to, png_size_t size);

  png_structp png_;
  png_infop info_;
  std::string_view rest_;
  int passes_ = 1;
};

/// Writes gray of 8 bits, or gray and alpha of 8 bits each.
class Writer {
 public:
  explicit Writer(CountedText& out);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // False: only the destructor may follow.
  /// `exif`: the data of the chunk eXIf; empty: there is none.
  [[nodiscard]] bool begin(std::uint32_t width, std::uint32_t height, bool with_alpha,
                           std::string_view exif) noexcept;
  [[nodiscard]] bool write(const std::uint8_t* row) noexcept;
  [[nodiscard]] bool end() noexcept;
  /// Why it failed.
  [[nodiscard]] bool out_of_memory() const noexcept { return out_of_memory_; }

 private:
  static void put(png_structp png, png_bytep bytes, png_size_t size);
  bool append(std::string_view bytes) noexcept;

  png_structp png_;
  png_infop info_;
  CountedText& out_;
  bool out_of_memory_ = false;
};

}  // namespace falproxy::inline v0::png
