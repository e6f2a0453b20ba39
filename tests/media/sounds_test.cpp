// Kinds of sound, and WAV as OpenAI's pcm.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"

using namespace falproxy;
using namespace std::string_literals;
using media::SoundType;

namespace {

void put_little(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

// A tone of 1 kHz.
std::string tone(std::uint32_t rate, std::uint32_t channels, std::uint32_t frames) {
  std::string samples;
  for (std::uint32_t i = 0; i < frames; ++i) {
    const double level = 16000 * std::sin(2 * std::numbers::pi * 1000 * i / rate);
    for (std::uint32_t c = 0; c < channels; ++c)
      put_little(samples, static_cast<std::uint32_t>(static_cast<std::int32_t>(level)), 2);
  }
  std::string file = "RIFF\0\0\0\0WAVELIST\4\0\0\0abcdfmt \x10\0\0\0\1\0"s;
  put_little(file, channels, 2);
  put_little(file, rate, 4);
  put_little(file, rate * channels * 2, 4);
  put_little(file, channels * 2, 2);
  put_little(file, 16, 2);
  file += "data";
  put_little(file, static_cast<std::uint32_t>(samples.size()), 4);
  return file + samples + "LIST\4\0\0\0tail"s;
}

double sample_of(const std::string& pcm, std::size_t i) {
  const auto low = static_cast<unsigned char>(pcm[2 * i]);
  const auto high = static_cast<unsigned char>(pcm[2 * i + 1]);
  return static_cast<std::int16_t>(low | high << 8);
}

}  // namespace

TEST_CASE("a sound is told by its first bytes") {
  struct Case {
    std::string bytes;
    std::optional<SoundType> type;
  };
  for (const Case& c : std::vector<Case>{
           {"ID3\4"s, SoundType::mp3},
           {"\xFF\xFB\x90\x64"s, SoundType::mp3},
           {"\xFF\xF3\x84\xC4"s, SoundType::mp3},
           {"\xFF\xF1\x50\x80"s, SoundType::aac},
           {"RIFF\0\0\0\0WAVEfmt "s, SoundType::wav},
           {"RIFF\0\0\0\0WEBPVP8 "s, std::nullopt},
           {"fLaC\0\0"s, SoundType::flac},
           {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x13OpusHead"s, SoundType::opus},
           {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x1E\1vorbis"s, SoundType::ogg},
           {"\0\0\0\x20"
            "ftypM4A \0\0\0\0"s,
            SoundType::mp4},
           {"\0\0\0\x20"
            "ftypavif\0\0\0\0"s,
            std::nullopt},
           {"\x1A\x45\xDF\xA3"s, SoundType::webm},
           {"\xFF\xD8\xFF\xE0"s, std::nullopt},
           {"hello"s, std::nullopt},
           {""s, std::nullopt},
       }) {
    CAPTURE(c.bytes);
    CHECK(media::sniff_sound(c.bytes) == c.type);
  }
  CHECK(media::mime_type("fLaC"s) == "audio/flac");
  CHECK(media::sound_from_name("https://x.test/a.MP3?b=c.wav") == SoundType::mp3);
  CHECK(media::sound_from_name("audio/x-wav; a=b") == SoundType::wav);
  CHECK(media::sound_from_name("mpga") == SoundType::mp3);
  CHECK_FALSE(media::sound_from_name("a.png"));
}

TEST_CASE("a WAV of OpenAI's own kind is its samples, without what stands around them") {
  const std::string wav = tone(24000, 1, 480);
  const auto head = media::read_wav_head(wav);
  REQUIRE(head);
  CHECK(head->is_pcm());
  const auto pcm = media::pcm_of(wav);
  REQUIRE(pcm);
  CHECK(*pcm == wav.substr(head->begin, 960));
  CHECK(media::read_wav_head(media::head_for_pcm())->is_pcm());
  CHECK_FALSE(media::read_wav_head("RIFF\0\0\0\0WAVEfmt "s));
  CHECK_FALSE(media::pcm_of("ID3"));
}

TEST_CASE("another rate and more channels become 24 kHz and one, in tune and as loud") {
  for (const std::uint32_t rate : {16000u, 32000u, 44100u, 48000u}) {
    CAPTURE(rate);
    const auto pcm = media::pcm_of(tone(rate, 2, rate / 10));
    REQUIRE(pcm);
    CHECK(pcm->size() == 2 * 2400);
    double worst = 0;
    for (std::size_t i = 100; i < 2300; ++i) {
      const double want =
          16000 * std::sin(2 * std::numbers::pi * 1000 * static_cast<double>(i) / 24000);
      worst = std::max(worst, std::abs(want - sample_of(*pcm, i)));
    }
    CHECK(worst < 200);
  }
}
