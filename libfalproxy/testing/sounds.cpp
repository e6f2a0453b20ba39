#include "sounds.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::uint32_t rate = 24000;
constexpr std::uint32_t longest = 600'000;  // in milliseconds

struct SoundRow {
  SoundFormat format;
  std::string_view word;  // also the extension
  std::string_view media_type;
};
constexpr SoundRow rows[] = {
    {SoundFormat::wav, "wav", "audio/wav"},
    {SoundFormat::mp3, "mp3", "audio/mpeg"},
    {SoundFormat::pcm, "pcm", "audio/pcm"},
};
const SoundRow& row_of(SoundFormat format) { return rows[static_cast<std::size_t>(format)]; }

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

std::size_t samples_size(const Sound& sound) {
  return std::size_t{2} * (rate / 1000) * sound.milliseconds;
}

// A triangle, which costs nothing to make.
std::string samples_of(const Sound& sound) {
  constexpr std::uint32_t period = 1u << 16;
  std::string samples(samples_size(sound), '\0');
  const std::uint32_t step = (220 + 20 * (sound.variant % 32)) * period / rate;
  std::uint32_t phase = 0;
  for (std::size_t at = 0; at < samples.size(); at += 2) {
    const std::uint32_t up = phase < period / 2 ? phase : period - 1 - phase;
    const std::uint32_t level = up / 2 - period / 8;
    samples[at] = static_cast<char>(level & 0xFF);
    samples[at + 1] = static_cast<char>(level >> 8 & 0xFF);
    phase = (phase + step) % period;
  }
  return samples;
}

std::string wav_of(const Sound& sound) {
  const std::string samples = samples_of(sound);
  const auto size = static_cast<std::uint32_t>(samples.size());
  std::string file = "RIFF";
  put(file, 36 + size, 4);
  file += "WAVEfmt ";
  put(file, 16, 4);
  put(file, 1, 2);
  put(file, 1, 2);
  put(file, rate, 4);
  put(file, 2 * rate, 4);
  put(file, 2, 2);
  put(file, 16, 2);
  file += "data";
  put(file, size, 4);
  return file + samples;
}

constexpr std::size_t frame_size = 417;  // 144 * 128000 / 44100
std::size_t frames_of(const Sound& sound) {
  return std::size_t{sound.milliseconds} * 44100 / 1152 / 1000 + 1;
}

// Frames of MPEG-1 Layer III whose side information is zero: silence.
std::string mp3_of(const Sound& sound) {
  std::string frame = "\xFF\xFB\x90\x64";
  frame.resize(frame_size, '\0');
  std::string file;
  for (std::size_t i = frames_of(sound); i > 0; --i) file += frame;
  return file;
}

std::size_t file_size_of(const Sound& sound) {
  if (sound.format == SoundFormat::mp3) return frames_of(sound) * frame_size;
  return samples_size(sound) + (sound.format == SoundFormat::wav ? 44 : 0);
}

const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool has_output(const Model& model, const char* name) {
  const json* outputs = member(model.output(), "properties");
  return outputs != nullptr && outputs->contains(name);
}

std::string text_in(const json& input) {
  for (const char* name : {"text", "prompt"}) {
    const json* text = member(input, name);
    if (text != nullptr && text->is_string()) return text->get<std::string>();
  }
  return {};
}

std::string format_word(const Model& model, const json& input) {
  if (const json* given = member(input, "output_format"); given != nullptr && given->is_string())
    return given->get<std::string>();
  const json* properties = member(model.input(), "properties");
  const json* known = properties == nullptr ? nullptr : member(*properties, "output_format");
  const json* usual = known == nullptr ? nullptr : member(*known, "default");
  return usual != nullptr && usual->is_string() ? usual->get<std::string>() : "wav";
}

// How long the input, or the document, wants it; 0: as long as its text takes.
std::uint32_t milliseconds_in(const Model& model, const json& input) {
  constexpr std::pair<const char*, double> names[] = {
      {"duration", 1000}, {"seconds_total", 1000}, {"music_length_ms", 1}};
  const json* properties = member(model.input(), "properties");
  for (const auto& [name, factor] : names) {
    const json* known = properties == nullptr ? nullptr : member(*properties, name);
    const json* length = member(input, name);
    if (length == nullptr && known != nullptr) length = member(model.resolve(*known), "default");
    if (known != nullptr && length != nullptr && length->is_number())
      return static_cast<std::uint32_t>(std::clamp(length->get<double>() * factor, 0.0, 6e5));
  }
  return 0;
}

