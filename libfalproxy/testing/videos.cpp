#include "videos.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <vector>

#include "decimal.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/plain_codecs.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::uint32_t most_frames = 10'000;
constexpr std::uint32_t longest_side = 4096;
// Different pictures of one video; then it begins again.
constexpr std::uint32_t scenes = 4;

const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// The value in the input, or the document's default.
const json* value_of(const Model& model, const json& input, const char* name) {
  if (const json* given = member(input, name)) return given;
  const json* properties = member(model.input(), "properties");
  const json* known = properties == nullptr ? nullptr : member(*properties, name);
  return known == nullptr ? nullptr : member(model.resolve(*known), "default");
}

// 5, "5", "5s"; 0: nothing of the kind.
double number_in(const json* value) {
  if (value == nullptr) return 0;
  if (value->is_number()) return value->get<double>();
  if (!value->is_string()) return 0;
  return number_at_front(value->get_ref<const std::string&>());
}

std::uint32_t even(double side) {
  return std::clamp(static_cast<std::uint32_t>(2 * std::round(side / 2)), 16U, longest_side);
}

void take_size(const Model& model, const json& input, Video& video) {
  if (const json* size = value_of(model, input, "video_size")) {
    if (size->is_object()) {
      video.width = even(number_in(member(*size, "width")));
      video.height = even(number_in(member(*size, "height")));
    } else if (size->is_string()) {
      const bool upright = size->get_ref<const std::string&>().starts_with("portrait");
      video.width = upright ? 576 : 1024;
      video.height = upright ? 1024 : 576;
    }
    return;
  }
  double lines = number_in(value_of(model, input, "resolution"));
  if (lines < 16) lines = 360;
  double width = 16;
  double height = 9;
  if (const json* ratio = value_of(model, input, "aspect_ratio"); ratio && ratio->is_string())
    std::sscanf(ratio->get_ref<const std::string&>().c_str(), "%lf:%lf", &width, &height);
  video.width = even(width < height ? lines : lines * width / height);
  video.height = even(width < height ? lines * height / width : lines);
}

// ---- WebM: EBML (RFC 8794) with the elements of Matroska (RFC 9559).

void put_big(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void put_id(std::string& out, std::uint32_t id) {
  put_big(out, id, (static_cast<int>(std::bit_width(id)) + 7) / 8);
}

std::string element(std::uint32_t id, std::string_view content) {
  std::string out;
  put_id(out, id);
  put_big(out, 0x01'00'00'00'00'00'00'00ULL | content.size(), 8);
  return out.append(content);
}

std::string number(std::uint32_t id, std::uint64_t value) {
  std::string content;
  put_big(content, value, 8);
  return element(id, content);
}

std::string real(std::uint32_t id, double value) {
  std::string content;
  put_big(content, std::bit_cast<std::uint64_t>(value), 8);
  return element(id, content);
}

// The frame of a lossy WebP file: what its chunk "VP8 " holds.
std::string key_frame(std::string_view webp) {
  const std::size_t at = webp.find("VP8 ");
  if (at == std::string_view::npos || at + 8 > webp.size()) return {};
  std::uint32_t size = 0;
  for (int i = 3; i >= 0; --i)
    size = size << 8 | static_cast<unsigned char>(webp[at + 4 + static_cast<std::size_t>(i)]);
  return std::string(webp.substr(at + 8, size));
}

std::vector<std::string> frames_of(const Video& video,
                                   const std::function<Body(const Picture&)>& webp_of) {
  if (!webp_of) {
    constexpr std::string_view one_pixel =
        "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA";
    return {key_frame(*PlainCodecs().decode_base64(one_pixel))};
  }
  std::vector<std::string> frames;
  for (std::uint32_t scene = 0; scene < std::min(scenes, video.frames); ++scene) {
    const Picture picture{.width = video.width,
                          .height = video.height,
                          .format = PictureFormat::webp,
                          .variant = video.variant + scene};
    frames.push_back(key_frame(webp_of(picture).str()));
  }
  return frames;
}

std::string head_of(const Video& video, bool in_own_size) {
  const std::uint64_t width = in_own_size ? video.width : 1;
  const std::uint64_t height = in_own_size ? video.height : 1;
  const std::string ebml = number(0x4286, 1) + number(0x42F7, 1) + number(0x42F2, 4) +
                           number(0x42F3, 8) + element(0x4282, "webm") + number(0x4287, 2) +
                           number(0x4285, 2);
  const std::string info = number(0x2AD7B1, 1'000'000) + real(0x4489, video.seconds() * 1000) +
                           element(0x4D80, "falsim") + element(0x5741, "falsim");
  const std::string picture = number(0xB0, width) + number(0xBA, height) +
                              number(0x54B0, video.width) + number(0x54BA, video.height);
  const std::string track = number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) +
                            element(0x86, "V_VP8") + element(0xE0, picture);
  return element(0x1A45DFA3, ebml) + "\x18\x53\x80\x67\x01" + std::string(7, '\xFF') +
         element(0x1549A966, info) + element(0x1654AE6B, element(0xAE, track));
}

}  // namespace

