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

/// What a model takes and gives, read from its OpenAPI document.
namespace falproxy::schema {

/// The JSON types that a value may have; `null` is kept apart in Field::nullable.
struct Types {
  bool boolean = false;  ///< `true`, `false`
  bool integer = false;  ///< whole numbers, written as 2 or 2.0
  bool number = false;   ///< integers included
  bool string = false;   ///< `type: file` of Swagger 2 included
  bool array = false;    ///< see Field::items
  bool object = false;   ///< see Field::properties and Field::additional
  /// False: nothing was said, so any type will do.
  [[nodiscard]] bool any() const noexcept {
    return boolean || integer || number || string || array || object;
  }
  bool operator==(const Types&) const = default;
};

/// fal's machine-readable limits (`x-fal` on image_size and on image inputs); pixels, pixels
/// squared, width/height.
struct FalLimits {
  std::optional<double> min_width,         ///< pixels
      max_width,                           ///< pixels
      min_height,                          ///< pixels
      max_height;                          ///< pixels
  std::optional<double> min_area,          ///< width times height (`min_area`, `min_pixels`)
      max_area,                            ///< width times height (`max_area`, `max_pixels`)
      multiple_of;                         ///< pixels; of both sides
  std::optional<double> min_aspect_ratio,  ///< width / height
      max_aspect_ratio;                    ///< width / height
  std::optional<double> max_file_size;     ///< of the picture's file, in bytes
  bool operator==(const FalLimits&) const = default;
};

/// One schema: of an input property, of the items of an array, or of one branch of an anyOf. $ref
/// and allOf are resolved into it; an anyOf of one schema and null is that schema, nullable. A
/// value fits when it fits the field's own keywords and, where there are branches, at least one of
/// them.
struct Field {
  std::string name;           ///< empty for items and branches
  Types types;                ///< none set: any type; with branches: what any of them takes
  bool required = false;      ///< of an input or a property: its object must have it
  bool nullable = false;      ///< takes null, beside what else the field says
  bool deprecated = false;    ///< fal discourages it; it still works
  bool unique_items = false;  ///< of an array: no element twice
  /// Of an object: no properties but the named ones (additionalProperties: false).
  bool closed = false;
  std::string title,          ///< for people; never the name of a $ref's schema; empty: none
      description;            ///< for people; white space runs are one space; empty: none
  std::string format;         ///< a hint only: "uri", "binary", ...
  std::vector<Json> allowed;  ///< enum or const; empty: no list. null is told by `nullable` instead
  std::optional<Json> default_value;  ///< as written, null included
  /// `examples`, else `example` as the only one; not checked against the rest.
  std::vector<Json> examples;
  std::optional<double> minimum,          ///< the least value allowed (also `ge`, `min`)
      maximum,                            ///< the greatest value allowed (also `le`, `max`)
      exclusive_minimum,                  ///< must be more (also `gt`; the flag of OpenAPI 3.0)
      exclusive_maximum,                  ///< must be less (also `lt`; the flag of OpenAPI 3.0)
      multiple_of;                        ///< of the value; above 0
  std::optional<double> step;             ///< a hint for forms only
  std::optional<std::size_t> min_length,  ///< of a string, in code points
      max_length;                         ///< of a string, in code points
  std::optional<std::size_t> min_items,   ///< of an array
      max_items;                          ///< of an array
  std::string pattern;            ///< a regular expression (ECMA-262), not anchored; empty: none
  std::vector<Field> properties;  ///< of an object, in fal's display order
  std::shared_ptr<const Field> additional;  ///< of an object: its other members; null: any
  std::shared_ptr<const Field> items;       ///< of an array; null: any
  std::vector<Field> branches;  ///< anyOf and oneOf, the null branch left out; two or more, or none
  FalLimits limits;  ///< of pictures and their sizes; hints that fal itself does not enforce

  /// By name, of this object alone, not of its branches; null: none. Lives as long as the Field.
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
/// checking might be slow: it or the value is longer than 256 bytes, or it repeats a lot; and where
/// it is no ECMAScript expression. fal is then the one to refuse.
[[nodiscard]] std::optional<Error> check(const Field& field, const Json& value,
                                         std::string_view path);

/// How a model is told the size.
enum class SizeControl {
  none,          ///< by nothing: its pictures have the size that it likes
  image_size,    ///< one input for both sides: presets, WxH or an object
  width_height,  ///< two inputs, in pixels
  aspect_ratio,  ///< a shape; the model chooses the pixels
  resolution     ///< a tier alone ("2K")
};

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
  other,      ///< something else: filled only where it is required
};
/// An input property that takes the address of a picture, or several.
struct ImageField {
  std::string name;         ///< of the input
  std::string member = {};  ///< of an object, or of the objects of an array, the member with the
                            ///< address; empty: it is the address
  ImageRole role = ImageRole::other;  ///< by the words of its name, then its description
  bool array = false;                 ///< takes several addresses
  bool required = false;              ///< the model does nothing without it
  std::size_t min_items = 1;          ///< of an array: addresses that it must have
  std::size_t max_items = 1;          ///< of an array: SIZE_MAX where the document says nothing
};

/// Everything falproxy knows of a model.
struct ModelSchema {
  std::string endpoint;                  ///< from the document's one POST path
  std::string category;                  ///< fal's own word: "text-to-image", ...; unreliable
  std::vector<Field> inputs;             ///< in fal's display order
  Output output;                         ///< what of an answer the document promises
  std::vector<ImageField> image_fields;  ///< required ones first, sources first

  /// By name; null: the model has no such input. Lives as long as the schema.
  [[nodiscard]] const Field* input(std::string_view name) const noexcept;
};

/// How much of a document analyze() reads, so that a hostile one costs little.
struct AnalyzeLimits {
  std::size_t max_bytes = 8u << 20;  ///< of the text
  std::size_t max_depth = 64;        ///< of the text
  std::size_t max_values = 200'000;  ///< in the text
  /// Of the schemas once their references are followed. Each takes up to 5 kB of the caller's
  /// stack; fal's own documents have at most 12.
  std::size_t max_nesting = 32;
  /// Of the schemas once their references are followed, roughly.
  std::size_t max_unfolded_bytes = 16u << 20;
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
  std::string endpoint;  ///< ModelSchema::endpoint
  std::string category;  ///< ModelSchema::category
  /// ISO 8601; the document does not hold it: filled in by who fetched it.
  std::string document_date = {};
  SizeControl size_control = SizeControl::none;  ///< the most precise one that the model has
  std::vector<std::string> sizes;                ///< presets, or WxH strings, of image_size
  std::vector<std::string> ratios;               ///< of aspect_ratio
  std::vector<std::string> resolutions;          ///< of resolution: tiers such as "2K"
  bool free_size = false;                        ///< takes a width and a height of one's choice
  int max_n = 1;                     ///< images of one job; 10 where the document writes no limit
  bool takes_images = false;         ///< any input of a role
  bool requires_image = false;       ///< not without a picture: an edit endpoint
  bool requires_prompt = false;      ///< an input `prompt` is required
  std::vector<std::string> formats;  ///< output formats
};
/// Told from the inputs alone; document_date stays empty.
[[nodiscard]] Summary describe(const ModelSchema& schema);
/// An object with the members of Summary by their names; document_date only where it is known.
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