struct Heard {
  std::string_view word;
  double start, end;
  std::string_view speaker;
};
constexpr Heard heard[] = {
    {"Good", 0.0, 0.3, "SPEAKER_00"},     {"morning,", 0.3, 0.8, "SPEAKER_00"},
    {"harbour.", 0.8, 1.4, "SPEAKER_00"}, {"The", 2.0, 2.2, "SPEAKER_01"},
    {"lamp", 2.2, 2.6, "SPEAKER_01"},     {"is", 2.6, 2.8, "SPEAKER_01"},
    {"lit.", 2.8, 3.2, "SPEAKER_01"},
};

json chunk_of(const Heard* first, const Heard* last, bool speakers) {
  std::string text;
  for (const Heard* one = first; one <= last; ++one) text.append(" ").append(one->word);
  json chunk = {{"timestamp", {first->start, last->end}}, {"text", std::move(text)}};
  if (speakers) chunk["speaker"] = first->speaker;
  return chunk;
}

}  // namespace

std::string_view media_type(SoundFormat format) noexcept { return row_of(format).media_type; }

std::string encode(const Sound& sound) {
  switch (sound.format) {
    case SoundFormat::mp3:
      return mp3_of(sound);
    case SoundFormat::pcm:
      return samples_of(sound);
    case SoundFormat::wav:
      break;
  }
  return wav_of(sound);
}

std::string file_suffix(const Sound& sound) {
  return std::to_string(sound.milliseconds) + "ms_" + std::to_string(sound.variant) + "." +
         std::string(row_of(sound.format).word);
}

std::optional<Sound> parse_sound_suffix(std::string_view suffix) {
  Sound sound;
  const auto take = [&](std::uint32_t& number, std::string_view after) {
    const auto [end, fault] = std::from_chars(suffix.data(), suffix.data() + suffix.size(), number);
    if (fault != std::errc()) return false;
    suffix.remove_prefix(static_cast<std::size_t>(end - suffix.data()));
    if (!suffix.starts_with(after)) return false;
    suffix.remove_prefix(after.size());
    return true;
  };
  if (!take(sound.milliseconds, "ms_") || !take(sound.variant, ".")) return std::nullopt;
  if (sound.milliseconds > longest) return std::nullopt;
  for (const SoundRow& row : rows) {
    if (row.word != suffix) continue;
    sound.format = row.format;
    return sound;
  }
  return std::nullopt;
}

std::optional<Sound> plan_sound(const Model& model, const json& input) {
  if (!has_output(model, "audio")) return std::nullopt;
  const std::string text = text_in(input);
  Sound sound{.milliseconds = static_cast<std::uint32_t>(
                  std::clamp<std::size_t>(text.size() * 1000 / 15, 200, longest))};
  if (const std::uint32_t wanted = milliseconds_in(model, input); wanted > 0)
    sound.milliseconds = wanted;
  for (const char c : text) sound.variant = sound.variant * 31 + static_cast<unsigned char>(c);
  sound.variant %= 32;
  const std::string word = format_word(model, input);
  for (const SoundRow& row : rows) {
    if (word.starts_with(row.word)) sound.format = row.format;
  }
  return sound;
}

json write_sound(const Sound& sound, const std::string& address) {
  return {{"audio",
           {{"url", address},
            {"content_type", media_type(sound.format)},
            {"file_name", "speech." + std::string(row_of(sound.format).word)},
            {"file_size", file_size_of(sound)}}}};
}

std::optional<json> write_transcript(const Model& model, const json& input) {
  if (!has_output(model, "chunks")) return std::nullopt;
  const json* task = member(input, "task");
  const json* level = member(input, "chunk_level");
  const json* diarize = member(input, "diarize");
  const bool speakers = diarize != nullptr && *diarize == true;
  json chunks = json::array();
  if (level != nullptr && *level == "word") {
    for (const Heard& one : heard) chunks.push_back(chunk_of(&one, &one, speakers));
  } else if (level == nullptr || *level != "none") {
    chunks.push_back(chunk_of(heard, heard + 2, speakers));
    chunks.push_back(chunk_of(heard + 3, std::prev(std::end(heard)), speakers));
  }
  const bool translated = task != nullptr && *task == "translate";
  return json{{"text", "Good morning, harbour. The lamp is lit."},
              {"chunks", std::move(chunks)},
              {"inferred_languages", {translated ? "de" : "en"}}};
}

}  // namespace falproxy::inline v0::testing
