#include "surfaces/openai_images/fields.hpp"

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/words.hpp"
#include "json/access.hpp"
#include "wish/size.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

struct TextField {
  std::string_view name;
  std::optional<std::string> Wish::* member;
  bool is_choice = false;  ///< OpenAI has words for it
};
constexpr TextField text_fields[] = {
    {"background", &Wish::background, true},
    {"input_fidelity", &Wish::input_fidelity, true},
    {"model", &Wish::model},
    {"moderation", &Wish::moderation, true},
    {"output_format", &Wish::output_format},
    {"prompt", &Wish::prompt},
    {"quality", &Wish::quality, true},
    {"style", &Wish::style},
    {"user", &Wish::user},
};

// Names that mean something only if a picture is made.
bool is_of_pictures(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 9> names = {
      "background",         "input_fidelity",  "moderation",
      "output_compression", "output_format",   "quality",
      "partial_images",     "response_format", "style"};
  return std::ranges::find(names, name) != names.end();
}

// "High" is "high"; a word that is none of OpenAI's may be the model's own, and stays as it is.
std::string in_openai_spelling(const std::string& word) {
  constexpr std::array<std::string_view, 10> words = {
      "auto", "low", "medium", "high", "standard", "hd", "max", "xhigh", "transparent", "opaque"};
  std::string lower = to_lower(word);
  return std::ranges::find(words, lower) == words.end() ? word : lower;
}

struct IntegerField {
  std::string_view name;
  std::optional<int> Wish::* member;
  int minimum, maximum;
};
// `n` is bounded by MAX_IMAGES_PER_REQUEST instead.
constexpr IntegerField integer_fields[] = {
    {"n", &Wish::n, 1, 0},
    {"output_compression", &Wish::output_compression, 0, 100},
    {"partial_images", &Wish::partial_images, 0, 3},
};

// "landscape_16_9", "2K", "auto_2K": whether the model knows it, its document tells.
bool may_be_word(std::string_view text) noexcept {
  constexpr std::size_t longest = 48;
  const auto is_sign = [](char c) { return c == 'x' || c == 'X' || !is_alpha(c); };
  return text.size() <= longest && !std::ranges::all_of(text, is_sign);
}

// What native fields say of the size; a value that makes no sense is left to the model's document.
SizeWish size_from_native(const Raw& members) noexcept {
  const auto edge = [&](std::string_view name) -> std::uint32_t {
    const auto found = members.find(name);
    const std::optional<std::int64_t> pixels =
        found == members.end() ? std::nullopt : as_integer(*found);
    return pixels && *pixels >= 1 && *pixels <= max_edge ? static_cast<std::uint32_t>(*pixels) : 0;
  };
  const std::uint32_t width = edge("width");
  const std::uint32_t height = edge("height");
  if (width != 0 && height != 0) return {SizeWish::Kind::pixels, width, height};
  const auto ratio = members.find("aspect_ratio");
  if (ratio == members.end() || !ratio->is_string()) return {};
  return parse_ratio(ratio->get_ref<const std::string&>()).value_or(SizeWish{});
}

Json wrap(Raw& value) { return Json::Access::wrap(std::move(value)); }

// Moves text out; none and a fault where it is no text.
std::optional<std::string> take_text(std::string_view name, Raw& value,
                                     std::optional<Error>& fault) {
  if (!value.is_string()) {
    fault = invalid_type(name, "a string", wrap(value));
    return std::nullopt;
  }
  return std::move(value.get_ref<std::string&>());
}

std::optional<Error> read_integer(const IntegerField& field, int maximum, Raw& value,
                                  Wish& request) {
  const Json json = wrap(value);
  if (!json.is_numeric()) return invalid_type(field.name, "an integer", json);
  const double approximate = *json.as_number();
  if (approximate < field.minimum || approximate > maximum) {
    return out_of_range(field.name, field.minimum, maximum, json);
  }
  const std::optional<std::int64_t> integer = json.as_integer();
  if (!integer.has_value()) return invalid_type(field.name, "an integer", json);
  request.*field.member = static_cast<int>(*integer);
  return std::nullopt;
}

std::optional<Error> read_size(Raw& value, Wish& request) {
  std::optional<Error> fault;
  const std::optional<std::string> text = take_text("size", value, fault);
  if (!text.has_value() || text->empty()) return fault;
  const std::string_view wanted = trim(*text);
  const std::optional<SizeWish> size = parse_size(wanted);
  if (!size.has_value() && !may_be_word(wanted)) return unsupported_size(*text);
  request.size = size.value_or(SizeWish{});
  if (!size.has_value()) request.size_word = std::string(wanted);
  return std::nullopt;
}

