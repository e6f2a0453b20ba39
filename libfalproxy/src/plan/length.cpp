// How long a video or a sound is to be, told in seconds.

#include "wish/length.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fmt.hpp"
#include "plan/draft.hpp"
#include "profile/names.hpp"
#include "profile/roles.hpp"
#include "profile/shapes.hpp"
#include "profile/vocabulary.hpp"
#include "profile/whole_numbers.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

constexpr double longest = 1e6;

// A length that is further away is another one: half a video, or double the price.
constexpr double furthest = 1.5;

// What a list of lengths has, or the limits, for a message.
std::string lengths_of(const Field& input) {
  if (std::string values = list_values(input); !values.empty()) return values;
  std::string text;
  if (input.minimum) text = fmt::format("from {}", *input.minimum);
  if (input.maximum) text += fmt::format("{}to {}", text.empty() ? "" : " ", *input.maximum);
  return text;
}

// What stands behind the number in a text: "s" of "5s".
std::string unit_shown(const Field& input) {
  std::vector<Json> shown = input.examples;
  if (input.default_value) shown.insert(shown.begin(), *input.default_value);
  for (const Json& value : shown) {
    const auto text = value.as_string();
    if (!text || !read_length(value)) continue;
    const std::size_t end = text->find_last_of("0123456789");
    return std::string(text->substr(end == std::string_view::npos ? text->size() : end + 1));
  }
  return {};
}

// In the unit of the model's input; none: of frames, and nobody says how many make a second.
std::optional<double> units_in_a_second(const Draft& draft) {
  if (draft.profile.length_unit == LengthUnit::seconds) return 1;
  if (draft.profile.length_unit == LengthUnit::milliseconds) return 1000;
  const Field* rate = draft.profile[Role::frame_rate];
  if (rate == nullptr) return std::nullopt;
  if (const Draft::Entry* entry = draft.find(rate)) return read_length(entry->value);
  return rate->default_value ? read_length(*rate->default_value) : std::nullopt;
}

}  // namespace

std::optional<Json> nearest_number(const Field& input, double wanted) {
  std::optional<Json> nearest;
  double nearest_distance = std::numeric_limits<double>::max();
  const auto offer = [&](const Json& value, double length) {
    const double distance = std::abs(length - wanted) + (length > wanted ? 1e-9 : 0);
    if (distance >= nearest_distance || schema::check(input, value, input.name)) return;
    nearest = value;
    nearest_distance = distance;
  };
  for_each_listed(input, [&](const Json& value) {
    if (const std::optional<double> length = read_length(value)) offer(value, *length);
  });
  const std::string unit = unit_shown(input);
  for_each_shape(input, [&](const Field& shape) {
    if (!shape.allowed.empty()) return;
    const double whole = whole_numbers(shape, 1, longest).nearest(wanted);
    if (shape.types.number) {
      const double inside = std::min(std::max(wanted, shape.minimum.value_or(wanted)),
                                     shape.maximum.value_or(wanted));
      offer(Json::number(inside), inside);
    }
    if (takes_number(shape)) offer(Json::integer(static_cast<std::int64_t>(whole)), whole);
    if (shape.types.string) offer(Json::string(fmt::format("{}{}", whole, unit)), whole);
  });
  return nearest;
}

std::optional<double> length_in_seconds(const Draft& draft) {
  const Field* input = draft.profile[Role::length];
  if (input == nullptr) return std::nullopt;
  const Draft::Entry* entry = draft.find(input);
  if (entry == nullptr && !input->default_value) return std::nullopt;
  const std::optional<double> length =
      read_length(entry != nullptr ? entry->value : *input->default_value);
  const std::optional<double> units = units_in_a_second(draft);
  if (!length || !units || !(*units > 0) || !(*length > 0)) return std::nullopt;
  return *length / *units;
}

std::optional<Error> send_seconds(Draft& draft) {
  const std::optional<double>& seconds = draft.request.seconds;
  if (!seconds) return std::nullopt;
  const Field* input = draft.profile[Role::length];
  const Json value = Json::number(*seconds);
  if (input != nullptr && !draft.has(input)) return send_length(draft, "seconds", value);
  draft.drop("seconds", value,
             input == nullptr ? std::string("dropped: the model has nothing for it")
                              : fmt::format("dropped: '{}' has a value already", input->name));
  return std::nullopt;
}

bool means_length(const Draft& draft, std::string_view name) {
  const Field* input = draft.profile[Role::length];
  if (input == nullptr || draft.has(input)) return false;
  const std::string plain = snake_case(name);
  return plain == "seconds" ||
         (words("inputs", "length").has(plain) && length_unit(plain) == LengthUnit::seconds);
}

std::optional<Error> send_length(Draft& draft, std::string_view name, const Json& value) {
  const Field& input = *draft.profile[Role::length];
  const std::optional<double> seconds = read_length(value);
  if (!seconds || !(*seconds > 0) || *seconds > longest) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{}': it must be a number of seconds.", name),
                 std::string(name)};
  }
  const std::optional<double> units = units_in_a_second(draft);
  if (!units) {
    draft.drop(name, value, "dropped: the model counts frames, and not how many make a second");
    return std::nullopt;
  }
  std::optional<Json> nearest = nearest_number(input, *seconds * *units);
  if (!nearest) {
    draft.drop(name, value, fmt::format("dropped: '{}' does not take it", input.name));
    return std::nullopt;
  }
  const double made = read_length(*nearest).value_or(0) / *units;
  if (made <= 0 || std::max(made / *seconds, *seconds / made) > furthest + 1e-9) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{}': this model cannot make {} seconds. What '{}' takes{}: "
                             "{}.",
                             name, *seconds, input.name,
                             draft.profile.length_unit == LengthUnit::frames ? " (frames)" : "",
                             lengths_of(input)),
                 std::string(name)};
  }
  if (draft.profile.length_unit != LengthUnit::seconds || read_length(*nearest) != *seconds) {
    draft.note(name, fmt::format("{} seconds became {} {}", *seconds, input.name,
                                 nearest->as_string() ? std::string(*nearest->as_string())
                                                      : nearest->dump()));
  }
  draft.send(input, *std::move(nearest), Source::native, name, "the nearest length that it takes");
  return std::nullopt;
}

}  // namespace falproxy::inline v0::plan
