#include "falproxy/wav.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "media/bytes.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

constexpr double pcm_rate = 24000;

// One channel's sample, from -1 to 1.
double sample_at(std::string_view bytes, std::size_t at, const WavHead& head) noexcept {
  const std::uint32_t low = byte(bytes, at);
  switch (head.bits) {
    case 8:
      return (static_cast<double>(low) - 128) / 128;
    case 16:
      return static_cast<std::int16_t>(little16(bytes, at)) / 32768.0;
    case 24:
      return static_cast<std::int32_t>(little24(bytes, at) << 8) / 2147483648.0;
    default:
      break;
  }
  if (!head.floats) return static_cast<std::int32_t>(little32(bytes, at)) / 2147483648.0;
  float value = 0;
  const std::uint32_t word = little32(bytes, at);
  std::memcpy(&value, &word, sizeof value);
  return std::isfinite(value) ? std::clamp(static_cast<double>(value), -1.0, 1.0) : 0;
}

std::vector<float> mono(std::string_view samples, const WavHead& head) {
  const std::size_t width = head.bits / 8;
  const std::size_t frame = width * head.channels;
  std::vector<float> all(samples.size() / frame);
  for (std::size_t i = 0; i < all.size(); ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < head.channels; ++c)
      sum += sample_at(samples, i * frame + c * width, head);
    all[i] = static_cast<float>(sum / head.channels);
  }
  return all;
}

// A sinc, windowed by a raised cosine, 16 zero crossings to each side; what is above half of the
// lower rate goes.
std::vector<float> resampled(const std::vector<float>& from, double rate) {
  if (rate == pcm_rate) return from;
  constexpr double crossings = 16;
  const double step = rate / pcm_rate;
  const double cutoff = std::min(1.0, 1 / step);
  const double reach = crossings / cutoff;
  std::vector<float> to(static_cast<std::size_t>(static_cast<double>(from.size()) / step));
  for (std::size_t i = 0; i < to.size(); ++i) {
    const double middle = static_cast<double>(i) * step;
    const auto first = static_cast<std::ptrdiff_t>(std::ceil(middle - reach));
    const auto last = static_cast<std::ptrdiff_t>(std::floor(middle + reach));
    double sum = 0;
    double weight = 0;
    for (std::ptrdiff_t k = first; k <= last; ++k) {
      const double away = static_cast<double>(k) - middle;
      const double x = std::numbers::pi * away * cutoff;
      const double sinc = std::abs(x) < 1e-9 ? 1 : std::sin(x) / x;
      const double part = sinc * (0.5 + 0.5 * std::cos(std::numbers::pi * away / reach));
      weight += part;
      if (k >= 0 && k < static_cast<std::ptrdiff_t>(from.size()))
        sum += part * static_cast<double>(from[static_cast<std::size_t>(k)]);
    }
    to[i] = static_cast<float>(weight == 0 ? 0 : sum / weight);
  }
  return to;
}

void append_little(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

}  // namespace

std::optional<WavHead> read_wav_head(std::string_view bytes) noexcept {
  const bool riff = bytes.starts_with("RIFF") || bytes.starts_with("RF64");
  if (!riff || bytes.size() < 12 || bytes.substr(8, 4) != "WAVE") return std::nullopt;
  WavHead head;
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    const std::string_view kind = bytes.substr(at, 4);
    const std::uint32_t size = little32(bytes, at + 4);
    at += 8;
    if (kind == "data") {
      head.begin = at;
      // What is streamed does not know its length.
      if (size != 0 && size != 0xFFFFFFFF) head.size = size;
      const bool known = head.bits == 8 || head.bits == 16 || head.bits == 24 || head.bits == 32;
      constexpr std::uint32_t slowest = 1000;  // slower ones would become huge
      return head.rate >= slowest && head.channels > 0 && known ? std::optional(head)
                                                                : std::nullopt;
    }
    if (kind == "fmt " && size >= 16 && at + 16 <= bytes.size()) {
      const std::uint32_t format = little16(bytes, at);
      const bool extended = format == 0xFFFE && size >= 26 && at + 26 <= bytes.size();
      const std::uint32_t meant = extended ? little16(bytes, at + 24) : format;
      if (meant != 1 && meant != 3) return std::nullopt;
      head.floats = meant == 3;
      head.channels = static_cast<std::uint16_t>(little16(bytes, at + 2));
      head.rate = little32(bytes, at + 4);
      head.bits = static_cast<std::uint16_t>(little16(bytes, at + 14));
      if (head.floats && head.bits != 32) return std::nullopt;
    }
    at += size + (size & 1);
  }
  return std::nullopt;
}

std::optional<double> wav_seconds(std::string_view beginning, std::uint64_t size) noexcept {
  const std::optional<WavHead> head = read_wav_head(beginning);
  if (!head || size < head->begin) return std::nullopt;
  const std::uint64_t samples = std::min<std::uint64_t>(head->size, size - head->begin);
  const double bits_a_second = double{1} * head->rate * head->channels * head->bits;
  return static_cast<double>(samples) * 8 / bits_a_second;
}

std::string head_for_pcm(std::uint32_t rate, std::uint16_t channels) {
  constexpr std::uint32_t unknown = 0xFFFFFFFF;
  std::string head = "RIFF";
  append_little(head, unknown, 4);
  head += "WAVEfmt ";
  append_little(head, 16, 4);
  append_little(head, 1, 2);
  append_little(head, channels, 2);
  append_little(head, rate, 4);
  append_little(head, rate * channels * 2, 4);
  append_little(head, channels * 2U, 2);
  append_little(head, 16, 2);
  head += "data";
  append_little(head, unknown, 4);
  return head;
}

std::optional<std::string> pcm_of(std::string_view wav) {
  const std::optional<WavHead> head = read_wav_head(wav);
  if (!head) return std::nullopt;
  const std::string_view samples = wav.substr(head->begin, head->size);
  if (head->is_pcm()) return std::string(samples.substr(0, samples.size() / 2 * 2));
  const std::vector<float> all = resampled(mono(samples, *head), head->rate);
  std::string pcm;
  pcm.reserve(all.size() * 2);
  for (const float value : all) {
    const auto level =
        static_cast<std::int32_t>(std::lround(std::clamp(value, -1.0F, 1.0F) * 32767));
    append_little(pcm, static_cast<std::uint32_t>(level), 2);
  }
  return pcm;
}

}  // namespace falproxy::inline v0::media
