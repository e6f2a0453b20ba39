// How long a sound plays, as far as its head, its tail or the sizes of its frames tell.

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "falproxy/body_source.hpp"
#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"
#include "media/bytes.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

// Of a head that something is looked for in, or of a tail.
constexpr std::size_t some = 64u << 10;
// More boxes of an MP4 than any program writes side by side.
constexpr int most_boxes = 64;

struct File {
  std::string_view beginning;
  const BodySource* rest;

  [[nodiscard]] std::uint64_t size() const noexcept {
    return rest == nullptr ? beginning.size() : rest->size();
  }
  [[nodiscard]] std::string read(std::uint64_t from, std::size_t most) const {
    if (from >= size()) return {};
    if (rest != nullptr && from + most > beginning.size()) return rest->read(from, most);
    return std::string(beginning.substr(static_cast<std::size_t>(from), most));
  }
};

std::uint64_t big64(std::string_view bytes, std::size_t at) noexcept {
  return std::uint64_t{big32(bytes, at)} << 32 | big32(bytes, at + 4);
}
std::uint64_t little64(std::string_view bytes, std::size_t at) noexcept {
  return std::uint64_t{little32(bytes, at + 4)} << 32 | little32(bytes, at);
}

// ---- MPEG audio: ISO/IEC 11172-3 and 13818-3, 2.4.2.3

struct Frame {
  std::uint32_t rate = 0;     // samples in a second
  std::uint32_t samples = 0;  // of one channel
  std::uint32_t size = 0;     // bytes
  std::size_t side = 0;       // bytes before a table in it
};

std::optional<Frame> frame_at(std::string_view bytes, std::size_t at) noexcept {
  constexpr std::array<std::array<std::uint16_t, 14>, 5> bit_rates = {{
      {32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},  // MPEG-1, I
      {32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},     // MPEG-1, II
      {32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},      // MPEG-1, III
      {32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},     // MPEG-2, I
      {8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},          // MPEG-2, II and III
  }};
  constexpr std::array<std::uint32_t, 3> rates = {44100, 48000, 32000};
  if (at + 4 > bytes.size() || sniff_sound(bytes.substr(at, 4)) != SoundType::mp3)
    return std::nullopt;
  const std::uint32_t second = byte(bytes, at + 1);
  const std::uint32_t third = byte(bytes, at + 2);
  const std::uint32_t version = second >> 3 & 3;  // 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
  const std::uint32_t layer = 4 - (second >> 1 & 3);
  const std::uint32_t bit_rate = third >> 4;
  if (bit_rate == 0) return std::nullopt;
  const bool first = version == 3;
  const std::uint32_t row = first ? layer - 1 : layer == 1 ? 3 : 4;
  Frame frame{.rate = rates.at(third >> 2 & 3) >> (first ? 0 : version == 2 ? 1 : 2)};
  frame.samples = layer == 1 ? 384 : layer == 3 && !first ? 576 : 1152;
  const std::uint32_t slot = layer == 1 ? 4 : 1;
  const std::uint32_t bits_a_second = bit_rates.at(row).at(bit_rate - 1) * 1000U;
  frame.size = (frame.samples / 8 / slot * bits_a_second / frame.rate + (third >> 1 & 1)) * slot;
  const bool mono = byte(bytes, at + 3) >> 6 == 3;
  frame.side = 4 + (first ? (mono ? 17U : 32U) : (mono ? 9U : 17U));
  return frame.size < 4 ? std::nullopt : std::optional(frame);
}

// The number of frames that a table in the first one tells; 0: there is none.
std::uint32_t frames_told(std::string_view bytes, const Frame& frame) noexcept {
  if (bytes.size() < frame.side + 12) return 0;
  const std::string_view word = bytes.substr(frame.side, 4);
  if (word == "Xing" || word == "Info")
    return (byte(bytes, frame.side + 7) & 1) != 0 ? big32(bytes, frame.side + 8) : 0;
  constexpr std::size_t fraunhofers = 36;
  const bool vbri = bytes.size() >= fraunhofers + 18 && bytes.substr(fraunhofers, 4) == "VBRI";
  return vbri ? big32(bytes, fraunhofers + 14) : 0;
}

