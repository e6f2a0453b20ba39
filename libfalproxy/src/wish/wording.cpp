#include "wish/wording.hpp"

#include "base/fmt.hpp"
#include "base/utf8.hpp"
#include "wish/size.hpp"

namespace falproxy::inline v0::wording {
namespace {

std::string_view with_article(const Json& value) {
  switch (value.kind()) {
    case Json::Kind::null:
      return "null";
    case Json::Kind::boolean:
      return "a boolean";
    case Json::Kind::integer:
      return "an integer";
    case Json::Kind::number:
      return "a decimal number";
    case Json::Kind::string:
      return "a string";
    case Json::Kind::array:
      return "an array";
    case Json::Kind::object:
      return "an object";
  }
  return "something else";
}

}  // namespace

std::string shown(std::string_view text) { return cut(text, 100); }

std::string shown_name(std::string_view name) { return is_utf8(name) ? shown(name) : "?"; }

Error missing_parameter(std::string_view field) {
  return {ErrorKind::missing_parameter, fmt::format("Missing required parameter: '{}'.", field),
          std::string(field)};
}

Error invalid_type(std::string_view field, std::string_view expected, const Json& got) {
  return {ErrorKind::invalid_type,
          fmt::format("Invalid type for '{}': expected {}, but got {} instead.", field, expected,
                      with_article(got)),
          std::string(field)};
}

Error unsupported_value(std::string_view field, std::string_view got,
                        const std::vector<std::string>& supported) {
  std::string list;
  for (std::size_t i = 0; i < supported.size(); ++i) {
    const bool last = i + 1 == supported.size();
    if (i > 0) list += last ? (supported.size() > 2 ? ", and " : " and ") : ", ";
    list += "'" + supported[i] + "'";
  }
  return {ErrorKind::invalid_value,
          fmt::format("Invalid value: '{}'. Supported values are: {}.", shown(got), list),
          std::string(field)};
}

Error unsupported_size(std::string_view got, std::string_view own) {
  return {
      ErrorKind::invalid_value,
      fmt::format("Invalid value: '{}'. Supported values are: 'auto', and WIDTHxHEIGHT in pixels "
                  "up to {}, for example '1024x1024'{}{}.",
                  shown(got), max_edge, own.empty() ? "" : ", and the model's own: ", own),
      "size"};
}

Error out_of_range(std::string_view field, std::int64_t minimum, std::int64_t maximum,
                   const Json& got) {
  const bool below = got.as_number().value_or(0) < static_cast<double>(minimum);
  return {ErrorKind::invalid_value,
          fmt::format("Invalid '{}': integer {} value. Expected a value {} {}, but got {} instead.",
                      field, below ? "below minimum" : "above maximum",
                      below ? ">=" : "<=", below ? minimum : maximum, got.dump()),
          std::string(field)};
}

Error unsupported_file(std::string_view field, std::string_view got) {
  const bool picture = got.starts_with("image/");
  return {ErrorKind::unsupported_file,
          fmt::format("Invalid file '{}': unsupported mimetype ('{}'). Supported file formats are "
                      "'image/jpeg', "
                      "'image/png', 'image/webp', 'image/gif', and 'image/avif'.{}",
                      field, got, picture ? " Save the picture as JPEG or PNG." : ""),
          std::string(field)};
}

}  // namespace falproxy::inline v0::wording
