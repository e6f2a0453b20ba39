// Baseline JPEG (ITU-T T.81) without the tables of its annex K: a quantisation that grows with the
// frequency, and Huffman codes that favour the two commonest symbols, do for pictures of hills.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "encoders.hpp"
#include "painter.hpp"

namespace falsim {
namespace {

using Block = std::array<float, 64>;

constexpr std::array<std::uint8_t, 64> zigzag = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

constexpr int step(std::size_t index) { return 2 + 2 * static_cast<int>(index / 8 + index % 8); }

/// A code as T.81 writes it: how many codes there are of each length, and the symbols in order.
struct Code {
  std::array<std::uint8_t, 16> counts{};
  std::vector<std::uint8_t> symbols;
  std::array<std::uint16_t, 256> bits{};
  std::array<std::uint8_t, 256> lengths{};

  void assign() {
    std::uint16_t next = 0;
    std::size_t at = 0;
    for (std::size_t length = 1; length <= 16;
         ++length, next = static_cast<std::uint16_t>(next << 1)) {
      for (int i = 0; i < counts[length - 1]; ++i, ++at, ++next) {
        bits[symbols[at]] = next;
        lengths[symbols[at]] = static_cast<std::uint8_t>(length);
      }
    }
  }
};

Code make_dc_code() {
  Code code;
  for (std::uint8_t size = 0; size < 12; ++size) code.symbols.push_back(size);
  code.counts[3] = 12;
  code.assign();
  return code;
}

Code make_ac_code() {
  Code code;
  code.symbols = {0x00, 0x01};  // the end of a block, and a small number right away
  code.counts[1] = 1;
  code.counts[2] = 1;
  for (int run = 0; run < 16; ++run) {
    for (int size = 1; size <= 10; ++size) {
      if (run > 0 || size > 1) code.symbols.push_back(static_cast<std::uint8_t>(run << 4 | size));
    }
  }
  code.symbols.push_back(0xF0);  // sixteen zeros
  code.counts[8] = static_cast<std::uint8_t>(code.symbols.size() - 2);
  code.assign();
  return code;
}

class Writer {
 public:
  void marker(std::uint8_t code) { byte(0xFF), byte(code); }
  void segment(std::uint8_t code, const std::vector<std::uint8_t>& data) {
    marker(code);
    number(data.size() + 2);
    for (const std::uint8_t value : data) byte(value);
  }
  void put(std::uint32_t value, int count) {
    pending_ = pending_ << count | (value & ((1u << count) - 1));
    for (pending_count_ += count; pending_count_ >= 8; pending_count_ -= 8) {
      const auto out = static_cast<std::uint8_t>(pending_ >> (pending_count_ - 8));
      byte(out);
      if (out == 0xFF) byte(0);
    }
  }
  [[nodiscard]] std::string finish() {
    if (pending_count_ > 0) put(0x7F, 8 - pending_count_);
    marker(0xD9);
    return std::move(file_);
  }

 private:
  void byte(std::uint8_t value) { file_.push_back(static_cast<char>(value)); }
  void number(std::size_t value) {
    byte(static_cast<std::uint8_t>(value >> 8));
    byte(static_cast<std::uint8_t>(value));
  }
  std::string file_;
  std::uint64_t pending_ = 0;
  int pending_count_ = 0;
};

/// The two-dimensional DCT, rows first.
void transform(Block& block) {
  static const Block basis = [] {
    Block table{};
    for (std::size_t u = 0; u < 8; ++u) {
      const double scale = u == 0 ? std::sqrt(0.125) : 0.5;
      for (std::size_t x = 0; x < 8; ++x) {
        const double angle = static_cast<double>((2 * x + 1) * u) * std::numbers::pi / 16;
        table[u * 8 + x] = static_cast<float>(scale * std::cos(angle));
      }
    }
    return table;
  }();
  Block rows{};
  for (std::size_t y = 0; y < 8; ++y) {
    for (std::size_t u = 0; u < 8; ++u) {
      for (std::size_t x = 0; x < 8; ++x) rows[y * 8 + u] += block[y * 8 + x] * basis[u * 8 + x];
    }
  }
  block.fill(0);
  for (std::size_t v = 0; v < 8; ++v) {
    for (std::size_t y = 0; y < 8; ++y) {
      for (std::size_t u = 0; u < 8; ++u) block[v * 8 + u] += rows[y * 8 + u] * basis[v * 8 + y];
    }
  }
}

int bit_size(int value) {
  int size = 0;
  for (unsigned left = static_cast<unsigned>(std::abs(value)); left > 0; left >>= 1) ++size;
  return size;
}

class Encoder {
 public:
  explicit Encoder(const Picture& picture) : picture_(picture), painter_(picture) {}

