#include "falproxy/png_masks.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "png/png_stream.hpp"

namespace falproxy::inline v0 {
namespace {

using png::Pixel;

// Bounds the work, not the memory: a file of a few kilobytes may say that it is any size. Twice as
// much as the largest cameras make, and as any model takes.
constexpr std::uint64_t most_pixels = std::uint64_t{1} << 28;
constexpr std::uint64_t most_interlaced_pixels = 40'000'000;
// What libpng and zlib need for themselves, to read one picture and to write another.
constexpr std::size_t codec_bytes = 400u << 10;
// Of each of the rows that libpng, zlib's filters and the conversion have at hand, a pixel: with 16
// bits and four channels twice, as gray and alpha, and as it is written.
constexpr std::size_t bytes_of_column = 24;
// Programs that blend leave 254 where 255 was meant, and 1 where black was.
constexpr std::uint8_t opaque_from = 254;
constexpr std::uint8_t rounding = 1;

Error broken(std::string_view why) {
  return {ErrorKind::invalid_mask, "Invalid mask image: " + std::string(why) + ".", "mask"};
}
Error broken_file() { return broken("the PNG file is broken"); }
Error nothing_to_change() {
  return broken(
      "the mask leaves nothing to change, for no pixel of it is transparent; erase the part that "
      "is to change, or paint it white on black");
}

Error no_hole() {
  return broken(
      "this model requires a mask, none was sent, and no pixel of the picture is transparent; send "
      "a 'mask', or erase the part of the picture that is to change");
}

bool is_transparent(Pixel pixel) noexcept { return pixel.alpha < opaque_from; }

enum class Colours { none, some };

// Calls `f` with each row from the top, until it returns false. Whether colours were among them.
Result<Colours> for_each_row(std::string_view file,
                             const std::function<bool(std::span<const Pixel>)>& f) {
  png::Reader reader(file);
  if (!reader.open() || !reader.begin()) return broken_file();
  const std::size_t width = reader.width();
  if (!reader.is_interlaced()) {
    std::vector<Pixel> row(width);
    for (std::uint32_t y = 0; y < reader.height(); ++y) {
      if (!reader.read(row.data())) return broken_file();
      if (!f(row)) break;
    }
    return reader.has_seen_colour() ? Colours::some : Colours::none;
  }
  std::vector<Pixel> picture(width * reader.height());
  for (int pass = 0; pass < reader.passes(); ++pass) {
    for (std::size_t y = 0; y < reader.height(); ++y) {
      if (!reader.read(picture.data() + y * width)) return broken_file();
    }
  }
  for (std::size_t y = 0; y < reader.height(); ++y) {
    if (!f(std::span(picture).subspan(y * width, width))) break;
  }
  return reader.has_seen_colour() ? Colours::some : Colours::none;
}

// How much a pixel is to be changed, 0..255: its transparency, or its brightness where nothing is
// transparent.
std::uint8_t change_of(Pixel pixel, bool use_alpha) noexcept {
  if (!use_alpha) return pixel.gray;
  return is_transparent(pixel) ? static_cast<std::uint8_t>(255 - pixel.alpha) : std::uint8_t{0};
}

// The least and the greatest change in a picture.
struct Range {
  std::uint8_t least = 255;
  std::uint8_t most = 0;

  void take(std::uint8_t change) noexcept {
    least = std::min(least, change);
    most = std::max(most, change);
  }
};

class Conversion {
 public:
  Conversion(std::string_view file, MaskConvention to, bool may_be_painted, MemoryBudget* memory)
      : file_(file), to_(to), may_be_painted_(may_be_painted), memory_(memory), share_(memory) {}

