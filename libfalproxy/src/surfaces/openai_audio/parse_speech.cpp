#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai_audio.hpp"
#include "json/access.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

Json wrapped(const Raw& value) { return Json::Access::wrap(value); }

Error unreadable_speech(std::string_view why, std::string field) {
  return {ErrorKind::invalid_json,
          fmt::format("We could not parse the JSON body of your request: {}. (HINT: the body must "
                      "be a JSON object, sent with the header 'Content-Type: application/json'.)",
                      why),
          std::move(field)};
}

struct SpeechField {
  std::string_view name;
  std::optional<std::string> Wish::* member;
};
constexpr std::array speech_fields = {
    SpeechField{"input", &Wish::prompt},
    SpeechField{"instructions", &Wish::instructions},
    SpeechField{"language", &Wish::language},
    SpeechField{"model", &Wish::model},
    SpeechField{"response_format", &Wish::output_format},
    SpeechField{"user", &Wish::user},
};

std::optional<Error> read_voice(const Raw& value, Wish& wish) {
  const Raw* name = &value;
  if (value.is_object()) {
    for (const char* member : {"id", "voice_id", "name"}) {
      if (name == &value && member_of(value, member) != nullptr) name = member_of(value, member);
    }
  }
  if (!name->is_string())
    return invalid_type("voice", "a string or an object with 'id'", wrapped(value));
  const std::string_view voice = trim(name->get_ref<const std::string&>());
  if (!voice.empty()) wish.voice = std::string(voice);
  return std::nullopt;
}

std::optional<Error> read_speed(const Raw& value, Wish& wish) {
  constexpr double slowest = 0.25, fastest = 4;
  if (!value.is_number()) return invalid_type("speed", "a number", wrapped(value));
  const auto speed = value.get<double>();
  if (!(speed >= slowest && speed <= fastest)) {
    return Error{
        ErrorKind::invalid_value,
        fmt::format("Invalid 'speed': expected a number from 0.25 to 4, but got {}.", value.dump()),
        "speed"};
  }
  wish.speed = speed;
  return std::nullopt;
}

std::optional<Error> read_stream_format(const Raw& value, SpeechRequest& request) {
  if (!value.is_string()) return invalid_type("stream_format", "a string", wrapped(value));
  const std::string format = to_lower(value.get_ref<const std::string&>());
  if (format != "sse" && format != "audio" && !format.empty())
    return unsupported_value("stream_format", format, {"audio", "sse"});
  request.events = format == "sse";
  return std::nullopt;
}

std::optional<Error> read_member(const std::string& name, const Raw& value,
                                 SpeechRequest& request) {
  Wish& wish = request.wish;
  if (name == "voice") return read_voice(value, wish);
  if (name == "speed") return read_speed(value, wish);
  if (name == "stream_format") return read_stream_format(value, request);
  for (const SpeechField& field : speech_fields) {
    if (field.name != name) continue;
    if (!value.is_string()) return invalid_type(name, "a string", wrapped(value));
    const std::string& text = value.get_ref<const std::string&>();
    if (!trim(text).empty()) wish.*field.member = text;
    return std::nullopt;
  }
  wish.native.emplace_back(name, wrapped(value));
  return std::nullopt;
}

bool holds_nul(const Raw& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().find('\0') != std::string::npos;
  return value.is_structured() && std::ranges::any_of(value, holds_nul);
}

std::optional<Error> check_names(const Raw& members) {
  constexpr std::size_t longest = 256;
  for (const auto& [name, value] : members.items()) {
    const bool model = name == "model" && value.is_string() &&
                       value.get_ref<const std::string&>().size() > longest;
    if (name.size() > longest || model) {
      return Error{ErrorKind::invalid_value,
                   fmt::format("Invalid '{}': string too long. It has at most {} bytes.",
                               shown(name), longest),
                   shown(name)};
    }
    if (holds_nul(value) || name.find('\0') != std::string::npos) {
      return Error{
          ErrorKind::invalid_value,
          fmt::format("Invalid '{}': text must not hold the character NUL.", shown_name(name)),
          shown_name(name)};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<SpeechRequest> parse_speech(std::string_view body, const RequestLimits& limits) {
  if (trim(body).empty()) return unreadable_speech("it is empty", {});
  if (body.size() > limits.max_text_bytes) {
    return Error{ErrorKind::body_too_large,
                 fmt::format("The request body has more than {} bytes.", limits.max_text_bytes)};
  }
  JsonLimits json_limits = limits.json;
  json_limits.unique_names = true;
  const Result<Raw> members = parse_raw(body, json_limits);
  if (!members) return unreadable_speech(members.error().message, members.error().field);
  if (!members->is_object()) return unreadable_speech("it is no object", {});
  if (auto fault = check_names(*members)) return *std::move(fault);
  SpeechRequest request{.wish = {.makes = Medium::audio, .makes_one = true}};
  for (const auto& [name, value] : members->items()) {
    if (value.is_null()) continue;
    if (auto fault = read_member(name, value, request)) return *std::move(fault);
  }
  Wish& wish = request.wish;
  if (!wish.model) return missing_parameter("model");
  if (!wish.prompt) return missing_parameter("input");
  // What some programs send in place of nothing.
  if (wish.instructions && trim(*wish.instructions) == "None") wish.instructions.reset();
  if (wish.output_format) wish.output_format = to_lower(trim(*wish.output_format));
  return request;
}

}  // namespace falproxy::inline v0::openai
