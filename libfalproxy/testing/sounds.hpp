// sounds.hpp: the sounds and transcripts of a FalDesk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "documents.hpp"

namespace falproxy::inline v0::testing {

enum class SoundFormat { wav, mp3, pcm };
[[nodiscard]] std::string_view media_type(SoundFormat format) noexcept;

/// A tone of a length, in a file. MP3 is silent, for want of an encoder.
struct Sound {
  SoundFormat format = SoundFormat::wav;
  std::uint32_t milliseconds = 1000;
  std::uint32_t variant = 0;  ///< chooses the tone
};
/// A whole file: 24 kHz, 16 bit and one channel; MP3 of 44.1 kHz and 128 kbit/s.
[[nodiscard]] std::string encode(const Sound& sound);

/// The end of a media address, such as `2500ms_17.wav`, and back.
[[nodiscard]] std::string file_suffix(const Sound& sound);
[[nodiscard]] std::optional<Sound> parse_sound_suffix(std::string_view suffix);

/// What a model that speaks makes of `input`; none: it makes no sound. As long as the input or
/// the document says, else a second for every 15 characters; the format is the input's, else what
/// the document's example shows.
[[nodiscard]] std::optional<Sound> plan_sound(const Model& model, const nlohmann::json& input);
/// The result of such a model.
[[nodiscard]] nlohmann::json write_sound(const Sound& sound, const std::string& address);
/// The result of a model that listens; none: it makes no text. It always hears the same words.
[[nodiscard]] std::optional<nlohmann::json> write_transcript(const Model& model,
                                                             const nlohmann::json& input);

}  // namespace falproxy::inline v0::testing
