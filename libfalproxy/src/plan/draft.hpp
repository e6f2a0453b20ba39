// draft.hpp: one request on its way to a model: what is to be sent so far, and why.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/settings.hpp"
#include "profile/shapes.hpp"
#include "profile/sizes.hpp"

namespace falproxy::inline v0::plan {

using profile::Part;
using profile::Role;

/// Who gave a value: the request by one of OpenAI's fields or by one of the model's own, or the
/// operator. Each step takes the draft further; the first value of an input stays, so that the
/// order of the steps is the order of precedence.
enum class Source { openai, native, operator_default, operator_override, document };

/// The size that a request asks for, in whichever of its fields.
struct AskedSize {
  SizeWish wish = {};
  std::optional<double> area = std::nullopt;   ///< pixels squared, of a tier: alone or with a ratio
  std::string_view field = "size";             ///< where it stands
  std::string_view word = {};                  ///< of `size`, as the model may list it
  std::string shape = {}, tier = {};           ///< for Notes, as the client wrote it
  std::vector<std::string_view> natives = {};  ///< that say it, and are not sent as they are

  [[nodiscard]] bool said_by(std::string_view name) const noexcept;
  /// "16:9, 2K"; empty: nothing is asked for.
  [[nodiscard]] std::string text() const;
};

struct Draft {
  Draft(const Wish& the_request, const profile::Profile& the_profile,
        const ModelSettings& the_settings, const Options& the_options,
        std::optional<double> the_chance)
      : request(the_request),
        profile(the_profile),
        schema(*the_profile.schema),
        settings(the_settings),
        options(the_options),
        chance(the_chance) {
    entries.reserve(12);
    plan.mappings.reserve(16);
  }

  struct Entry {
    const schema::Field* field;
    Json value;
    Source source;
  };

  const Wish& request;
  const profile::Profile& profile;
  const schema::ModelSchema& schema;
  const ModelSettings& settings;
  const Options& options;
  const std::optional<double> chance;  // see make_plan()
  AskedSize asked = {};
  std::vector<Entry> entries = {};
  std::vector<FileSlot> slots = {};
  std::vector<std::string> said_within = {};  ///< paths of inputs that stand within an entry
  Plan plan = {};

  [[nodiscard]] const Entry* find(const schema::Field* field) const noexcept;
  [[nodiscard]] bool has(const schema::Field* field) const noexcept {
    return find(field) != nullptr;
  }

  /// `from` is the OpenAI or native field that the value came from; empty: none.
  void send(const schema::Field& field, Json value, Source source, std::string_view from,
            std::string why);
  /// An OpenAI or native field that does not reach the model; `why` is its Note ("dropped: ...").
  void drop(std::string_view field, Json value, std::string why);
  void note(std::string_view field, std::string text);
  /// The plan's Notes end with the number of those that are too many.
  void count_notes();

 private:
  std::size_t more_notes_ = 0;
};

// The steps. Each returns the error that ends the mapping, if any.

[[nodiscard]] std::optional<Error> read_size(Draft& draft);
/// Overrides, the request's native fields; defaults come last of all.
[[nodiscard]] std::optional<Error> send_overrides(Draft& draft);
[[nodiscard]] std::optional<Error> send_native_fields(Draft& draft);
[[nodiscard]] std::optional<Error> send_defaults(Draft& draft);
/// Wish::seconds.
[[nodiscard]] std::optional<Error> send_seconds(Draft& draft);
[[nodiscard]] std::optional<Error> send_prompt(Draft& draft);
/// Images and mask, as placeholders and slots.
[[nodiscard]] std::optional<Error> place_images(Draft& draft);
/// The input of the picture that is worked on, once it has a value; null: there is none.
[[nodiscard]] const profile::MediaInput* source_input(const Draft& draft);
void send_size(Draft& draft);
/// What a video is made with that nobody asked for: it costs, and clients of OpenAI's know no such
/// defaults.
void tell_defaults(Draft& draft);
/// How much the jobs will bring, for who pays.
void tell_quantities(Draft& draft);
/// The length that is sent, or the one that the document has; none: it has none in seconds.
[[nodiscard]] std::optional<double> length_in_seconds(const Draft& draft);
/// output_format, output_compression, quality, style, background, moderation, input_fidelity, user.
[[nodiscard]] std::optional<Error> send_looks(Draft& draft);
/// What of them is known beforehand, for the answer.
void tell_looks(Draft& draft);
/// response_format and sync_mode.
void choose_response_format(Draft& draft);
/// What the document requires and nobody gave: its default where it has one, else an error that
/// names it.
[[nodiscard]] std::optional<Error> fill_required(Draft& draft);
/// The seed that the document has every time, where nothing else is sent.
[[nodiscard]] std::optional<std::int64_t> fixed_seed(const Draft& draft);
/// Whether `chance` is to decide the seed.
[[nodiscard]] bool needs_random_seed(const Draft& draft);
/// Cuts the draft into jobs.
[[nodiscard]] std::optional<Error> make_jobs(Draft& draft);

/// A model that makes something else than the wish asks for, as far as its document tells.
[[nodiscard]] std::optional<Error> check_medium(const Draft& draft);
[[nodiscard]] bool asks_for_a_size(const Draft& draft) noexcept;
/// Whether a field of that name can only have the address of a picture, or of several.
[[nodiscard]] bool names_pictures(std::string_view name);
/// The input for pictures that a field can only mean, which the model has under another name; null:
/// none.
[[nodiscard]] const profile::MediaInput* pictures_meant(const Draft& draft, std::string_view name);
[[nodiscard]] std::optional<Error> send_pictures(Draft& draft, const std::string& name,
                                                 const Json& value,
                                                 const profile::MediaInput& input);
/// Whether a field that the model does not have can only mean how long the result is to be.
[[nodiscard]] bool means_length(const Draft& draft, std::string_view name);
[[nodiscard]] std::optional<Error> send_length(Draft& draft, std::string_view name,
                                               const Json& value);
/// The value nearest to a number that an input takes, whether it lists values or has bounds; of two
/// that are as near the smaller one; none: it takes none at all.
[[nodiscard]] std::optional<Json> nearest_number(const schema::Field& input, double wanted);
/// gpt-image and chatgpt-image models: what OpenAI's own do by default holds for them.
[[nodiscard]] bool has_openai_name(const Wish& request);
/// "'a', 'b', 'c'" of an enum's values.
[[nodiscard]] std::string list_values(const schema::Field& field);

}  // namespace falproxy::inline v0::plan