std::optional<Error> read_response_format(Raw& value, Wish& request) {
  std::optional<Error> fault;
  const std::optional<std::string> text = take_text("response_format", value, fault);
  if (!text.has_value() || text->empty()) return fault;
  request.response_format = value_in(response_formats, *text == "base64" ? "b64_json" : *text);
  if (!request.response_format.has_value())
    return unsupported_value("response_format", *text, {"url", "b64_json"});
  return std::nullopt;
}

std::optional<Error> read_stream(Raw& value, Wish& request) {
  if (!value.is_boolean()) return invalid_type("stream", "a boolean", wrap(value));
  request.stream = value.get<bool>();
  return std::nullopt;
}

std::optional<Error> check_output_format(Wish& request) {
  if (!request.output_format.has_value()) return std::nullopt;
  const std::vector<std::string> known = {"png", "jpeg", "webp", "gif", "svg", "avif"};
  std::string format = to_lower(*request.output_format);
  if (format == "jpg") format = "jpeg";
  if (std::ranges::find(known, format) == known.end()) {
    return unsupported_value("output_format", *request.output_format, known);
  }
  request.output_format = std::move(format);
  return std::nullopt;
}

std::optional<Error> read_field(const std::string& name, Raw& value, const RequestLimits& limits,
                                Wish& request) {
  if (request.makes != Medium::image && is_of_pictures(name)) {
    if (value != "") request.native.emplace_back(name, wrap(value));
    return std::nullopt;
  }
  if (name == "size") return read_size(value, request);
  if (name == "stream") return read_stream(value, request);
  if (name == "response_format") return read_response_format(value, request);
  for (const IntegerField& field : integer_fields) {
    if (field.name != name) continue;
    return read_integer(field, name == "n" ? limits.max_images : field.maximum, value, request);
  }
  for (const TextField& field : text_fields) {
    if (field.name != name) continue;
    std::optional<Error> fault;
    std::optional<std::string> text = take_text(name, value, fault);
    // An empty choice is none: form fields and clients' settings arrive so. Nobody asks for blanks.
    if (!text.has_value() || text->empty()) return fault;
    if (field.member == &Wish::prompt && trim(*text).empty()) return fault;
    if (field.is_choice) text = in_openai_spelling(*text);
    request.*field.member = std::move(text);
    return fault;
  }
  request.native.emplace_back(name, wrap(value));
  return std::nullopt;
}

// Names go into Notes, logs and records, and no model has one that is longer.
std::optional<Error> check_lengths(const Raw& members) {
  constexpr std::size_t longest = 256;
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (member.key().size() <= longest) continue;
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{}': the name of a field has at most {} bytes.",
                             shown(member.key()), longest),
                 shown(member.key())};
  }
  const auto model = members.find("model");
  if (model == members.end() || !model->is_string()) return std::nullopt;
  const std::size_t length = model->get_ref<const std::string&>().size();
  if (length <= longest) return std::nullopt;
  return Error{ErrorKind::invalid_value,
               fmt::format("Invalid 'model': string too long. Expected a string with maximum "
                           "length {}, but got a string with length {} instead.",
                           longest, length),
               "model"};
}

}  // namespace

std::optional<Error> read_fields(Raw& members, const RequestLimits& limits, Wish& request) {
  if (std::optional<Error> fault = check_lengths(members)) return fault;
  const SizeWish native_size = size_from_native(members);
  std::optional<std::string> safety_identifier;
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (member->is_null()) continue;
    std::optional<Error> fault;
    if (member.key() == "safety_identifier") {
      safety_identifier = take_text(member.key(), *member, fault);
    } else {
      fault = read_field(member.key(), *member, limits, request);
    }
    if (fault.has_value()) return fault;
  }
  if (!request.user.has_value()) request.user = std::move(safety_identifier);
  const bool open =
      request.size.kind == SizeWish::Kind::none || request.size.kind == SizeWish::Kind::automatic;
  if (open && !request.size_word && native_size.kind != SizeWish::Kind::none)
    request.size = native_size;
  return check_output_format(request);
}

FieldForm form_of(std::string_view field, Medium makes) noexcept {
  if (makes != Medium::image && is_of_pictures(field)) return FieldForm::native;
  if (field == "stream") return FieldForm::boolean;
  if (std::ranges::find(integer_fields, field, &IntegerField::name) != std::end(integer_fields)) {
    return FieldForm::integer;
  }
  const bool text =
      field == "size" || field == "response_format" || field == "safety_identifier" ||
      std::ranges::find(text_fields, field, &TextField::name) != std::end(text_fields);
  return text ? FieldForm::text : FieldForm::native;
}

}  // namespace falproxy::inline v0::openai
