#include "settings/json_file.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/fmt.hpp"
#include "falproxy/suggest.hpp"

namespace falproxy::inline v0 {
namespace {

// json.hpp's errors say "at byte N: ...".
int line_of_error(std::string_view message, std::string_view text) {
  constexpr std::string_view lead = "at byte ";
  std::size_t byte = 0;
  if (!message.starts_with(lead)) return 0;
  std::from_chars(message.data() + lead.size(), message.data() + message.size(), byte);
  // The byte after the last one read: a fault at a line's end belongs to that line.
  const std::string_view before = text.substr(0, byte == 0 ? 0 : byte - 1);
  return 1 + static_cast<int>(std::ranges::count(before, '\n'));
}

}  // namespace

Result<Json, std::vector<SettingsFault>> parse_json_file(std::string_view& text,
                                                         const std::string& file,
                                                         std::string_view variable,
                                                         std::string_view example) {
  using Faults = std::vector<SettingsFault>;
  if (text.starts_with("\uFEFF")) text.remove_prefix(3);
  const std::string name(variable);
  // As many values as ten thousand keys have.
  Result<Json> root = Json::parse(text, {.max_values = 1'000'000});
  if (!root) {
    const std::string& message = root.error().message;
    return Faults{
        {file, line_of_error(message, text), name, "is not JSON: " + message, "mend it there"}};
  }
  if (!root->is_object())
    return Faults{{file, 1, name, "is not an object", fmt::format("write {}", example)}};
  return *std::move(root);
}

void JsonFileReader::unknown_key(std::string_view key, const std::vector<std::string_view>& keys) {
  const std::string_view near = nearest(key, keys);
  fault("is not a known key", near.empty() ? fmt::format("known keys are {}", fmt::join(keys, ", "))
                                           : fmt::format("did you mean \"{}\"?", near));
}

void JsonFileReader::not_a_word(const Json& value, const std::vector<std::string_view>& names) {
  const std::string_view near = nearest(value.as_string().value_or(""), names);
  fault(fmt::format("is not one of \"{}\"", fmt::join(names, "\", \"")),
        fmt::format("write \"{}\"", near.empty() ? names.front() : near));
}

void JsonFileReader::read_boolean(const Json& value, bool& into) {
  const std::optional<bool> on = value.as_boolean();
  if (!on.has_value())
    return fault("is neither true nor false", "write true or false, without quotes");
  into = *on;
}

void JsonFileReader::fault(std::string message, std::string mend) {
  faults_.push_back(
      {file_, lines_.line_of(path_), dotted(path_), std::move(message), std::move(mend)});
}

JsonFileReader::Faults JsonFileReader::take_faults() {
  std::ranges::stable_sort(faults_, {}, &SettingsFault::line);
  return std::move(faults_);
}

std::string JsonFileReader::dotted(const JsonLines::Path& path) {
  return fmt::format("{}", fmt::join(path, "."));
}

}  // namespace falproxy::inline v0