std::optional<double> mp3_seconds(const File& file) {
  const std::string head = file.read(0, 10);
  std::uint64_t begin = 0;
  if (head.starts_with("ID3") && head.size() == 10) {
    begin = 10;
    for (std::size_t i = 0; i < 4; ++i)
      begin += std::uint64_t{byte(head, 6 + i) & 0x7F} << (21 - 7 * i);
  }
  const std::string bytes = file.read(begin, some);
  const std::optional<Frame> first = frame_at(bytes, 0);
  if (!first) return std::nullopt;
  const std::uint64_t all = file.size();
  const bool tagged = all > 128 && file.read(all - 128, 3) == "TAG";
  const std::uint64_t end = tagged ? all - 128 : all;
  if (end <= begin) return std::nullopt;
  const auto size = static_cast<double>(end - begin);
  if (const std::uint32_t told = frames_told(bytes, *first); told > 0) {
    constexpr double most_bits_a_second = 448'000;
    return std::max(static_cast<double>(told) * first->samples / first->rate,
                    8 * size / most_bits_a_second);
  }
  // The frames that are looked at stand for all of them.
  double seconds = 0;
  std::size_t at = 0;
  while (const std::optional<Frame> frame = frame_at(bytes, at)) {
    seconds += static_cast<double>(frame->samples) / frame->rate;
    at += frame->size;
  }
  return seconds * size / static_cast<double>(at);
}

// ---- FLAC: RFC 9639, 8.2

std::optional<double> flac_seconds(const File& file) {
  const std::string bytes = file.read(0, 26);
  if (bytes.size() < 26 || (byte(bytes, 4) & 0x7F) != 0) return std::nullopt;
  const std::uint32_t rate = big32(bytes, 18) >> 12;
  const std::uint64_t samples = std::uint64_t{byte(bytes, 21) & 15} << 32 | big32(bytes, 22);
  if (rate == 0 || samples == 0) return std::nullopt;
  return static_cast<double>(samples) / rate;
}

// ---- Ogg: RFC 3533, 6; RFC 7845, 5.1

std::optional<double> ogg_seconds(const File& file) {
  const std::string head = file.read(0, 256);
  double rate = 0;
  std::uint64_t skipped = 0;
  if (const std::size_t opus = head.find("OpusHead"); opus != std::string::npos) {
    if (opus + 12 > head.size()) return std::nullopt;
    rate = 48000;
    skipped = little16(head, opus + 10);
  } else if (const std::size_t vorbis = head.find("\1vorbis"); vorbis != std::string::npos) {
    if (vorbis + 16 > head.size()) return std::nullopt;
    rate = little32(head, vorbis + 12);
  }
  const std::string tail =
      file.read(file.size() - std::min<std::uint64_t>(some, file.size()), some);
  for (std::size_t at = tail.rfind("OggS"); at != std::string::npos;
       at = at == 0 ? std::string::npos : tail.rfind("OggS", at - 1)) {
    if (at + 14 > tail.size()) continue;
    const std::uint64_t samples = little64(tail, at + 6);
    if (samples == UINT64_MAX) continue;  // no packet ends on it
    return rate > 0 && samples > skipped
               ? std::optional(static_cast<double>(samples - skipped) / rate)
               : std::nullopt;
  }
  return std::nullopt;
}

// ---- MP4: ISO/IEC 14496-12, 4.2 and 8.2.2

std::optional<double> mp4_seconds(const File& file) {
  std::uint64_t at = 0;
  for (int boxes = 0; boxes < most_boxes; ++boxes) {
    const std::string head = file.read(at, 48);
    if (head.size() < 8) return std::nullopt;
    std::uint64_t size = big32(head, 0);
    std::size_t inner = 8;
    if (size == 1 && head.size() >= 16) {
      size = big64(head, 8);
      inner = 16;
    }
    const std::string_view kind = std::string_view(head).substr(4, 4);
    if (kind == "mvhd") {
      if (head.size() < inner + 32) return std::nullopt;
      const bool is_long = byte(head, inner) == 1;
      const std::uint32_t units = big32(head, inner + (is_long ? 20 : 12));
      const std::uint64_t length = is_long ? big64(head, inner + 24) : big32(head, inner + 16);
      const bool known = length > 0 && length != (is_long ? UINT64_MAX : UINT32_MAX);
      if (units == 0 || !known) return std::nullopt;
      return static_cast<double>(length) / units;
    }
    // What is told of the whole film stands within one box.
    if (kind == "moov") size = inner;
    if (size < inner || size > file.size() - at) return std::nullopt;
    at += size;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> sound_seconds(std::string_view beginning, const BodySource* whole) {
  const File file{beginning, whole};
  std::optional<double> seconds;
  switch (sniff_sound(beginning).value_or(SoundType::webm)) {
    case SoundType::wav:
      seconds = wav_seconds(beginning, file.size());
      break;
    case SoundType::mp3:
      seconds = mp3_seconds(file);
      break;
    case SoundType::flac:
      seconds = flac_seconds(file);
      break;
    case SoundType::opus:
    case SoundType::ogg:
      seconds = ogg_seconds(file);
      break;
    case SoundType::mp4:
      seconds = mp4_seconds(file);
      break;
    case SoundType::aac:
    case SoundType::webm:  // what programs record has no length, since it is not over yet
      break;
  }
  constexpr double longest = 1e7;  // four months: the head is wrong
  return seconds && *seconds <= longest ? seconds : std::nullopt;
}

}  // namespace falproxy::inline v0::media
