#include "pictures.hpp"

#include <charconv>

namespace falproxy::inline v0::testing {
namespace {

constexpr std::uint32_t max_edge = 14142;  // fal's own limit

struct FormatRow {
  PictureFormat format;
  std::string_view word;  // also the extension
  std::string_view media_type;
};
constexpr FormatRow formats[] = {
    {PictureFormat::png, "png", "image/png"},
    {PictureFormat::jpeg, "jpeg", "image/jpeg"},
    {PictureFormat::webp, "webp", "image/webp"},
};
constexpr const FormatRow& row_of(PictureFormat format) {
  return formats[static_cast<std::size_t>(format)];
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

std::string_view media_type(PictureFormat format) noexcept { return row_of(format).media_type; }
std::string_view extension(PictureFormat format) noexcept { return row_of(format).word; }

PictureFormat format_named(std::string_view word) noexcept {
  if (word == "jpg") return PictureFormat::jpeg;
  for (const FormatRow& row : formats) {
    if (row.word == word) return row.format;
  }
  return PictureFormat::png;
}

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
  if (!take(suffix, ".")) return std::nullopt;
  picture.format = format_named(suffix);
  if (suffix != extension(picture.format)) return std::nullopt;
  if (*width == 0 || *height == 0 || *width > max_edge || *height > max_edge) return std::nullopt;
  picture.width = *width;
  picture.height = *height;
  picture.variant = *variant;
  return picture;
}

Body PictureCache::get(const Picture& picture) {
  if (const auto found = files_.find(picture); found != files_.end()) return found->second;
  std::string bytes = encoder_.encode(picture);
  if (picture.format == PictureFormat::png) bytes = pad_png(std::move(bytes), least_bytes_);
  Body file(std::move(bytes));
  bytes_ += file.size();
  files_.emplace(picture, file);
  order_.push_back(picture);
  while (bytes_ > max_bytes_ && order_.size() > 1) {
    const auto oldest = files_.find(order_.front());
    bytes_ -= oldest->second.size();
    files_.erase(oldest);
    order_.pop_front();
  }
  return file;
}

}  // namespace falproxy::inline v0::testing