  [[nodiscard]] std::string encode() {
    write_head();
    const std::uint32_t padded = (picture_.width + 7) / 8 * 8;
    std::vector<Pixel> rows(std::size_t{8} * padded);
    for (std::uint32_t y = 0; y < picture_.height; y += 8) {
      for (std::uint32_t i = 0; i < 8; ++i) {
        const std::span<Pixel> row(rows.data() + std::size_t{i} * padded, padded);
        painter_.paint(std::min(y + i, picture_.height - 1), row.first(picture_.width));
        std::ranges::fill(row.subspan(picture_.width), row[picture_.width - 1]);
      }
      for (std::uint32_t x = 0; x < padded; x += 8) write_square(rows.data() + x, padded);
    }
    return writer_.finish();
  }

 private:
  void write_head() {
    const auto high = [](std::uint32_t value) { return static_cast<std::uint8_t>(value >> 8); };
    const auto low = [](std::uint32_t value) { return static_cast<std::uint8_t>(value); };
    writer_.marker(0xD8);
    writer_.segment(0xE0, {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0});
    std::vector<std::uint8_t> steps = {0};
    for (const std::uint8_t index : zigzag) steps.push_back(static_cast<std::uint8_t>(step(index)));
    writer_.segment(0xDB, steps);
    writer_.segment(0xC0, {8, high(picture_.height), low(picture_.height), high(picture_.width),
                           low(picture_.width), 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0});
    write_code(0x00, dc_);
    write_code(0x10, ac_);
    writer_.segment(0xDA, {3, 1, 0, 2, 0, 3, 0, 0, 63, 0});
  }

  void write_code(std::uint8_t name, const Code& code) {
    std::vector<std::uint8_t> table = {name};
    table.insert(table.end(), code.counts.begin(), code.counts.end());
    table.insert(table.end(), code.symbols.begin(), code.symbols.end());
    writer_.segment(0xC4, table);
  }

  void write_square(const Pixel* corner, std::size_t stride) {
    std::array<Block, 3> blocks{};
    bool flat = true;
    for (std::size_t i = 0; i < 64; ++i) {
      const Pixel pixel = corner[i / 8 * stride + i % 8];
      flat = flat && pixel == *corner;
      const float r = red(pixel), g = green(pixel), b = blue(pixel);
      blocks[0][i] = 0.299f * r + 0.587f * g + 0.114f * b - 128;
      blocks[1][i] = -0.168736f * r - 0.331264f * g + 0.5f * b;
      blocks[2][i] = 0.5f * r - 0.418688f * g - 0.081312f * b;
    }
    for (std::size_t component = 0; component < 3; ++component) {
      Block& block = blocks[component];
      if (flat) {
        const float mean = block[0];
        block.fill(0);
        block[0] = 8 * mean;
      } else {
        transform(block);
      }
      write_block(block, last_[component]);
    }
  }

  void write_block(const Block& block, int& last) {
    const auto quantised = [&](std::size_t i) {
      return static_cast<int>(std::lround(block[i] / static_cast<float>(step(i))));
    };
    const int dc = quantised(0);
    write_value(dc_, 0, dc - last);
    last = dc;
    int zeros = 0;
    for (std::size_t i = 1; i < 64; ++i) {
      const int value = quantised(zigzag[i]);
      if (value == 0) {
        ++zeros;
        continue;
      }
      for (; zeros > 15; zeros -= 16) writer_.put(ac_.bits[0xF0], ac_.lengths[0xF0]);
      write_value(ac_, zeros, value);
      zeros = 0;
    }
    if (zeros > 0) writer_.put(ac_.bits[0], ac_.lengths[0]);
  }

  void write_value(const Code& code, int run, int value) {
    const int size = bit_size(value);
    const auto symbol = static_cast<std::size_t>(run << 4 | size);
    writer_.put(code.bits[symbol], code.lengths[symbol]);
    if (size > 0) writer_.put(static_cast<std::uint32_t>(value < 0 ? value - 1 : value), size);
  }

  const Picture& picture_;
  Painter painter_;
  Writer writer_;
  Code dc_ = make_dc_code();
  Code ac_ = make_ac_code();
  std::array<int, 3> last_{};
};

}  // namespace

std::string encode_jpeg(const Picture& picture) { return Encoder(picture).encode(); }

}  // namespace falsim
