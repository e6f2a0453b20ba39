// schema.hpp: what a fal model takes and gives, read from its OpenAPI document.
//
// A ModelSchema is an immutable value: share it between threads freely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

/// What a model takes and gives, read from its OpenAPI document.
namespace falproxy::inline v0::schema {

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
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Types& types);

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
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const FalLimits& limits);

struct Rule;  // how a schema is written; see src/schema/rule.hpp

/// One schema: of an input property, of the items of an array, or of one branch of an anyOf. $ref
/// and allOf are resolved into it; an anyOf of one schema and null is that schema, nullable. A
/// value must fit the field's own keywords and, if there are branches, at least one of them.
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
  std::shared_ptr<const FalLimits> fal_limits;  ///< null: none; see limits()
  /// Of an object: names that it must have and that are none of `properties`.
  std::vector<std::string> required_names;
  /// The schema keyword by keyword, which check() goes by; null: of an output, so never checked.
  std::shared_ptr<const Rule> written;

  /// Of pictures and their sizes; hints that fal itself does not enforce.
  [[nodiscard]] const FalLimits& limits() const noexcept;
  /// By name, of this object alone, not of its branches; null: none. Lives as long as the Field.
  [[nodiscard]] const Field* property(std::string_view property_name) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Field& field);

/// Every value that an enum or const lists, of the field itself and of its branches; empty: no list
/// anywhere. A value outside of it may still fit if a branch has no list (flux-pro's enum or
/// free string).
[[nodiscard]] std::vector<Json> choices(const Field& field);

/// One place where a value does not fit.
struct Fault {
  ErrorKind kind;       ///< see check()
  std::string pointer;  ///< to that place within the value: a JSON Pointer (RFC 6901)
  std::string path;     ///< the same for people, with the field's name: "loras[0].scale"
  std::string message;  ///< a sentence that names `path` and the mend
  /// But for the message.
  bool operator==(const Fault& other) const noexcept {
    return kind == other.kind && pointer == other.pointer && path == other.path;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Fault& fault);
/// Every place where `value` breaks a keyword of the schema, in the document's order; none: it
/// fits. Of alternatives (anyOf) that all refuse it, those of the one that it was meant for. The
/// keywords are those of JSON Schema 2020-12 but for the dynamic, remote and "unevaluated" ones,
/// and OpenAPI 3.0's `nullable`. Kinds, `path` and what is left unchecked: see check().
[[nodiscard]] std::vector<Fault> find_faults(const Field& field, const Json& value,
                                             std::string_view path);

/// The first of find_faults(): why `value` does not fit; none if it fits. `path` is the field's
/// own name. The message is a sentence for the person who sent it that names the place and the
/// mend: "'loras[0].scale' must be at most 4."; Error::field is that place. Kinds: invalid_type,
/// invalid_value, missing_parameter (of a nested object), unknown_parameter (of a closed one). A
/// pattern is left unchecked if checking might be slow: it or the value is longer than 256
/// bytes, or it repeats a lot; and if it is no ECMAScript expression. fal is then the one to
/// refuse.
[[nodiscard]] std::optional<Error> check(const Field& field, const Json& value,
                                         std::string_view path);

/// What a model's document says.
struct ModelSchema {
  std::string endpoint;        ///< from the document's one POST path
  std::string category;        ///< fal's own word: "text-to-image", ...; unreliable
  std::string thumbnail;       ///< address of a picture that shows what it makes; empty: none
  std::vector<Field> inputs;   ///< in fal's display order
  std::vector<Field> outputs;  ///< of its result; empty: the document describes none

  /// By name; null: the model has no such input. Lives as long as the schema.
  [[nodiscard]] const Field* input(std::string_view name) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ModelSchema& schema);

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

/// Reads an OpenAPI 3.0 document as fal serves it. `endpoint` chooses the POST path if there are
/// several; empty: the one that fal's own metadata names, or the only one. Input and output are
/// found through the paths, never by a schema's name. A reference that leads nowhere, and a schema
/// within itself, count as "any value"; keywords that are unknown, or of a type that they cannot
/// have, are passed over. Errors: invalid_document; `field` is the JSON Pointer (RFC 6901; empty:
/// the whole document) to what is at fault: not JSON, beyond a limit, a schema that is nothing but
/// itself, no POST, or a POST whose body is not described.
[[nodiscard]] Result<ModelSchema> analyze(std::string_view document, std::string_view endpoint = {},
                                          const AnalyzeLimits& limits = {});

/// What changed between two documents of one model, a line each ("added input 'seed' (integer)",
/// "'style': 'retro' is no longer allowed"); empty: nothing that matters. Words, examples and the
/// order of inputs do not matter.
[[nodiscard]] std::vector<std::string> diff(const ModelSchema& before, const ModelSchema& after);

}  // namespace falproxy::inline v0::schema
