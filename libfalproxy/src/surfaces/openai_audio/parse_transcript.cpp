#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai_audio.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

constexpr std::array formats = {TranscriptFormat::json,         TranscriptFormat::text,
                                TranscriptFormat::srt,          TranscriptFormat::vtt,
                                TranscriptFormat::verbose_json, TranscriptFormat::diarized_json};

Error no_sound(std::string_view got) {
  return {ErrorKind::unsupported_file,
          fmt::format("Invalid file format ('{}'), or the file is corrupted. Supported formats: "
                      "['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']",
                      got),
          "file"};
}

std::optional<Error> take_file(FormPart& part, TranscriptRequest& request) {
  std::vector<InputFile>& files = request.wish.images;
  if (part.bytes.empty() && part.file_name.value_or("").empty()) return std::nullopt;
  if (!files.empty())
    return Error{ErrorKind::invalid_value, "Invalid 'file': there may be only one.", "file"};
  InputFile file{.name = part.file_name.value_or(""), .medium = Medium::audio};
  if (media::sniff_sound(part.bytes)) {
    request.seconds = media::sound_seconds(part.bytes, part.source.get());
    file.owner = std::move(part.owner);
    file.bytes = part.bytes;
    file.source = std::move(part.source);
  } else if (!part.file_name && Url::parse(std::string(trim(part.bytes)))) {
    file.url = trim(part.bytes);
  } else {
    return no_sound(media::mime_type(part.bytes));
  }
  files.push_back(std::move(file));
  return std::nullopt;
}

std::optional<Error> check_form_text(const FormPart& part) {
  const std::string name = shown_name(part.name);
  if (is_utf8(part.name) && is_utf8(part.bytes) && part.bytes.find('\0') == part.bytes.npos &&
      part.name.size() <= 256)
    return std::nullopt;
  return Error{ErrorKind::invalid_value,
               fmt::format("Invalid '{}': text must be UTF-8 without NUL, and a name short.", name),
               name};
}

std::optional<Error> read_format(std::string_view text, TranscriptRequest& request) {
  const auto found = std::ranges::find_if(
      formats, [&](TranscriptFormat one) { return equal_ignoring_case(name_of(one), text); });
  const bool known = found != formats.end() &&
                     !(request.wish.translate && *found == TranscriptFormat::diarized_json);
  if (!known) {
    std::vector<std::string> supported;
    for (const TranscriptFormat one : formats) {
      if (!request.wish.translate || one != TranscriptFormat::diarized_json)
        supported.emplace_back(name_of(one));
    }
    return unsupported_value("response_format", text, supported);
  }
  request.format = *found;
  return std::nullopt;
}

std::optional<Error> read_granularities(std::string_view text, TranscriptRequest& request) {
  std::optional<Error> fault;
  for_each_part(text, ',', [&](std::string_view part) {
    const std::string_view word = trim(part);
    if (word == "word") {
      request.words = true;
    } else if (word == "segment") {
      request.segments = true;
    } else if (!word.empty() && !fault) {
      fault = unsupported_value("timestamp_granularities[]", word, {"word", "segment"});
    }
  });
  return fault;
}

// A field of the model's own, or of OpenAI's that no model of fal's has: the plan tells of those.
void add_native(const FormPart& part, std::string_view name, const RequestLimits& limits,
                Wish& wish) {
  const bool list = part.name.ends_with("[]");
  Result<Raw> json = parse_raw(trim(part.bytes), limits.json);
  Raw value = json ? *std::move(json) : Raw(std::string(part.bytes));
  const auto found = std::ranges::find(wish.native, name, &std::pair<std::string, Json>::first);
  if (found != wish.native.end()) {
    Raw all = Json::Access::raw(found->second);
    if (!all.is_array()) all = Raw::array({std::move(all)});
    all.push_back(std::move(value));
    found->second = Json::Access::wrap(std::move(all));
    return;
  }
  if (!list && !value.is_string()) wish.native_texts.emplace_back(name, part.bytes);
  if (list) value = Raw::array({std::move(value)});
  wish.native.emplace_back(name, Json::Access::wrap(std::move(value)));
}

bool is_true(std::string_view text) { return equal_ignoring_case(text, "true") || text == "1"; }

std::optional<Error> read_text(const FormPart& part, const RequestLimits& limits,
                               TranscriptRequest& request) {
  if (auto fault = check_form_text(part)) return fault;
  const std::string_view text = trim(part.bytes);
  if (text.empty()) return std::nullopt;
  const std::string_view name = std::string_view(part.name).substr(0, part.name.find('['));
  Wish& wish = request.wish;
  if (name == "response_format") return read_format(text, request);
  if (name == "timestamp_granularities") return read_granularities(text, request);
  if (name == "stream") {
    request.stream = is_true(text);
  } else if (name == "model") {
    wish.model = std::string(text);
  } else if (name == "prompt") {
    wish.prompt = std::string(text);
  } else if (name == "user") {
    wish.user = std::string(text);
  } else if (name == "language" || (name == "languages" && !wish.language)) {
    wish.language = std::string(text);
  } else if (name == "temperature" &&
             std::ranges::all_of(text, [](char c) { return c == '0' || c == '.'; })) {
    return std::nullopt;  // what the models do anyway, and some programs always send
  } else {
    add_native(part, name, limits, wish);
  }
  return std::nullopt;
}

void settle_times(TranscriptRequest& request) {
  Wish& wish = request.wish;
  switch (request.format) {
    case TranscriptFormat::json:
    case TranscriptFormat::text:
      break;
    case TranscriptFormat::srt:
    case TranscriptFormat::vtt:
      wish.times = Times::segments;
      wish.needs_times = true;
      break;
    case TranscriptFormat::verbose_json:
      if (!request.words) request.segments = true;
      wish.times = request.words ? Times::words : Times::segments;
      break;
    case TranscriptFormat::diarized_json:
      wish.times = Times::segments;
      wish.needs_times = wish.speakers = true;
      break;
  }
}

}  // namespace

Result<TranscriptRequest> parse_transcript(bool translate, std::vector<FormPart> parts,
                                           const RequestLimits& limits) {
  TranscriptRequest request{.wish = {.makes = Medium::text, .translate = translate}};
  for (FormPart& part : parts) {
    const bool file = without_brackets(part.name) == "file";
    if (!file && part.file_name.has_value() && !is_utf8(part.bytes))
      return no_field_for_files(part.name);
    if (auto fault = file ? take_file(part, request) : read_text(part, limits, request))
      return *std::move(fault);
  }
  if (!request.wish.model) return missing_parameter("model");
  // The model's own field may say where the sound is.
  if (request.wish.images.empty() && request.wish.native.empty()) return missing_parameter("file");
  std::ranges::sort(request.wish.native, {}, &std::pair<std::string, Json>::first);
  std::ranges::sort(request.wish.native_texts);
  settle_times(request);
  return request;
}

}  // namespace falproxy::inline v0::openai
