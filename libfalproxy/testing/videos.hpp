// videos.hpp: the videos of a FalDesk: WebM files (VP8) that browsers play.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "documents.hpp"
#include "falproxy/http.hpp"
#include "falproxy/picture_encoder.hpp"

namespace falproxy::inline v0::testing {

/// One video, told rather than drawn.
struct Video {
  std::uint32_t width = 1280;  ///< in pixels
  std::uint32_t height = 720;  ///< in pixels
  std::uint32_t frames = 120;  ///< at least 1
  std::uint32_t rate = 24;     ///< frames in a second
  std::uint32_t variant = 0;   ///< what there is to see
  [[nodiscard]] double seconds() const noexcept { return static_cast<double>(frames) / rate; }
};

inline constexpr std::string_view video_type = "video/webm";

/// A whole file. `webp_of` makes lossy WebP files, whose one frame is a VP8 key frame; empty: every
/// frame is one grey pixel, shown in the video's size.
[[nodiscard]] std::string encode(const Video& video,
                                 const std::function<Body(const Picture&)>& webp_of);

/// The end of a media address, such as `1280x720_24fps_120f_17.webm`, and back.
[[nodiscard]] std::string file_suffix(const Video& video);
[[nodiscard]] std::optional<Video> parse_video_suffix(std::string_view suffix);

/// What a model of videos makes of `input`; none: it makes none.
[[nodiscard]] std::optional<Video> plan_video(const Model& model, const nlohmann::json& input);
/// The result of such a model.
[[nodiscard]] nlohmann::json write_video(const Video& video, const std::string& address,
                                         std::int64_t seed);

}  // namespace falproxy::inline v0::testing
