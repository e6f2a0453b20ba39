#include "pictures.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <vector>

namespace falsim {
namespace {

constexpr std::uint32_t max_edge = 14142;  // fal's own limit
constexpr std::size_t bytes_per_pixel(bool alpha) { return alpha ? 4 : 3; }

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
};

std::uint8_t to_byte(double share) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(share, 0.0, 1.0) * 255));
}

/// `hue` in turns; saturation and value from 0 to 1.
Colour from_hsv(double hue, double saturation, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6);
    return to_byte(value - value * saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  };
  return {channel(5), channel(3), channel(1)};
}

Colour mix(Colour a, Colour b, double share) {
  const auto channel = [&](std::uint8_t x, std::uint8_t y) {
    return to_byte((x + (y - x) * share) / 255);
  };
  return {channel(a.red, b.red), channel(a.green, b.green), channel(a.blue, b.blue)};
}

/// A stream of numbers in [0, 1) that follows from a seed (SplitMix64).
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  double next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
  }

 private:
  std::uint64_t state_;
};

/// Paints the picture row by row: a picture of 14142 x 14142 needs no more memory than its file.
class Painter {
 public:
  explicit Painter(const Picture& picture)
      : width_(picture.width),
        height_(picture.height),
        alpha_(picture.transparent),
        black_(picture.black) {
    Dice dice(picture.variant);
    const double hue = dice.next();
    sky_top_ = from_hsv(hue, 0.55, 0.75);
    sky_bottom_ = from_hsv(std::fmod(hue + 0.12, 1.0), 0.25, 1.0);
    const double short_edge = std::min(width_, height_);
    discs_.push_back({(0.2 + 0.6 * dice.next()) * width_, (0.15 + 0.25 * dice.next()) * height_,
                      0.09 * short_edge, from_hsv(0.13, 0.35, 1.0)});
    const int balloons = 2 + static_cast<int>(dice.next() * 4);
    for (int i = 0; i < balloons; ++i) {
      const Colour colour = from_hsv(dice.next(), 0.75, 0.9);
      discs_.push_back({dice.next() * width_, (0.1 + 0.6 * dice.next()) * height_,
                        (0.02 + 0.04 * dice.next()) * short_edge, colour});
    }
    for (int layer = 0; layer < 4; ++layer) add_hill(layer, std::fmod(hue + 0.35, 1.0), dice);
  }

  [[nodiscard]] std::size_t channels() const noexcept { return bytes_per_pixel(alpha_); }

  /// `out` has width * channels() bytes.
  void row(std::uint32_t y, std::uint8_t* out) const {
    const std::size_t step = channels();
    const Colour sky =
        black_ ? Colour{} : mix(sky_top_, sky_bottom_, static_cast<double>(y) / height_);
    fill(out, 0, width_, sky, alpha_ && !black_ ? 0 : 255);
    if (black_) return;
    for (const Disc& disc : discs_) {
      const double dy = y - disc.y;
      if (std::abs(dy) >= disc.radius) continue;
      const double half = std::sqrt(disc.radius * disc.radius - dy * dy);
      fill(out, static_cast<std::int64_t>(disc.x - half), static_cast<std::int64_t>(disc.x + half),
           disc.colour, 255);
    }
    for (const Hill& hill : hills_) {
      for (std::uint32_t x = 0; x < width_; ++x) {
        if (y >= hill.top[x]) put(out + x * step, hill.colour, 255);
      }
    }
  }

 private:
  struct Disc {
    double x, y, radius;
    Colour colour;
  };
  struct Hill {
    std::vector<std::uint32_t> top;  // the first row of the hill, for each column
    Colour colour;
  };

  void add_hill(int layer, double hue, Dice& dice) {
    Hill hill{{}, from_hsv(hue, 0.35 + 0.1 * layer, 0.75 - 0.15 * layer)};
    hill.top.reserve(width_);
    const double base = 0.58 + 0.1 * layer;
    const std::array<double, 3> phase{dice.next(), dice.next(), dice.next()};
    const double waves = 1 + 2 * dice.next();
    for (std::uint32_t x = 0; x < width_; ++x) {
      const double t = static_cast<double>(x) / width_;
      double y = base;
      for (std::size_t i = 0; i < phase.size(); ++i) {
        const double frequency = waves * static_cast<double>(1u << i);
        y += 0.06 / static_cast<double>(1u << i) *
             std::sin(2 * std::numbers::pi * (frequency * t + phase[i]));
      }
      hill.top.push_back(static_cast<std::uint32_t>(y * height_));
    }
    hills_.push_back(std::move(hill));
  }

