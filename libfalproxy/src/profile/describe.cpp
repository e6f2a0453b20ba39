#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/profile.hpp"
#include "json/access.hpp"
#include "profile/roles.hpp"
#include "profile/shapes.hpp"
#include "profile/sizes.hpp"

namespace falproxy::inline v0::profile {
namespace {

using Raw = nlohmann::json;
using schema::Field;
using schema::Types;

// What stands in an input's list, as text.
std::vector<std::string> string_choices(const Field* field) {
  std::vector<std::string> strings;
  if (field == nullptr) return strings;
  for_each_listed(*field, [&](const Json& choice) {
    if (const auto text = choice.as_string()) strings.emplace_back(*text);
  });
  return strings;
}

bool takes_unlisted(const Field& field) {
  if (field.branches.empty()) return field.allowed.empty();
  return field.allowed.empty() && std::ranges::any_of(field.branches, takes_unlisted);
}

int most_results(const Field* count) {
  constexpr double no_limit_written = 10;
  if (count == nullptr) return 1;
  std::optional<double> most = count->maximum;
  if (count->exclusive_maximum)
    most = std::min(most.value_or(*count->exclusive_maximum),
                    std::ceil(*count->exclusive_maximum) - 1);
  for (const Json& choice : choices(*count)) {
    if (const auto number = choice.as_number()) most = std::max(most.value_or(*number), *number);
  }
  return static_cast<int>(std::clamp(std::floor(most.value_or(no_limit_written)), 1.0, 1000.0));
}

bool is_picture(const MediaInput& input) noexcept { return input.medium == Medium::image; }

void describe_sizes(const SizeControls& sizes, Summary& summary) {
  const auto at_least = [&](SizeControl control) {
    const bool more_precise =
        summary.size_control == SizeControl::none || control < summary.size_control;
    if (more_precise) summary.size_control = control;
  };
  for (const PixelControl& control : sizes.pixels) {
    const bool two = control.shape == PixelControl::Shape::two_inputs;
    at_least(two ? SizeControl::width_height : SizeControl::image_size);
    summary.free_size = true;
  }
  for (const WordControl& control : sizes.words) {
    const bool sized = control.has_pixels() || !(control.has_shapes() || control.has_tiers());
    const bool shaped = control.has_shapes();
    at_least(sized    ? SizeControl::image_size
             : shaped ? SizeControl::aspect_ratio
                      : SizeControl::resolution);
    auto& list = sized ? summary.sizes : shaped ? summary.ratios : summary.resolutions;
    for (const WordControl::Word& word : control.words) {
      if (const auto text = word.value->as_string()) list.emplace_back(*text);
    }
  }
  for (const TextControl& control : sizes.texts) {
    at_least(control.pixels ? SizeControl::image_size : SizeControl::aspect_ratio);
    summary.free_size = summary.free_size || control.pixels;
  }
  for (const NumberControl& control : sizes.numbers)
    at_least(control.ratio ? SizeControl::aspect_ratio : SizeControl::resolution);
}

std::string_view form_type(const Types& types) {
  const int kinds =
      types.boolean + (types.integer || types.number) + types.string + types.array + types.object;
  if (kinds != 1) return "any";
  if (types.boolean) return "boolean";
  if (types.number) return "number";
  if (types.integer) return "integer";
  if (types.string) return "string";
  return types.array ? "array" : "object";
}

// A whole number reads as one: a form would show 20.0.
Raw number(double value) {
  const Raw whole = static_cast<std::int64_t>(std::clamp(value, -9e15, 9e15));
  return whole == value ? whole : Raw(value);
}

Raw raw_array(const std::vector<Json>& values) {
  Raw array = Raw::array();
  for (const Json& value : values) array.push_back(Json::Access::raw(value));
  return array;
}

void write_bounds(const Field& field, Raw& json) {
  const double least_step = field.types.number ? 0 : 1;
  if (field.minimum) json["min"] = number(*field.minimum);
  if (field.maximum) json["max"] = number(*field.maximum);
  if (field.exclusive_minimum) json["min"] = number(*field.exclusive_minimum + least_step);
  if (field.exclusive_maximum) json["max"] = number(*field.exclusive_maximum - least_step);
  if (field.multiple_of) {
    json["step"] = number(*field.multiple_of);
  } else if (field.step) {
    json["step"] = number(*field.step);
  }
  if (field.min_length) json["min_length"] = *field.min_length;
  if (field.max_length) json["max_length"] = *field.max_length;
  if (field.min_items) json["min_items"] = *field.min_items;
  if (field.max_items) json["max_items"] = *field.max_items;
}

Raw form_property(const Field& field);

Raw form_field(const Field& field) {
  Raw json = {{"type", form_type(field.types)}};
  if (!field.title.empty()) json["title"] = field.title;
  if (!field.description.empty()) json["help"] = field.description;
  if (!field.pattern.empty()) json["pattern"] = field.pattern;
  if (field.nullable) json["nullable"] = true;
  if (field.deprecated) json["deprecated"] = true;
  if (field.default_value) json["default"] = Json::Access::raw(*field.default_value);
  if (!field.examples.empty()) json["example"] = Json::Access::raw(field.examples.front());
  if (const auto listed = schema::choices(field); !listed.empty()) {
    json["enum"] = raw_array(listed);
    if (takes_unlisted(field)) json["free"] = true;
  }
  write_bounds(field, json);
  if (field.items != nullptr) json["items"] = form_field(*field.items);
  for (const Field& property : field.properties)
    json["properties"].push_back(form_property(property));
  for (const Field& branch : field.branches) json["any_of"].push_back(form_field(branch));
  return json;
}

Raw form_property(const Field& field) {
  Raw json = form_field(field);
  json["name"] = field.name;
  json["required"] = field.required;
  return json;
}

}  // namespace

Summary describe(const Profile& profile) {
  const SizeControls& sizes = *profile.sizes;
  Summary summary;
  summary.endpoint = profile.schema->endpoint;
  summary.category = profile.schema->category;
  describe_sizes(sizes, summary);
  summary.max_n = most_results(profile[Role::count]);
  summary.takes_images = std::ranges::any_of(profile.media, is_picture);
  summary.requires_image = std::ranges::any_of(
      profile.media, [](const MediaInput& input) { return input.required && is_picture(input); });
  const Field* text = profile[Role::text];
  summary.requires_prompt = text != nullptr && text->required;
  summary.formats = string_choices(profile[Role::format]);
  return summary;
}

Json to_json(const Summary& summary) {
  Raw json = {{"endpoint", summary.endpoint},
              {"category", summary.category},
              {"size_control", name_of(summary.size_control)},
              {"sizes", summary.sizes},
              {"ratios", summary.ratios},
              {"resolutions", summary.resolutions},
              {"free_size", summary.free_size},
              {"max_n", summary.max_n},
              {"takes_images", summary.takes_images},
              {"requires_image", summary.requires_image},
              {"requires_prompt", summary.requires_prompt},
              {"formats", summary.formats}};
  if (!summary.document_date.empty()) json["document_date"] = summary.document_date;
  return Json::Access::wrap(std::move(json));
}

Json inputs_to_json(const Profile& profile) {
  Raw inputs = Raw::array();
  for (const Field& field : profile.schema->inputs) {
    Raw& input = inputs.emplace_back(form_property(field));
    const MediaInput* file = profile.file(field.name);
    if (file != nullptr && is_picture(*file)) input["image"] = name_of(file->part);
    if (file != nullptr) input["medium"] = name_of(file->medium);
    for (const RoleInput& role : profile.roles) {
      if (role.path == field.name) input["role"] = name_of(role.role);
    }
  }
  return Json::Access::wrap(std::move(inputs));
}

Json to_json(const Profile& profile) {
  Raw json = {{"makes", profile.makes ? Raw(name_of(*profile.makes)) : Raw()},
              {"media", Raw::object()},
              {"size", Raw::object()},
              {"outputs", Raw::object()}};
  for (const RoleInput& input : profile.roles) {
    if (input.role == Role::length) {
      json["length"] = {input.path, name_of(profile.length_unit)};
      if (const RoleInput* rate = profile.find(Role::frame_rate))
        json["length"].push_back(rate->path);
    } else if (input.role != Role::frame_rate) {
      json[std::string(name_of(input.role))] = input.path;
    }
  }
  for (const MediaInput& input : profile.media)
    json["media"][input.path()] = {name_of(input.part), name_of(input.medium)};
  for (const auto& [path, kind] : size_kinds(*profile.sizes)) {
    Raw& kinds = json["size"][path];
    if (std::find(kinds.begin(), kinds.end(), Raw(kind)) == kinds.end()) kinds.push_back(kind);
  }
  for (const Output& output : profile.outputs)
    json["outputs"][output.path] = name_of(output.medium);
  for (const Output& output : profile.beside) json["beside"][output.path] = name_of(output.medium);
  if (!profile.times.empty()) json["times"] = profile.times;
  return Json::Access::wrap(std::move(json));
}

}  // namespace falproxy::inline v0::profile
