// Sounds that become others; a falproxy without libsndfile has no such thing.
#include "sound_converter.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>

#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"

namespace falproxy::app {
namespace {

// A tone of 1 kHz, `ms` long.
std::string tone_of(std::uint32_t rate, std::uint16_t channels, std::uint32_t ms) {
  std::string file = media::head_for_pcm(rate, channels);
  for (std::uint32_t i = 0; i < rate / 1000 * ms; ++i) {
    const double level = 16000 * std::sin(2 * std::numbers::pi * 1000 * i / rate);
    for (int c = 0; c < channels; ++c) {
      const auto sample = static_cast<std::uint16_t>(std::lround(level));
      file += static_cast<char>(sample & 0xFF);
      file += static_cast<char>(sample >> 8);
    }
  }
  return file;
}

std::string converted(const std::string& sound, std::string_view to) {
  auto converter = SoundConverter::create(sound, to);
  REQUIRE_MESSAGE(converter.has_value(), to);
  std::string all;
  while (true) {
    const Result<std::string> piece = (*converter)->next();
    REQUIRE(piece.has_value());
    if (piece->empty()) return all;
    all += *piece;
  }
}

// Whether it can be read to its end.
bool is_whole(const std::string& sound) {
  auto converter = SoundConverter::create(sound, "pcm");
  if (!converter) return false;
  while (true) {
    const Result<std::string> piece = (*converter)->next();
    if (!piece) return false;
    if (piece->empty()) return true;
  }
}

// Of bare samples: how often it goes up through zero in a second, and how loud it is.
double pitch_of(std::string_view pcm) {
  int crossings = 0;
  std::int16_t before = 0;
  for (std::size_t i = 0; i + 1 < pcm.size(); i += 2) {
    const auto low = static_cast<unsigned char>(pcm[i]);
    const auto now = static_cast<std::int16_t>(low | static_cast<unsigned char>(pcm[i + 1]) << 8);
    crossings += before < 0 && now >= 0 ? 1 : 0;
    before = now;
  }
  return crossings / (static_cast<double>(pcm.size()) / 48000);
}

}  // namespace

TEST_CASE("every sound becomes every other, as long and in tune, and is what it is called") {
  for (const std::string& from : SoundConverter::made()) {
    CAPTURE(from);
    if (from == "pcm") continue;
    for (const std::uint32_t rate : {24000u, 44100u}) {
      CAPTURE(rate);
      const std::string sound = converted(tone_of(rate, 2, 12'000), from);
      const auto type = media::sniff_sound(sound);
      REQUIRE(type.has_value());
      CHECK(media::name_of(*type) == from);
      // A file that is written as it is made may not say how long it became.
      const auto seconds = media::sound_seconds(sound);
      if (from != "flac") REQUIRE(seconds.has_value());
      if (seconds) CHECK(std::abs(*seconds - 12) < 0.2);
      for (const std::string& to : SoundConverter::made()) {
        CAPTURE(to);
        const std::string other = converted(sound, to);
        if (to != "pcm") {
          const auto other_type = media::sniff_sound(other);
          REQUIRE(other_type.has_value());
          CHECK(media::name_of(*other_type) == to);
        }
        const std::string pcm = to == "pcm" ? other : converted(other, "pcm");
        CHECK(std::abs(static_cast<double>(pcm.size()) / 48 - 12'000) < 200);
        CHECK(std::abs(pitch_of(pcm) - 1000) < 15);
      }
    }
  }
}

TEST_CASE("a WAV keeps its rate and its channels as it becomes a file without losses") {
  if (SoundConverter::made().empty()) return;
  const std::string wav = tone_of(32000, 2, 500);
  const std::string back = converted(converted(wav, "flac"), "wav");
  const auto head = media::read_wav_head(back);
  REQUIRE(head.has_value());
  CHECK(head->rate == 32000);
  CHECK(head->channels == 2);
  CHECK(back.size() == wav.size());
  CHECK(converted(tone_of(24000, 1, 500), "pcm").size() == 24'000);
}

TEST_CASE("a sound that breaks off, or has a hole, is not told as whole") {
  for (const std::string from : {"flac", "opus", "mp3"}) {
    CAPTURE(from);
    if (std::ranges::find(SoundConverter::made(), from) == SoundConverter::made().end()) continue;
    const std::string whole = converted(tone_of(24000, 1, 10'000), from);
    std::string hole = whole;
    hole.replace(whole.size() / 3, whole.size() / 3, whole.size() / 3, '\0');
    CHECK(is_whole(whole));
    CHECK_FALSE(is_whole(hole));
    // An Ogg file says nowhere how long it is.
    CHECK(is_whole(whole.substr(0, whole.size() / 2)) == (from == "opus"));
    // As some programs put a tag behind the end.
    CHECK(is_whole(whole + "TAG" + std::string(125, 'a')));
    std::string unknown = whole;
    for (const char* word : {"Xing", "Info"}) {
      if (const std::size_t at = unknown.find(word); at != std::string::npos)
        unknown.replace(at, 4, "aaaa");
    }
    CHECK(is_whole(unknown));
    unknown.replace(whole.size() / 3, whole.size() / 3, whole.size() / 3, '\0');
    CHECK_FALSE(is_whole(unknown));
  }
}

TEST_CASE("what is no sound, or a kind that nobody makes, is refused") {
  for (const char* sound : {"", "hello", "ID3", "RIFF\xff\xff\xff\xffWAVE", "OggS"})
    CHECK_FALSE(SoundConverter::create(sound, "wav").has_value());
  CHECK_FALSE(SoundConverter::create(tone_of(24000, 1, 100), "aac").has_value());
}

}  // namespace falproxy::app
