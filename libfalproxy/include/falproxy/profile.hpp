// profile.hpp: what a model makes and which of its inputs means what, worked out once from its
// document.
//
// A Profile is an immutable value: share it between threads freely.
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
#include "falproxy/schema.hpp"
#include "falproxy/vocabulary.hpp"

/// What a model makes and which of its inputs means what.
namespace falproxy::inline v0::profile {

/// What an input file is for, told from its name, type and description.
enum class Part : std::uint8_t {
  source,     ///< what is worked on, or what drives the result
  first,      ///< the first frame of a video
  mask,       ///< of the source: where to change it
  control,    ///< gives structure: edges, depth, pose
  reference,  ///< gives style, face, garment, subject
  voice,      ///< a sample to speak with
  last,       ///< the last frame of a video
  other       ///< something else: filled only if it is required
};

/// An input that takes the address of a file, or several.
struct MediaInput {
  std::string name;         ///< of the input
  std::string member = {};  ///< of an object, or of the objects of an array, the member with the
                            ///< address; empty: it is the address
  Medium medium = Medium::image;  ///< of the file
  Part part = Part::other;        ///< what the file is for
  bool array = false;             ///< takes several addresses
  bool required = false;          ///< the model does nothing without it
  std::size_t min_items = 1;      ///< of an array: addresses that it must have
  std::size_t max_items = 1;      ///< of an array: SIZE_MAX if the document says nothing
  /// Of an array: that the model looks at, as its description says in words; SIZE_MAX: at all.
  std::size_t most_used = SIZE_MAX;
  bool uses_last = false;  ///< of more than `most_used` the last ones, and not the first

  /// "image_url", "image_urls[]", "speakers[].audio_url".
  [[nodiscard]] std::string path() const;
  bool operator==(const MediaInput&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const MediaInput& input);

/// What an input that takes no file means.
enum class Role : std::uint8_t {
  text,   ///< what is asked for in words, or is to be spoken
  guide,  ///< another text beside it: how, and not what
  count,
  per_run,  ///< results of each of `count` runs: the job brings the product
  seed,
  format,
  compression,
  quality,
  style,
  background,
  transparency,  ///< a switch: true is a transparent background
  moderation,
  safety_switch,  ///< true: results are checked
  tolerance,      ///< the higher, the more is let through
  fidelity,
  delivery,  ///< whether the file comes inside the result
  user,
  limit_runs,  ///< a switch: true makes no more than was asked for
  length,
  frame_rate,  ///< there only if `length` is in frames
  voice,
  speed,
  language,
  task,      ///< of what makes text of a sound: as it is spoken, or in English
  timing,    ///< of what makes text of a sound: how closely it tells times
  speakers,  ///< of what makes text of a sound: a switch: true tells who speaks
};
/// As written above.
[[nodiscard]] std::string_view name_of(Role role) noexcept;

/// An input with its role.
struct RoleInput {
  Role role;                   ///< what it means
  std::string path;            ///< "prompt", "voice_setting.speed", "inputs[].text"
  const schema::Field* field;  ///< the one at the end of the path; lives as long as the Profile
  /// The same role at the same path, whichever document the field belongs to.
  bool operator==(const RoleInput& other) const noexcept {
    return role == other.role && path == other.path;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RoleInput& input);

/// The unit of Role::length.
enum class LengthUnit : std::uint8_t { seconds, milliseconds, frames };
/// As written above.
[[nodiscard]] std::string_view name_of(LengthUnit value) noexcept;

/// A place in a result, and what stands there.
struct Output {
  std::string path;  ///< "images[].url"
  Medium medium;     ///< of what stands there
  bool operator==(const Output&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Output& output);

struct SizeControls;  // see src/profile/sizes.hpp

/// Everything falproxy knows of a model. Copies share what they are made of.
struct Profile {
  std::shared_ptr<const schema::ModelSchema> schema;  ///< never null
  std::optional<Medium> makes;    ///< none: nothing that has a medium (a number, an id)
  std::vector<RoleInput> roles;   ///< at most one for each role
  std::vector<MediaInput> media;  ///< those that were taught, then required ones, each in the order
                                  ///< of Part
  LengthUnit length_unit = LengthUnit::seconds;  ///< of Role::length
  std::shared_ptr<const SizeControls> sizes;     ///< never null
  MaskConvention mask = MaskConvention::either;  ///< what its masks mean
  std::vector<Output> outputs;                   ///< what the endpoint is for
  std::vector<Output> beside;                    ///< what comes with it
  std::string times = {};  ///< the list in the result that has the times of words; empty: none

