#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/schema.hpp"
#include "json/access.hpp"
#include "schema/names.hpp"

namespace falproxy::schema {
namespace {

using Raw = nlohmann::json;

bool no_other(std::string_view) noexcept { return false; }

// The first of the names that is there, else the first input that is named by that rule.
const Field* first_input(const ModelSchema& schema, std::initializer_list<std::string_view> names,
                         bool (*rule)(std::string_view) noexcept = no_other) noexcept {
  for (const std::string_view name : names) {
    if (const Field* field = schema.input(name)) return field;
  }
  const auto other =
      std::ranges::find_if(schema.inputs, [&](const Field& field) { return rule(field.name); });
  return other == schema.inputs.end() ? nullptr : &*other;
}

std::vector<std::string> string_choices(const Field* field) {
  std::vector<std::string> strings;
  if (field == nullptr) return strings;
  for (const Json& choice : choices(*field)) {
    if (const auto text = choice.as_string()) strings.emplace_back(*text);
  }
  return strings;
}

const Field* find_property(const Field& field, std::string_view name) {
  if (const Field* property = field.property(name)) return property;
  for (const Field& branch : field.branches) {
    if (const Field* property = find_property(branch, name)) return property;
  }
  return nullptr;
}

bool takes_unlisted(const Field& field) {
  if (field.branches.empty()) return field.allowed.empty();
  return field.allowed.empty() && std::ranges::any_of(field.branches, takes_unlisted);
}

// A size as [width, height].
bool takes_list(const Field& field) {
  return (field.types.array && field.allowed.empty()) ||
         std::ranges::any_of(field.branches, takes_list);
}

// The inputs that size a picture; null where the model has none.
struct SizeInputs {
  const Field* size = nullptr;
  const Field* width = nullptr;  // there only together with a height
  const Field* aspect_ratio = nullptr;
  const Field* resolution = nullptr;
};

SizeInputs size_inputs(const ModelSchema& schema) {
  SizeInputs inputs;
  inputs.size =
      first_input(schema, {"image_size", "size", "output_size", "canvas_size", "shot_size"});
  for (const std::string_view side : {"width", "image_width", "output_width", "target_width"}) {
    const std::string height = fmt::format("{}height", side.substr(0, side.size() - 5));
    if (inputs.width == nullptr && schema.input(height) != nullptr)
      inputs.width = schema.input(side);
  }
  // flux-kontext's resolution_mode is a list of ratios, whatever its name says.
  inputs.aspect_ratio = first_input(schema, {"aspect_ratio", "ratio", "output_aspect_ratio",
                                             "image_aspect_ratio", "resolution_mode"});
  inputs.resolution = first_input(schema, {"resolution", "output_resolution", "image_resolution"});
  return inputs;
}

const Field* count_input(const ModelSchema& schema) {
  return first_input(schema,
                     {"num_images", "number_of_images", "num_samples", "num_results", "n_images",
                      "image_count", "num_outputs", "batch_size", "n", "max_images"},
                     is_count_name);
}

const Field* format_input(const ModelSchema& schema) {
  return first_input(schema, {"output_format", "format", "image_format", "output_image_format"});
}

// Fooocus has pixels where its siblings have a ratio: "1024x1024".
bool defaults_to_pixels(const Field* field) {
  if (field == nullptr || !field->default_value || !takes_unlisted(*field)) return false;
  const auto text = field->default_value->as_string();
  const std::size_t cross = text ? text->find('x') : std::string_view::npos;
  return cross != std::string_view::npos && cross > 0 && cross + 1 < text->size() &&
         std::ranges::all_of(text->substr(0, cross), is_digit) &&
         std::ranges::all_of(text->substr(cross + 1), is_digit);
}

std::vector<std::string> ratio_choices(const Field* field) {
  std::vector<std::string> ratios = string_choices(field);
  if (field != nullptr && ratios.empty()) ratios = string_choices(find_property(*field, "ratio"));
  return ratios;
}

int most_images(const Field* count) {
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

std::string_view name_of(SizeControl control) {
  switch (control) {
    case SizeControl::none:
      return "none";
    case SizeControl::image_size:
      return "image_size";
    case SizeControl::width_height:
      return "width_height";
    case SizeControl::aspect_ratio:
      return "aspect_ratio";
    case SizeControl::resolution:
      return "resolution";
  }
  return "";
}

std::string_view name_of(ImageRole role) {
  switch (role) {
    case ImageRole::source:
      return "source";
    case ImageRole::mask:
      return "mask";
    case ImageRole::control:
      return "control";
    case ImageRole::reference:
      return "reference";
    case ImageRole::other:
      return "other";
  }
  return "";
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
  if (const auto listed = choices(field); !listed.empty()) {
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

Summary describe(const ModelSchema& schema) {
  const SizeInputs size = size_inputs(schema);
  Summary summary;
  summary.endpoint = schema.endpoint;
  summary.category = schema.category;
  summary.size_control = size.size != nullptr           ? SizeControl::image_size
                         : size.width != nullptr        ? SizeControl::width_height
                         : size.aspect_ratio != nullptr ? SizeControl::aspect_ratio
                         : size.resolution != nullptr   ? SizeControl::resolution
                                                        : SizeControl::none;
  summary.sizes = string_choices(size.size);
  summary.ratios = ratio_choices(size.aspect_ratio);
  summary.resolutions = string_choices(size.resolution);
  summary.free_size = size.width != nullptr || defaults_to_pixels(size.aspect_ratio) ||
                      (size.size != nullptr &&
                       (find_property(*size.size, "width") != nullptr || takes_list(*size.size)));
  summary.max_n = most_images(count_input(schema));
  summary.takes_images = !schema.image_fields.empty();
  summary.requires_image = std::ranges::any_of(schema.image_fields, &ImageField::required);
  const Field* prompt = schema.input("prompt");
  summary.requires_prompt = prompt != nullptr && prompt->required;
  summary.formats = string_choices(format_input(schema));
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

Json inputs_to_json(const ModelSchema& schema) {
  Raw inputs = Raw::array();
  for (const Field& field : schema.inputs) {
    Raw& input = inputs.emplace_back(form_property(field));
    const auto image = std::ranges::find(schema.image_fields, field.name, &ImageField::name);
    if (image != schema.image_fields.end()) input["image"] = name_of(image->role);
  }
  return Json::Access::wrap(std::move(inputs));
}

}  // namespace falproxy::schema
