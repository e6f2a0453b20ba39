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

#include "falproxy/http.hpp"
#include "falproxy/picture_encoder.hpp"

namespace falproxy::inline v0::testing {

[[nodiscard]] std::string_view media_type(PictureFormat format) noexcept;
[[nodiscard]] std::string_view extension(PictureFormat format) noexcept;
/// By fal's word for it: "png", "jpeg", "jpg", "webp"; png for all else.
[[nodiscard]] PictureFormat format_named(std::string_view word) noexcept;

/// The end of a media address, such as `1024x768_17.png`, and back. A picture need not be kept to
/// be served.
[[nodiscard]] std::string file_suffix(const Picture& picture);
[[nodiscard]] std::optional<Picture> parse_file_suffix(std::string_view suffix);

/// Encodes each picture once, as long as there is room.
class PictureCache {
 public:
  /// A smaller PNG is padded to `least_bytes`. `encoder` outlives the cache.
  PictureCache(const PictureEncoder& encoder, std::size_t least_bytes, std::size_t max_bytes)
      : encoder_(encoder), least_bytes_(least_bytes), max_bytes_(max_bytes) {}
  [[nodiscard]] bool makes(PictureFormat format) const { return encoder_.makes(format); }
  [[nodiscard]] Body get(const Picture& picture);

 private:
  const PictureEncoder& encoder_;
  std::size_t least_bytes_;
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::map<Picture, Body> files_;
  std::list<Picture> order_;  // oldest first
};

}  // namespace falproxy::inline v0::testing
