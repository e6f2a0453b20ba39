#include "png/png_stream.hpp"

#include <csetjmp>
#include <cstring>
#include <exception>

namespace falproxy::inline v0::png {
namespace {

// The least level: a mask is flat, and it is written while a client waits.
constexpr int compression_level = 1;
constexpr png_byte transparency_chunk[] = "tRNS";
constexpr png_byte exif_chunk[] = "eXIf";

[[noreturn]] void fail(png_structp png, png_const_charp /*words*/) { png_longjmp(png, 1); }
void ignore(png_structp /*png*/, png_const_charp /*words*/) {}

}  // namespace

// ---- Reader

Reader::Reader(std::string_view file)
    : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, ignore)),
      info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)),
      rest_(file) {}

Reader::~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

bool Reader::open() noexcept {
  if (info_ == nullptr || setjmp(png_jmpbuf(png_)) != 0) return false;
  png_set_read_fn(png_, this, take);
  // Text and colour profiles can be bombs of their own, and nobody asks for them.
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_AS_DEFAULT, transparency_chunk, 1);
  png_read_info(png_, info_);
  return true;
}

std::uint32_t Reader::width() const noexcept { return png_get_image_width(png_, info_); }
std::uint32_t Reader::height() const noexcept { return png_get_image_height(png_, info_); }
bool Reader::has_alpha() const noexcept {
  return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
         png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
}
bool Reader::is_interlaced() const noexcept {
  return png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE;
}

bool Reader::begin() noexcept {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  constexpr int silently = 1;
  constexpr double usual_weight = -1;
  const bool colours = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0;
  if (!has_alpha()) png_set_add_alpha(png_, 0xff, PNG_FILLER_AFTER);
  png_set_expand(png_);
  png_set_scale_16(png_);
  if (colours) png_set_rgb_to_gray(png_, silently, usual_weight, usual_weight);
  passes_ = png_set_interlace_handling(png_);
  png_read_update_info(png_, info_);
  return png_get_rowbytes(png_, info_) == width() * sizeof(Pixel);
}

bool Reader::read(Pixel* row) noexcept {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_read_row(png_, reinterpret_cast<png_bytep>(row), nullptr);
  return true;
}

bool Reader::has_seen_colour() const noexcept { return png_get_rgb_to_gray_status(png_) != 0; }

void Reader::take(png_structp png, png_bytep to, png_size_t size) {
  std::string_view& rest = static_cast<Reader*>(png_get_io_ptr(png))->rest_;
  if (rest.size() < size) png_error(png, "the file ends too early");
  std::memcpy(to, rest.data(), size);
  rest.remove_prefix(size);
}

// ---- Writer

Writer::Writer(CountedText& out)
    : png_(png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, ignore)),
      info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)),
      out_(out) {}

Writer::~Writer() { png_destroy_write_struct(&png_, &info_); }

bool Writer::begin(std::uint32_t width, std::uint32_t height, bool with_alpha,
                   std::string_view exif) noexcept {
  if (info_ == nullptr || setjmp(png_jmpbuf(png_)) != 0) return false;
  constexpr int bits = 8;
  png_set_write_fn(png_, this, put, nullptr);
  png_set_compression_level(png_, compression_level);
  png_set_filter(png_, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
  png_set_IHDR(png_, info_, width, height, bits,
               with_alpha ? PNG_COLOR_TYPE_GRAY_ALPHA : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png_, info_);
  if (!exif.empty())
    png_write_chunk(png_, exif_chunk, reinterpret_cast<png_const_bytep>(exif.data()), exif.size());
  return true;
}

bool Writer::write(const std::uint8_t* row) noexcept {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_write_row(png_, row);
  return true;
}

bool Writer::end() noexcept {
  if (setjmp(png_jmpbuf(png_)) != 0) return false;
  png_write_end(png_, nullptr);
  return true;
}

void Writer::put(png_structp png, png_bytep bytes, png_size_t size) {
  Writer& self = *static_cast<Writer*>(png_get_io_ptr(png));
  if (!self.append({reinterpret_cast<const char*>(bytes), size}))
    png_error(png, "there is no memory left");
}

bool Writer::append(std::string_view bytes) noexcept {
  try {
    out_of_memory_ = !out_.append(bytes);
  } catch (const std::exception&) {
    out_of_memory_ = true;
  }
  return !out_of_memory_;
}

}  // namespace falproxy::inline v0::png
