// Kinds of sound, told by their bytes.
#include <algorithm>

#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "media/bytes.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

struct SoundRow {
  SoundType type;
  std::string_view name;
  std::string_view mime;
  std::string_view endings;  // other names that are in use, each between blanks
  std::string_view mimes;    // other content types that are in use
};
constexpr SoundRow sound_rows[] = {
    {SoundType::mp3, "mp3", "audio/mpeg", " mpga mpeg ", " audio/mp3 audio/x-mp3 "},
    {SoundType::wav, "wav", "audio/wav", " wave ", " audio/x-wav audio/wave audio/vnd.wave "},
    {SoundType::flac, "flac", "audio/flac", "", " audio/x-flac "},
    {SoundType::opus, "opus", "audio/ogg; codecs=opus", "", " audio/opus "},
    {SoundType::ogg, "ogg", "audio/ogg", " oga ", " application/ogg "},
    {SoundType::aac, "aac", "audio/aac", "", " audio/x-aac "},
    {SoundType::mp4, "m4a", "audio/mp4", " mp4 ", " audio/x-m4a audio/m4a video/mp4 "},
    {SoundType::webm, "webm", "audio/webm", "", " video/webm "},
};

const SoundRow& row_of(SoundType type) noexcept {
  return *std::ranges::find(sound_rows, type, &SoundRow::type);
}

bool lists(std::string_view words, std::string_view word) noexcept {
  for (std::size_t at = words.find(word); !word.empty() && at != std::string_view::npos;
       at = words.find(word, at + 1)) {
    if (words[at - 1] == ' ' && words[at + word.size()] == ' ') return true;
  }
  return false;
}

// ISO/IEC 11172-3, 2.4.2.3 and ISO/IEC 13818-7, 6.2.1: both begin with set bits, and the layer
// tells which of the two it is. What MPEG-1 and 2 reserve is no sound.
std::optional<SoundType> sniff_frame(std::string_view bytes) noexcept {
  if (bytes.size() < 3 || byte(bytes, 0) != 0xFF || (byte(bytes, 1) & 0xE0) != 0xE0)
    return std::nullopt;
  const std::uint32_t second = byte(bytes, 1);
  const std::uint32_t third = byte(bytes, 2);
  if ((second & 0xF6) == 0xF0)
    return (third >> 2 & 15) <= 12 ? std::optional(SoundType::aac) : std::nullopt;
  const bool reserved =
      (second >> 3 & 3) == 1 || (second >> 1 & 3) == 0 || third >> 4 == 15 || (third >> 2 & 3) == 3;
  return reserved ? std::nullopt : std::optional(SoundType::mp3);
}

}  // namespace

std::optional<SoundType> sniff_sound(std::string_view bytes) noexcept {
  if (bytes.starts_with("ID3")) return SoundType::mp3;
  const bool riff = bytes.starts_with("RIFF") || bytes.starts_with("RF64");
  if (riff && bytes.size() >= 12 && bytes.substr(8, 4) == "WAVE") return SoundType::wav;
  if (bytes.starts_with("fLaC")) return SoundType::flac;
  if (bytes.starts_with("OggS")) {
    const bool opus = bytes.substr(0, 64).find("OpusHead") != std::string_view::npos;
    return opus ? SoundType::opus : SoundType::ogg;
  }
  if (bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp")
    return sniff(bytes).has_value() ? std::nullopt : std::optional(SoundType::mp4);
  if (bytes.starts_with("\x1A\x45\xDF\xA3"sv)) return SoundType::webm;
  return sniff_frame(bytes);
}

std::string_view mime_type(SoundType type) noexcept { return row_of(type).mime; }
std::string_view name_of(SoundType type) noexcept { return row_of(type).name; }

std::optional<SoundType> sound_from_name(std::string_view name) noexcept {
  const std::string lower = to_lower(trim(name.substr(0, name.find(';'))));
  std::string_view plain = std::string_view(lower).substr(0, lower.find_first_of("?#"));
  for (const SoundRow& row : sound_rows) {
    if (plain == row.mime.substr(0, row.mime.find(';')) && row.type != SoundType::opus)
      return row.type;
    if (lists(row.mimes, plain)) return row.type;
  }
  if (const std::size_t dot = plain.rfind('.'); dot != std::string_view::npos)
    plain.remove_prefix(dot + 1);
  for (const SoundRow& row : sound_rows) {
    if (plain == row.name || lists(row.endings, plain)) return row.type;
  }
  return std::nullopt;
}

}  // namespace falproxy::inline v0::media