  /// Null: the model has no such input, or it stands within another one.
  [[nodiscard]] const schema::Field* operator[](Role role) const noexcept;
  /// Null: the model has no such input.
  [[nodiscard]] const RoleInput* find(Role role) const noexcept;
  /// By its name; null: no file goes there.
  [[nodiscard]] const MediaInput* file(std::string_view name) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Profile& profile);

/// `taught` overrules what the document says of itself; what of it names no input is passed over.
[[nodiscard]] Profile make_profile(std::shared_ptr<const schema::ModelSchema> schema,
                                   const Teaching& taught = {});

/// The same of a document's text. `endpoint`: as schema::analyze() takes it. Errors:
/// invalid_document.
[[nodiscard]] Result<std::shared_ptr<const Profile>> read_profile(std::string_view document,
                                                                  std::string_view endpoint = {},
                                                                  const Teaching& taught = {});

/// The voices that a model lists, else those that its document shows as examples; empty: it has
/// none, or does not tell.
[[nodiscard]] std::vector<std::string> voices_of(const Profile& profile);

/// How a model is told the size.
enum class SizeControl {
  none,          ///< by nothing: its pictures have the size that it likes
  image_size,    ///< one input for both sides: presets, WxH or an object
  width_height,  ///< two inputs, in pixels
  aspect_ratio,  ///< a shape; the model chooses the pixels
  resolution     ///< a tier alone ("2K")
};
/// As written above.
[[nodiscard]] std::string_view name_of(SizeControl value) noexcept;

/// The summary that /v1/models, `falproxy models` and the page show.
struct Summary {
  std::string endpoint;  ///< ModelSchema::endpoint
  std::string category;  ///< ModelSchema::category
  /// ISO 8601; the document does not hold it: filled in by who fetched it.
  std::string document_date = {};
  SizeControl size_control = SizeControl::none;  ///< the most precise one that the model has
  std::vector<std::string> sizes;                ///< presets, or WxH strings
  std::vector<std::string> ratios;               ///< shapes
  std::vector<std::string> resolutions;          ///< tiers such as "2K"
  bool free_size = false;                        ///< takes a width and a height of one's choice
  int max_n = 1;                     ///< results of one job; 10 if the document writes no limit
  bool takes_images = false;         ///< any input for pictures
  bool requires_image = false;       ///< not without a picture: an edit endpoint
  bool requires_prompt = false;      ///< not without a text
  std::vector<std::string> formats;  ///< output formats
  bool operator==(const Summary&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Summary& summary);
/// document_date stays empty.
[[nodiscard]] Summary describe(const Profile& profile);
/// An object with the members of Summary by their names; document_date only if it is known.
[[nodiscard]] Json to_json(const Summary& summary);

/// The inputs as a form can use them: an array in display order of objects with `name`, `type`
/// (boolean, integer, number, string, array, object; any for none or several) and `required`; and
/// if there is something to say `title`, `help`, `default`, `example`, `min`, `max`, `step`,
/// `min_length`, `max_length`, `min_items`, `max_items`, `pattern`, `nullable`, `deprecated`,
/// `enum` (with `free` true if other values fit, too), `image` (the Part of a picture), `medium`
/// (of the file that it takes), `role` (its Role), `items` (one such object), `properties` (an
/// array of them), `any_of` (an array of them).
[[nodiscard]] Json inputs_to_json(const Profile& profile);

/// What was made of the document: `makes`, each role by its name, `media` (path to [part, medium]),
/// `size` (path to the kinds of its values), `length` ([path, unit], and the path of the frames per
/// second), `outputs`, `beside`, `times`.
[[nodiscard]] Json to_json(const Profile& profile);

/// "source", "first", ...
[[nodiscard]] std::string_view name_of(Part part) noexcept;

}  // namespace falproxy::inline v0::profile
