// wav.hpp: WAV files (RIFF WAVE, with the formats 1, 3 and 0xFFFE), and OpenAI's `pcm`: 24 kHz, 16
// bit, little-endian, one channel, without a head. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/print.hpp"

namespace falproxy::inline v0::media {

/// What the head of a WAV file says.
struct WavHead {
  std::uint32_t rate = 0;       ///< samples in a second
  std::uint16_t channels = 0;   ///< one after the other in each frame
  std::uint16_t bits = 0;       ///< of one sample of one channel
  bool floats = false;          ///< samples are floating point
  std::size_t begin = 0;        ///< of the samples
  std::size_t size = SIZE_MAX;  ///< of the samples in bytes; SIZE_MAX: to the end of the file
  /// What follows is `pcm`.
  [[nodiscard]] bool is_pcm() const noexcept {
    return rate == 24000 && channels == 1 && bits == 16 && !floats;
  }
  bool operator==(const WavHead&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const WavHead& head);
/// None: no WAV, or its samples do not begin within `bytes`.
[[nodiscard]] std::optional<WavHead> read_wav_head(std::string_view bytes) noexcept;
/// How long a WAV file of `size` bytes plays, in seconds; `beginning`: of its bytes. None: as
/// above.
[[nodiscard]] std::optional<double> wav_seconds(std::string_view beginning,
                                                std::uint64_t size) noexcept;
/// To stand before samples of 16 bit whose number is not known yet, as OpenAI streams them: `pcm`,
/// or of another rate (in a second) and with more channels.
[[nodiscard]] std::string head_for_pcm(std::uint32_t rate = 24000, std::uint16_t channels = 1);
/// A WAV file as `pcm`; none: it has another format. It takes milliseconds for a second of sound.
[[nodiscard]] std::optional<std::string> pcm_of(std::string_view wav);

}  // namespace falproxy::inline v0::media