  void put(std::uint8_t* at, Colour colour, std::uint8_t opacity) const {
    at[0] = colour.red;
    at[1] = colour.green;
    at[2] = colour.blue;
    if (alpha_) at[3] = opacity;
  }
  void fill(std::uint8_t* out, std::int64_t from, std::int64_t to, Colour colour,
            std::uint8_t opacity) const {
    from = std::max<std::int64_t>(from, 0);
    to = std::min<std::int64_t>(to, width_);
    for (std::int64_t x = from; x < to; ++x)
      put(out + static_cast<std::size_t>(x) * channels(), colour, opacity);
  }

  std::uint32_t width_;
  std::uint32_t height_;
  bool alpha_;
  bool black_;
  Colour sky_top_, sky_bottom_;
  std::vector<Disc> discs_;
  std::vector<Hill> hills_;  // the farthest first
};

void append_number(std::string& out, std::size_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(number >> shift & 0xFF));
}

void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_number(out, data.size());
  const std::size_t start = out.size();
  out.append(type).append(data);
  const auto* bytes = reinterpret_cast<const Bytef*>(out.data() + start);
  append_number(out, crc32_z(0, bytes, out.size() - start));
}

/// The IDAT data: each row filtered by "up", which turns what stays the same from row to row into
/// zeros.
std::string compress_rows(const Picture& picture) {
  const Painter painter(picture);
  const std::size_t row_bytes = picture.width * painter.channels();
  std::vector<std::uint8_t> above(row_bytes, 0), row(row_bytes), filtered(row_bytes + 1);
  std::string packed;
  std::array<char, 32768> buffer{};
  z_stream stream{};
  if (deflateInit(&stream, 1) != Z_OK) return packed;
  for (std::uint32_t y = 0; y <= picture.height; ++y) {
    const bool last = y == picture.height;
    if (!last) {
      painter.row(y, row.data());
      filtered[0] = 2;
      for (std::size_t i = 0; i < row_bytes; ++i)
        filtered[i + 1] = static_cast<std::uint8_t>(row[i] - above[i]);
      above.swap(row);
    }
    stream.next_in = filtered.data();
    stream.avail_in = last ? 0 : static_cast<uInt>(filtered.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
      packed.append(buffer.data(), buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  deflateEnd(&stream);
  return packed;
}

std::string encode_png(const Picture& picture, std::size_t least_bytes) {
  std::string file("\x89PNG\r\n\x1a\n", 8);
  std::string header;
  append_number(header, picture.width);
  append_number(header, picture.height);
  header += '\x08';                                 // bits a channel
  header += picture.transparent ? '\x06' : '\x02';  // RGBA or RGB
  header.append(3, '\0');
  append_chunk(file, "IHDR", header);
  const std::string rows = compress_rows(picture);
  constexpr std::size_t frame = 12;  // length, type and checksum of a chunk
  const std::size_t whole = file.size() + rows.size() + 2 * frame;
  if (least_bytes >= whole + frame)
    append_chunk(file, "faLs", std::string(least_bytes - whole - frame, '\x55'));
  append_chunk(file, "IDAT", rows);
  append_chunk(file, "IEND", {});
  return file;
}

std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

std::string_view media_type(PictureFormat) noexcept { return "image/png"; }
std::string_view extension(PictureFormat) noexcept { return "png"; }

std::string file_suffix(const Picture& picture) {
  std::string text = std::to_string(picture.width) + "x" + std::to_string(picture.height) + "_" +
                     std::to_string(picture.variant);
  if (picture.transparent) text += 't';
  if (picture.black) text += 'k';
  return text.append(".").append(extension(picture.format));
}

std::optional<Picture> parse_file_suffix(std::string_view suffix) {
  Picture picture;
  const auto width = take_number(suffix);
  if (!width || !take(suffix, "x")) return std::nullopt;
  const auto height = take_number(suffix);
  if (!height || !take(suffix, "_")) return std::nullopt;
  const auto variant = take_number(suffix);
  if (!variant) return std::nullopt;
  picture.transparent = take(suffix, "t");
  picture.black = take(suffix, "k");
  if (!take(suffix, ".") || suffix != extension(picture.format)) return std::nullopt;
  if (*width == 0 || *height == 0 || *width > max_edge || *height > max_edge) return std::nullopt;
  picture.width = *width;
  picture.height = *height;
  picture.variant = *variant;
  return picture;
}

std::string encode(const Picture& picture, std::size_t least_bytes) {
  return encode_png(picture, least_bytes);
}

SharedText PictureCache::get(const Picture& picture) {
  if (const auto found = files_.find(picture); found != files_.end()) return found->second;
  SharedText file = share(encode(picture, least_bytes_));
  bytes_ += file->size();
  files_.emplace(picture, file);
  order_.push_back(picture);
  while (bytes_ > max_bytes_ && order_.size() > 1) {
    const auto oldest = files_.find(order_.front());
    bytes_ -= oldest->second->size();
    files_.erase(oldest);
    order_.pop_front();
  }
  return file;
}

}  // namespace falsim
