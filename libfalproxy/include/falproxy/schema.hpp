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
  [[nodiscard]] bool any() const noexcept {
    return boolean || integer || number || string || array || object;
  }
  bool operator==(const Types&) const = default;
};

/// fal's machine-readable limits (`x-fal` on image_size and on image inputs); pixels, pixels
/// squared, width/height.
struct FalLimits {
  std::optional<double> min_width, max_width, min_height, max_height;
  std::optional<double> min_area, max_area, multiple_of;
  std::optional<double> min_aspect_ratio, max_aspect_ratio;
  std::optional<double> max_file_size;
  bool operator==(const FalLimits&) const = default;
};

/// One schema: of an input property, of the items of an array, or of one branch of an anyOf. $ref
/// and allOf are resolved into it; an anyOf of one schema and null is that schema, nullable. A
/// value fits when it fits the field's own keywords and, where there are branches, at least one of
/// them.
struct Field {
  std::string name;  ///< empty for items and branches
  Types types;       ///< none set: any type; with branches: what any of them takes
  bool required = false;
  bool nullable = false;
  bool deprecated = false;
  bool unique_items = false;
  bool closed =
      false;  ///< of an object: no properties but the named ones (additionalProperties: false)
  std::string title, description;  ///< white space runs are one space
  std::string format;              ///< a hint only: "uri", "binary", ...
  std::vector<Json> allowed;  ///< enum or const; empty: no list. null is told by `nullable` instead
  std::optional<Json> default_value;  ///< as written, null included
  std::vector<Json> examples;
  std::optional<double> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;
  std::optional<double> step;                         ///< a hint for forms only
  std::optional<std::size_t> min_length, max_length;  ///< of a string, in code points
  std::optional<std::size_t> min_items, max_items;
  std::string pattern;
  std::vector<Field> properties;            ///< of an object, in fal's display order
  std::shared_ptr<const Field> additional;  ///< of an object: its other members; null: any
  std::shared_ptr<const Field> items;       ///< of an array; null: any
  std::vector<Field> branches;  ///< anyOf and oneOf, the null branch left out; two or more, or none
  FalLimits limits;

  [[nodiscard]] const Field* property(std::string_view property_name) const noexcept;
};

/// Every value that an enum or const lists, of the field itself and of its branches; empty: no list
/// anywhere. A value outside of it may still fit where a branch has no list (flux-pro's enum or
/// free string).
[[nodiscard]] std::vector<Json> choices(const Field& field);

/// Why `value` does not fit; none where it fits. `path` is the field's own name. The message is a
/// sentence for the person who sent it that names the place and the mend: "'loras[0].scale' must be
/// at most 4."; Error::field is that place. Kinds: invalid_type, invalid_value, missing_parameter
/// (of a nested object), unknown_parameter (of a closed one). A pattern is left unchecked where
/// checking might be slow: it is longer than 256 bytes, repeats a lot, or the value is longer than
/// 4 KB; and where it is no ECMAScript expression. fal is then the one to refuse.
[[nodiscard]] std::optional<Error> check(const Field& field, const Json& value,
                                         std::string_view path);

/// How a model is told the size.
enum class SizeControl { none, image_size, width_height, aspect_ratio, resolution };

/// What the answer of a model holds.
struct Output {
  bool images = false;     ///< `images[]`
  bool image = false;      ///< `image{}`
  bool described = false;  ///< the document says anything at all of the answer
  bool operator==(const Output&) const = default;
};

/// What an image property is for, told from its name, type and description; patterns, no table of
/// models.
enum class ImageRole {
  source,  ///< the picture to work on; where no name says so, the first required picture that is no
           ///< mask
  mask,    ///< of the source: where to change it
  control,    ///< gives structure: edges, depth, pose
  reference,  ///< gives style, face, garment, subject
  other,
};
/// An input property that takes the address of a picture, or several.
struct ImageField {
  std::string name;
  std::string member = {};  ///< of an object, or of the objects of an array, the member with the
                            ///< address; empty: it is the address
  ImageRole role = ImageRole::other;
  bool array = false;
  bool required = false;
  std::size_t max_items = 0;  ///< of an array; 0: no limit written
};

/// Everything falproxy knows of a model.
struct ModelSchema {
  std::string endpoint;       ///< from the document's one POST path
  std::string category;       ///< fal's own word: "text-to-image", ...; unreliable
  std::vector<Field> inputs;  ///< in fal's display order
  Output output;
  std::vector<ImageField> image_fields;  ///< required ones first, sources first

  [[nodiscard]] const Field* input(std::string_view name) const noexcept;
};

struct AnalyzeLimits {
  std::size_t max_bytes = 8u << 20;  ///< of the text
  std::size_t max_depth =
      64;  ///< of the text, and of the schemas once their references are followed
  std::size_t max_values = 200'000;  ///< in the text
  std::size_t max_unfolded_bytes =
      16u << 20;  ///< of the schemas once their references are followed, roughly
};

/// Reads an OpenAPI 3.0 document as fal serves it. `endpoint` chooses the POST path where there are
/// several; empty: the one that fal's own metadata names, or the only one. Input and output are
/// found through the paths, never by a schema's name. A reference that leads nowhere, and a schema
/// within itself, count as "any value"; keywords that are unknown, or of a type that they cannot
/// have, are passed over. Errors: invalid_document; `field` is the JSON Pointer (RFC 6901; empty:
/// the whole document) to what is at fault: not JSON, beyond a limit, a schema that is nothing but
/// itself, no POST, or a POST whose body is not described.
[[nodiscard]] Result<ModelSchema> analyze(std::string_view document, std::string_view endpoint = {},
                                          const AnalyzeLimits& limits = {});

/// The summary that /v1/models, `falproxy models` and the page show.
struct Summary {
  std::string endpoint;
  std::string category;
  std::string document_date =
      {};  ///< ISO 8601; the document does not hold it: filled in by who fetched it
  SizeControl size_control = SizeControl::none;
  std::vector<std::string> sizes;   ///< presets, or WxH strings, of image_size
  std::vector<std::string> ratios;  ///< of aspect_ratio
  std::vector<std::string> resolutions;
  bool free_size = false;  ///< takes a width and a height of one's choice
  int max_n = 1;           ///< images of one job; 10 where the document writes no limit
  bool takes_images = false;
  bool requires_image = false;
  bool requires_prompt = false;
  std::vector<std::string> formats;  ///< output formats
};
[[nodiscard]] Summary describe(const ModelSchema& schema);
[[nodiscard]] Json to_json(const Summary& summary);

/// The inputs as a form can use them: an array in display order of objects with `name`, `type`
/// (boolean, integer, number, string, array, object; any for none or several) and `required`; and
/// where there is something to say `title`, `help`, `default`, `example`, `min`, `max`, `step`,
/// `min_length`, `max_length`, `min_items`, `max_items`, `pattern`, `nullable`, `deprecated`,
/// `enum` (with `free` true where other values fit, too), `image` (the ImageRole), `items` (one
/// such object), `properties` (an array of them), `any_of` (an array of them).
[[nodiscard]] Json inputs_to_json(const ModelSchema& schema);

/// What changed between two documents of one model, a line each ("added input 'seed' (integer)",
/// "'style': 'retro' is no longer allowed"); empty: nothing that matters. Words, examples and the
/// order of inputs do not matter.
[[nodiscard]] std::vector<std::string> diff(const ModelSchema& before, const ModelSchema& after);

}  // namespace falproxy::schema
