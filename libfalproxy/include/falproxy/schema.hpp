// schema.hpp: what a fal model takes and gives, read from its OpenAPI document.
//
// A ModelSchema is an immutable value: share it between threads freely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/result.hpp"

namespace falproxy::schema {

/// The JSON types that a value may have; `null` is kept apart in Field::nullable.
struct Types {
  bool boolean = false;
  bool integer = false;
  bool number = false;  ///< integers included
  bool string = false;
  bool array = false;
  bool object = false;
  [[nodiscard]] bool any() const noexcept { return boolean || integer || number || string || array || object; }
  bool operator==(const Types&) const = default;
};

/// fal's machine-readable limits (`x-fal` on image_size and on image inputs); pixels, pixels squared, width/height.
struct FalLimits {
  std::optional<double> min_width, max_width, min_height, max_height;
  std::optional<double> min_area, max_area, multiple_of;
  std::optional<double> min_aspect_ratio, max_aspect_ratio;
  std::optional<double> max_file_size;
  bool operator==(const FalLimits&) const = default;
};

/// One schema: of an input property, of the items of an array, or of one branch of an anyOf.
/// A value fits when it fits the field's own keywords and, where there are branches, at least one of them.
struct Field {
  std::string name;  ///< empty for items and branches
  Types types;       ///< none set: any type
  bool required = false;
  bool nullable = false;
  bool deprecated = false;
  std::string title, description;
  std::vector<Json> allowed;            ///< enum or const; empty: no list
  std::optional<Json> default_value;    ///< as written, null included
  std::vector<Json> examples;
  std::optional<double> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;
  std::optional<std::size_t> min_length, max_length, min_items, max_items;
  std::string pattern;
  std::vector<Field> properties;        ///< of an object
  std::shared_ptr<const Field> items;   ///< of an array; null: any
  std::vector<Field> branches;          ///< anyOf and oneOf, the null branch left out
  FalLimits limits;

  [[nodiscard]] const Field* property(std::string_view property_name) const noexcept;
};

/// Why `value` does not fit, in words for the person who sent it ("must be one of ...", "must be at most 20");
/// none where it fits. `path` receives where in the value it failed ("loras[0].scale").
[[nodiscard]] std::optional<Error> check(const Field& field, const Json& value, std::string_view path);

/// How a model is told the size.
enum class SizeControl { none, image_size, width_height, aspect_ratio, resolution };

/// What the answer of a model holds.
struct Output {
  bool images = false;  ///< `images[]`
  bool image = false;   ///< `image{}`
  bool described = false;  ///< the document says anything at all of the answer
  bool operator==(const Output&) const = default;
};

/// What an image property is for, told from its name, type and description.
enum class ImageRole { source, mask, control, reference, other };
struct ImageField {
  std::string name;
  ImageRole role = ImageRole::other;
  bool array = false;
  bool required = false;
  std::size_t max_items = 0;  ///< of an array; 0: no limit written
};

/// Everything falproxy knows of a model.
struct ModelSchema {
  std::string endpoint;                 ///< from the document's one POST path
  std::string category;                 ///< fal's own word: "text-to-image", ...; unreliable
  std::vector<Field> inputs;            ///< in fal's display order
  Output output;
  std::vector<ImageField> image_fields; ///< required ones first, sources first

  [[nodiscard]] const Field* input(std::string_view name) const noexcept;
};

struct AnalyzeLimits {
  std::size_t max_bytes = 8u << 20;
  std::size_t max_depth = 64;
  std::size_t max_values = 200'000;
};

/// Reads an OpenAPI 3.0 document as fal serves it. `endpoint` chooses the POST path where there are several; empty: the one.
/// Errors: invalid_document; `field` is a JSON Pointer to what is at fault.
[[nodiscard]] Result<ModelSchema> analyze(std::string_view document, std::string_view endpoint = {},
                                          const AnalyzeLimits& limits = {});

/// The summary that /v1/models, `falproxy models` and the page show.
struct Summary {
  std::string endpoint;
  std::string category;
  SizeControl size_control = SizeControl::none;
  std::vector<std::string> sizes;    ///< presets, or WxH strings, of image_size; empty where any size goes
  std::vector<std::string> ratios;   ///< of aspect_ratio
  std::vector<std::string> resolutions;
  bool free_size = false;            ///< takes exact pixels
  int max_n = 1;                     ///< images of one job
  bool takes_images = false;
  bool requires_image = false;
  bool requires_prompt = false;
  std::vector<std::string> formats;  ///< output formats
};
[[nodiscard]] Summary describe(const ModelSchema& schema);
[[nodiscard]] Json to_json(const Summary& summary);
/// The inputs as a form can use them: name, type, default, bounds, enum, title, description.
[[nodiscard]] Json inputs_to_json(const ModelSchema& schema);

/// What changed between two documents of one model, a line each ("added input 'seed'"); empty: nothing that matters.
[[nodiscard]] std::vector<std::string> diff(const ModelSchema& before, const ModelSchema& after);

}  // namespace falproxy::schema
