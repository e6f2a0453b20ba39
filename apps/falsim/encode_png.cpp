#include <zlib.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "encoders.hpp"
#include "painter.hpp"

namespace falsim {
namespace {

void append_number(std::string& out, std::size_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift & 0xFF));
  }
}

void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_number(out, data.size());
  const std::size_t start = out.size();
  out.append(type).append(data);
  const auto* bytes = reinterpret_cast<const Bytef*>(out.data() + start);
  append_number(out, crc32_z(0, bytes, out.size() - start));
}

class Deflater {
 public:
  Deflater() { deflateInit(&stream_, 1); }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  void add(std::vector<std::uint8_t>& bytes) { run(bytes.data(), bytes.size(), Z_NO_FLUSH); }
  [[nodiscard]] std::string finish() {
    run(nullptr, 0, Z_FINISH);
    return std::move(packed_);
  }

 private:
  void run(std::uint8_t* bytes, std::size_t size, int flush) {
    stream_.next_in = bytes;
    stream_.avail_in = static_cast<uInt>(size);
    do {
      stream_.next_out = buffer_.data();
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      deflate(&stream_, flush);
      packed_.append(reinterpret_cast<const char*>(buffer_.data()),
                     buffer_.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }
  z_stream stream_{};
  std::array<Bytef, 32768> buffer_{};
  std::string packed_;
};

/// Each row filtered by "up", which turns what stays the same from row to row into zeros.
std::string compress_rows(const Picture& picture) {
  const Painter painter(picture);
  const std::size_t channels = picture.transparent ? 4 : 3;
  std::vector<Pixel> row(picture.width), above(picture.width, 0);
  std::vector<std::uint8_t> filtered(picture.width * channels + 1);
  Deflater deflater;
  filtered[0] = 2;
  for (std::uint32_t y = 0; y < picture.height; ++y) {
    painter.paint(y, row);
    std::uint8_t* out = filtered.data() + 1;
    for (std::size_t x = 0; x < row.size(); ++x, out += channels) {
      out[0] = static_cast<std::uint8_t>(red(row[x]) - red(above[x]));
      out[1] = static_cast<std::uint8_t>(green(row[x]) - green(above[x]));
      out[2] = static_cast<std::uint8_t>(blue(row[x]) - blue(above[x]));
      if (channels == 4) out[3] = static_cast<std::uint8_t>(opacity(row[x]) - opacity(above[x]));
    }
    deflater.add(filtered);
    row.swap(above);
  }
  return deflater.finish();
}

}  // namespace

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
  if (least_bytes >= whole + frame) {
    append_chunk(file, "faLs", std::string(least_bytes - whole - frame, '\x55'));
  }
  append_chunk(file, "IDAT", rows);
  append_chunk(file, "IEND", {});
  return file;
}

}  // namespace falsim
