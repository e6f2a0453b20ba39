#include "openai/fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "json/access.hpp"
#include "openai/wording.hpp"

namespace falproxy::openai {
namespace {

using Raw = nlohmann::json;

struct TextField {
  std::string_view name;
  std::optional<std::string> ImageRequest::*member;
  bool is_choice = false;  ///< OpenAI has words for it
};
constexpr TextField text_fields[] = {
    {"background", &ImageRequest::background, true},
    {"input_fidelity", &ImageRequest::input_fidelity, true},
    {"model", &ImageRequest::model},
    {"moderation", &ImageRequest::moderation, true},
    {"output_format", &ImageRequest::output_format},
    {"prompt", &ImageRequest::prompt},
    {"quality", &ImageRequest::quality, true},
    {"style", &ImageRequest::style},
    {"user", &ImageRequest::user},
};

// "High" is "high"; a word that is none of OpenAI's may be the model's own, and stays as it is.
std::string in_openai_spelling(const std::string& word) {
  constexpr std::array<std::string_view, 10> words = {
      "auto", "low", "medium", "high", "standard", "hd", "max", "xhigh", "transparent", "opaque"};
  std::string lower = to_lower(word);
  return std::ranges::find(words, lower) == words.end() ? word : lower;
}

struct IntegerField {
  std::string_view name;
  std::optional<int> ImageRequest::*member;
  int minimum, maximum;
};
// `n` is bounded by MAX_IMAGES_PER_REQUEST instead.
constexpr IntegerField integer_fields[] = {
    {"n", &ImageRequest::n, 1, 0},
    {"output_compression", &ImageRequest::output_compression, 0, 100},
    {"partial_images", &ImageRequest::partial_images, 0, 3},
};

constexpr std::uint32_t max_edge =
    16384;  // beyond it no model of fal's goes (ImageSize ends at 14142)

std::optional<std::uint32_t> number(std::string_view digits) noexcept {
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return value;
}

bool is_edge(std::uint32_t pixels) noexcept { return pixels >= 1 && pixels <= max_edge; }

std::optional<SizeWish> parse_size(std::string_view text) noexcept {
  if (equal_ignoring_case(text, "auto")) return SizeWish{SizeWish::Kind::automatic};
  const std::size_t times = text.find_first_of("xX");
  if (times == std::string_view::npos) return std::nullopt;
  const auto width = number(text.substr(0, times));
  const auto height = number(text.substr(times + 1));
  if (!width || !height || !is_edge(*width) || !is_edge(*height)) return std::nullopt;
  return SizeWish{SizeWish::Kind::pixels, *width, *height};
}

// "16:9", "19.5:9": the terms in lowest numbers.
std::optional<SizeWish> parse_ratio(std::string_view text) noexcept {
  // A term in tenths.
  const auto tenths = [](std::string_view term) -> std::optional<std::uint32_t> {
    const std::size_t point = std::min(term.find('.'), term.size());
    const auto whole = number(term.substr(0, point));
    if (!whole || *whole > max_edge) return std::nullopt;
    if (point == term.size()) return *whole * 10;
    const std::string_view fraction = term.substr(point + 1);
    if (fraction.size() != 1 || !is_digit(fraction.front())) return std::nullopt;
    return *whole * 10 + static_cast<std::uint32_t>(fraction.front() - '0');
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto width = tenths(trim(text.substr(0, colon)));
  const auto height = tenths(trim(text.substr(colon + 1)));
  if (!width || !height || *width == 0 || *height == 0) return std::nullopt;
  const std::uint32_t divisor = std::gcd(*width, *height);
  return SizeWish{SizeWish::Kind::ratio, *width / divisor, *height / divisor};
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
                                  ImageRequest& request) {
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

std::optional<Error> read_size(Raw& value, ImageRequest& request) {
  std::optional<Error> fault;
  const std::optional<std::string> text = take_text("size", value, fault);
  if (!text.has_value() || text->empty()) return fault;
  const std::optional<SizeWish> size = parse_size(trim(*text));
  if (!size.has_value()) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid value: '{}'. Supported values are: 'auto', and WIDTHxHEIGHT "
                             "in pixels up to {}, "
                             "for example '1024x1024'.",
                             shown(*text), max_edge),
                 "size"};
  }
  request.size = *size;
  return std::nullopt;
}

std::optional<Error> read_response_format(Raw& value, ImageRequest& request) {
  std::optional<Error> fault;
  const std::optional<std::string> text = take_text("response_format", value, fault);
  if (!text.has_value() || text->empty()) return fault;
  if (*text == "url") request.response_format = ResponseFormat::url;
  if (*text == "b64_json") request.response_format = ResponseFormat::b64_json;
  if (!request.response_format.has_value())
    return unsupported_value("response_format", *text, {"url", "b64_json"});
  return std::nullopt;
}

std::optional<Error> read_stream(Raw& value, ImageRequest& request) {
  if (!value.is_boolean()) return invalid_type("stream", "a boolean", wrap(value));
  request.stream = value.get<bool>();
  return std::nullopt;
}

std::optional<Error> check_output_format(ImageRequest& request) {
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
                                ImageRequest& request) {
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
    // An empty choice is none: form fields and clients' settings arrive so.
    if (!text.has_value() || text->empty()) return fault;
    if (field.is_choice) text = in_openai_spelling(*text);
    request.*field.member = std::move(text);
    return fault;
  }
  request.native.emplace_back(name, wrap(value));
  return std::nullopt;
}

}  // namespace

std::optional<Error> read_fields(Raw& members, const RequestLimits& limits, ImageRequest& request) {
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
  if (open && native_size.kind != SizeWish::Kind::none) request.size = native_size;
  return check_output_format(request);
}

FieldForm form_of(std::string_view field) noexcept {
  if (field == "stream") return FieldForm::boolean;
  if (std::ranges::find(integer_fields, field, &IntegerField::name) != std::end(integer_fields)) {
    return FieldForm::integer;
  }
  const bool text =
      field == "size" || field == "response_format" || field == "safety_identifier" ||
      std::ranges::find(text_fields, field, &TextField::name) != std::end(text_fields);
  return text ? FieldForm::text : FieldForm::native;
}

}  // namespace falproxy::openai