  Result<std::shared_ptr<const std::string>> run() {
    png::Reader reader(file_);
    if (!reader.open()) return broken("it must be a PNG file");
    const std::uint64_t pixels = std::uint64_t{reader.width()} * reader.height();
    if (reader.is_interlaced() && pixels > most_interlaced_pixels)
      return broken("it is interlaced and has more than 40 megapixels");
    if (pixels > most_pixels) return broken("it has more than 268 megapixels");
    const std::size_t whole = reader.is_interlaced() ? pixels * sizeof(Pixel) : 0;
    if (!share_.resize(codec_bytes + reader.width() * bytes_of_column + whole))
      return no_memory_left();
    if (reader.has_alpha()) {
      Result<Colours> read = for_each_row(file_, [&](std::span<const Pixel> row) {
        use_alpha_ = std::ranges::any_of(row, is_transparent);
        return !use_alpha_;
      });
      if (!read) return std::move(read).error();
      says_opaque_ = !use_alpha_;
    }
    if (!use_alpha_ && !may_be_painted_) return no_hole();
    if (use_alpha_ && to_ == MaskConvention::alpha) return as_it_is();
    return write(reader.width(), reader.height());
  }

 private:
  Result<std::shared_ptr<const std::string>> as_it_is() {
    Result<Colours> read = for_each_row(file_, [](std::span<const Pixel>) { return true; });
    if (!read) return std::move(read).error();
    CountedText copy(memory_);
    if (!copy.append(file_)) return no_memory_left();
    return copy.take();
  }

  // A picture without transparency is a mask only if somebody painted one: in black and white, with
  // some white, and, where it says that all of it is opaque, with some black.
  [[nodiscard]] bool is_painted(Colours colours, Range range) const noexcept {
    return colours == Colours::none && range.most > rounding &&
           !(says_opaque_ && range.most - range.least <= rounding);
  }

  Result<std::shared_ptr<const std::string>> write(std::uint32_t width, std::uint32_t height) {
    CountedText out(memory_);
    png::Writer writer(out);
    // Who looks at the colour of a mask for `alpha` sees the same as who looks at its alpha.
    const bool with_alpha = to_ == MaskConvention::alpha || to_ == MaskConvention::either;
    bool written = writer.begin(width, height, with_alpha, media::orientation_exif(file_));
    std::vector<std::uint8_t> bytes(std::size_t{width} * (with_alpha ? 2 : 1));
    Range range;
    Result<Colours> read = for_each_row(file_, [&](std::span<const Pixel> row) {
      for (std::size_t x = 0; x < row.size(); ++x) {
        const std::uint8_t change = change_of(row[x], use_alpha_);
        range.take(change);
        if (with_alpha) {
          bytes[2 * x] = change;
          bytes[2 * x + 1] = static_cast<std::uint8_t>(255 - change);
        } else {
          bytes[x] =
              to_ == MaskConvention::white ? change : static_cast<std::uint8_t>(255 - change);
        }
      }
      written = written && writer.write(bytes.data());
      return written;
    });
    if (!read) return std::move(read).error();
    if (!use_alpha_ && !is_painted(*read, range)) return nothing_to_change();
    written = written && writer.end();
    if (writer.out_of_memory()) return no_memory_left();
    if (!written) return Error{ErrorKind::internal, "The mask could not be written as a PNG file."};
    return out.take();
  }

  const std::string_view file_;
  const MaskConvention to_;
  const bool may_be_painted_;
  MemoryBudget* const memory_;
  MemoryShare share_;
  bool use_alpha_ = false;    // something is transparent
  bool says_opaque_ = false;  // there is an alpha channel, and nothing is
};

}  // namespace

Result<std::shared_ptr<const std::string>> PngMasks::convert(std::string_view png,
                                                             MaskConvention to,
                                                             MemoryBudget* memory) const {
  return Conversion(png, to, true, memory).run();
}

Result<std::shared_ptr<const std::string>> PngMasks::from_hole(std::string_view picture,
                                                               MaskConvention to,
                                                               MemoryBudget* memory) const {
  return Conversion(picture, to, false, memory).run();
}

}  // namespace falproxy::inline v0
