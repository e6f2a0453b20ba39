// pictures.hpp: which pictures there are, what their files are called, and the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http_message.hpp"

namespace falsim {

enum class PictureFormat { png, jpeg, webp };
[[nodiscard]] std::string_view media_type(PictureFormat format) noexcept;
[[nodiscard]] std::string_view extension(PictureFormat format) noexcept;
/// By fal's word for it: "png", "jpeg", "jpg", "webp"; png for all else.
[[nodiscard]] PictureFormat format_named(std::string_view word) noexcept;

struct Picture {
  std::uint32_t width = 1024;
  std::uint32_t height = 1024;
  PictureFormat format = PictureFormat::png;
  std::uint32_t variant = 0;  ///< what there is to see
  bool transparent = false;   ///< without a sky
  bool black = false;         ///< what fal gives where the content was flagged
  auto operator<=>(const Picture&) const = default;
};

/// The end of a media address, such as `1024x768_17.png`, and back. A picture need not be kept to
/// be served.
[[nodiscard]] std::string file_suffix(const Picture& picture);
[[nodiscard]] std::optional<Picture> parse_file_suffix(std::string_view suffix);

/// The file. `least_bytes`: a smaller PNG is padded to exactly that, by a chunk that every reader
/// skips.
[[nodiscard]] std::string encode(const Picture& picture, std::size_t least_bytes);

/// Encodes each picture once, as long as there is room.
class PictureCache {
 public:
  PictureCache(std::size_t least_bytes, std::size_t max_bytes)
      : least_bytes_(least_bytes), max_bytes_(max_bytes) {}
  [[nodiscard]] SharedText get(const Picture& picture);

 private:
  std::size_t least_bytes_;
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::map<Picture, SharedText> files_;
  std::list<Picture> order_;  // oldest first
};

}  // namespace falsim