std::string encode(const Video& video, const std::function<Body(const Picture&)>& webp_of) {
  const std::vector<std::string> frames = frames_of(video, webp_of);
  std::string file = head_of(video, static_cast<bool>(webp_of));
  // A cluster for each second.
  for (std::uint32_t first = 0; first < video.frames; first += video.rate) {
    const std::uint64_t begin = std::uint64_t{first} * 1000 / video.rate;
    std::string cluster = number(0xE7, begin);
    const std::uint32_t end = std::min(video.frames, first + video.rate);
    for (std::uint32_t frame = first; frame < end; ++frame) {
      std::string block = "\x81";
      put_big(block, std::uint64_t{frame} * 1000 / video.rate - begin, 2);
      block += '\x80';
      // Each scene is seen for half a second.
      const std::size_t scene = std::size_t{frame} * 2 / video.rate % frames.size();
      cluster += element(0xA3, block + frames[scene]);
    }
    file += element(0x1F43B675, cluster);
  }
  return file;
}

std::string file_suffix(const Video& video) {
  return std::to_string(video.width) + "x" + std::to_string(video.height) + "_" +
         std::to_string(video.rate) + "fps_" + std::to_string(video.frames) + "f_" +
         std::to_string(video.variant) + ".webm";
}

std::optional<Video> parse_video_suffix(std::string_view suffix) {
  Video video;
  int read = 0;
  const std::string text(suffix);
  const int found = std::sscanf(text.c_str(), "%ux%u_%ufps_%uf_%u.webm%n", &video.width,
                                &video.height, &video.rate, &video.frames, &video.variant, &read);
  const bool fits = found == 5 && static_cast<std::size_t>(read) == text.size() &&
                    video.width >= 1 && video.width <= longest_side && video.height >= 1 &&
                    video.height <= longest_side && video.rate >= 1 && video.rate <= 1000 &&
                    video.frames >= 1 && video.frames <= most_frames && video.variant < 1000;
  return fits ? std::optional(video) : std::nullopt;
}

std::optional<Video> plan_video(const Model& model, const json& input) {
  const json* outputs = member(model.output(), "properties");
  if (outputs == nullptr || member(*outputs, "video") == nullptr) return std::nullopt;
  Video video;
  take_size(model, input, video);
  for (const char* name : {"frames_per_second", "fps", "frame_rate", "export_fps"}) {
    if (const double rate = number_in(value_of(model, input, name)); rate >= 1)
      video.rate = static_cast<std::uint32_t>(rate);
  }
  double frames = number_in(value_of(model, input, "num_frames"));
  if (frames < 1) frames = number_in(value_of(model, input, "number_of_frames"));
  const double seconds = number_in(value_of(model, input, "duration"));
  if (frames >= 1) {
    video.frames = static_cast<std::uint32_t>(frames);
  } else if (seconds > 0) {
    video.frames = static_cast<std::uint32_t>(seconds * video.rate);
  }
  video.frames = std::clamp(video.frames, 1U, most_frames);
  if (const json* prompt = member(input, "prompt"); prompt != nullptr && prompt->is_string()) {
    for (const char c : prompt->get_ref<const std::string&>())
      video.variant = (video.variant * 31 + static_cast<unsigned char>(c)) % 32;
  }
  return video;
}

json write_video(const Video& video, const std::string& address, std::int64_t seed) {
  return {{"video",
           {{"url", address},
            {"content_type", video_type},
            {"file_name", "video.webm"},
            {"width", video.width},
            {"height", video.height},
            {"fps", video.rate},
            {"duration", video.seconds()},
            {"num_frames", video.frames}}},
          {"seed", seed}};
}

}  // namespace falproxy::inline v0::testing
