// Kinds of sound, and WAV as OpenAI's pcm.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"
#include "support/memory_spools.hpp"

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

// Of MPEG-1, layer III, 44.1 kHz, stereo: 1152 samples. `bit_rate`: 9 is 128 kb/s, 5 is 64.
std::string mp3_frame(int bit_rate) {
  const std::size_t size = bit_rate == 9 ? 417 : 208;
  std::string frame = "\xFF\xFB"s + static_cast<char>(bit_rate << 4) + "\x64"s;
  frame.resize(size, '\0');
  return frame;
}
std::string mp3_frames(int count, int bit_rate) {
  std::string all;
  for (int i = 0; i < count; ++i) all += mp3_frame(bit_rate);
  return all;
}

void put_big(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}
std::string box(std::string_view kind, const std::string& content) {
  std::string all;
  put_big(all, 8 + content.size(), 4);
  return all.append(kind) + content;
}
// The length of a film, 90 s in units of a millisecond.
std::string film_head(int version) {
  std::string content(1, static_cast<char>(version));
  content.resize(version == 1 ? 20 : 12, '\0');
  put_big(content, 1000, 4);
  put_big(content, 90'000, version == 1 ? 8 : 4);
  return box("moov", box("mvhd", content + std::string(80, '\0')));
}

std::string ogg_page(std::uint64_t samples, const std::string& content) {
  std::string page = "OggS\0\0"s;
  put_little(page, static_cast<std::uint32_t>(samples), 4);
  put_little(page, static_cast<std::uint32_t>(samples >> 32), 4);
  return page + std::string(13, '\0') + content;
}

constexpr double frame_seconds = 1152.0 / 44100;

}  // namespace

TEST_CASE("how long a sound plays is told by its head, its tail or its frames") {
  const auto xing = [](int frames) {
    std::string table = mp3_frame(9);
    std::string told = "Xing\0\0\0\1"s;
    put_big(told, static_cast<std::uint64_t>(frames), 4);
    return table.replace(36, told.size(), told);
  };
  std::string vbri = mp3_frame(9);
  vbri.replace(36, 18, "VBRI\0\0\0\0\0\0\0\0\0\0\0\0\x03\xE8"s);
  const std::string tag = "ID3\4\0\0\0\0\2\0"s + std::string(256, 'x');
  std::string flac = "fLaC\0\0\0\x22"s + std::string(10, '\0');
  put_big(flac, std::uint64_t{48'000} << 44 | std::uint64_t{15} << 36 | 48'000 * 75, 8);
  const std::string opus = ogg_page(0, "OpusHead\1\1\x38\1"s) + std::string(70'000, 'x') +
                           ogg_page(48'000 * 61 + 312, "y") + ogg_page(UINT64_MAX, "z");
  const std::string vorbis =
      ogg_page(0, "\1vorbis\0\0\0\0\1\x44\xAC\0\0"s) + ogg_page(44'100 * 5, std::string(100, 'x'));
  const std::string mp4 = box("ftyp", "M4A \0\0\0\0"s);
  const std::string forged = xing(1) + mp3_frames(100, 9);
  struct Case {
    const char* name;
    std::string bytes;
    std::optional<double> seconds;
  };
  for (const Case& c : std::vector<Case>{
           {"a WAV", tone(24000, 2, 12'000), 0.5},
           {"mp3 of one bit rate", mp3_frames(100, 9), 100 * frame_seconds},
           {"with tags around it", tag + mp3_frames(100, 9) + "TAG" + std::string(125, 't'),
            100 * frame_seconds},
           {"mp3 of two bit rates", mp3_frames(50, 9) + mp3_frames(50, 5), 100 * frame_seconds},
           {"that tells its frames", xing(1000) + mp3_frames(10, 5), 1000 * frame_seconds},
           {"in Fraunhofer's way", tag + vbri + mp3_frames(10, 5), 1000 * frame_seconds},
           {"that tells fewer than its bytes can be", forged,
            8.0 * static_cast<double>(forged.size()) / 448'000},
           {"mp3 in a tag alone",
            "ID3\4\0\0\0\0\0\x05"s + "TAGxx" + mp3_frames(1, 1).substr(0, 123), std::nullopt},
           {"mp3 that is cut in its head", "\xFF\xFB"s, std::nullopt},
           {"a tag alone", tag, std::nullopt},
           {"FLAC", flac, 75.0},
           {"FLAC that is cut", flac.substr(0, 24), std::nullopt},
           {"Opus", opus, 61.0},
           {"Vorbis", vorbis, 5.0},
           {"Vorbis of a rate that nobody has",
            ogg_page(0, "\1vorbis\0\0\0\0\1\1\0\0\0"s) +
                ogg_page(1ULL << 60, std::string(100, 'x')),
            std::nullopt},
           {"Opus that has only begun", ogg_page(0, "OpusHead\1\1\x38\1"s), std::nullopt},
           {"MP4, told first", mp4 + film_head(0) + box("mdat", std::string(9000, 'x')), 90.0},
           {"MP4, told last", mp4 + box("mdat", std::string(90'000, 'x')) + film_head(1), 90.0},
           {"MP4 that is cut", mp4 + box("mdat", std::string(9000, 'x')).substr(0, 900),
            std::nullopt},
           {"a recording of a browser", "\x1A\x45\xDF\xA3"s + std::string(100, 'x'), std::nullopt},
           {"no sound", "hello", std::nullopt},
           {"nothing", "", std::nullopt},
       }) {
    CAPTURE(c.name);
    // Of a long one the beginning alone is in memory.
    const tests::TextSource source(c.bytes);
    for (const auto& seconds :
         {media::sound_seconds(c.bytes),
          media::sound_seconds(std::string_view(c.bytes).substr(0, 2000), &source)}) {
      REQUIRE(seconds.has_value() == c.seconds.has_value());
      if (seconds) CHECK(*seconds == doctest::Approx(*c.seconds).epsilon(0.001));
    }
  }
}

TEST_CASE("no bytes make the reading of lengths go astray") {
  for (const std::string& whole :
       {mp3_frames(3, 9), "fLaC\0\0\0\x22"s + std::string(40, '\xFF'),
        ogg_page(0, "OpusHead\1\1\x38\1"s) + ogg_page(48'000, "x"),
        box("ftyp", "M4A \0\0\0\0"s) + film_head(1), tone(8000, 1, 50)}) {
    for (std::size_t at = 0; at < std::min<std::size_t>(whole.size(), 300); ++at) {
      for (const char value : {'\0', '\1', '\x7F', '\xFF'}) {
        std::string broken = whole;
        broken[at] = value;
        const auto seconds = media::sound_seconds(broken);
        CHECK((!seconds || (*seconds >= 0 && std::isfinite(*seconds))));
      }
      static_cast<void>(media::sound_seconds(whole.substr(0, at)));
    }
  }
}

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
