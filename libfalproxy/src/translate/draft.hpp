// draft.hpp: one request on its way to a model: what is to be sent so far, and why.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/translate.hpp"
#include "translate/inputs.hpp"

namespace falproxy::translate {

/// Who gave a value: the request by one of OpenAI's fields or by one of the model's own, or the
/// operator. Each step takes the draft further; the first value of an input stays, so that the
/// order of the steps is the order of precedence.
enum class Source { openai, native, operator_default, operator_override, document };

struct Draft {
  Draft(const openai::ImageRequest& the_request, const schema::ModelSchema& the_schema,
        const ModelSettings& the_settings, const Options& the_options)
      : request(the_request),
        schema(the_schema),
        settings(the_settings),
        options(the_options),
        inputs(the_schema) {
    entries.reserve(12);
    plan.mappings.reserve(16);
  }

  struct Entry {
    const schema::Field* field;
    Json value;
    Source source;
  };

  const openai::ImageRequest& request;
  const schema::ModelSchema& schema;
  const ModelSettings& settings;
  const Options& options;
  const Inputs inputs;
  std::vector<Entry> entries = {};
  std::vector<ImageSlot> slots = {};
  FalPlan plan = {};

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
};

// The steps. Each returns the error that ends the mapping, if any.

/// Overrides, the request's native fields; defaults come last of all.
[[nodiscard]] std::optional<Error> send_overrides(Draft& draft);
[[nodiscard]] std::optional<Error> send_native_fields(Draft& draft);
[[nodiscard]] std::optional<Error> send_defaults(Draft& draft);
[[nodiscard]] std::optional<Error> send_prompt(Draft& draft);
/// Images and mask, as placeholders and slots.
[[nodiscard]] std::optional<Error> place_images(Draft& draft);
void send_size(Draft& draft);
/// output_format, output_compression, quality, style, background, moderation, input_fidelity, user.
[[nodiscard]] std::optional<Error> send_looks(Draft& draft);
/// What of them is known beforehand, for the answer.
void tell_looks(Draft& draft);
/// response_format and sync_mode.
void choose_response_format(Draft& draft);
/// What the document requires and nobody gave: its default where it has one, else an error that
/// names it.
[[nodiscard]] std::optional<Error> fill_required(Draft& draft);
/// Cuts the draft into jobs.
[[nodiscard]] std::optional<Error> make_jobs(Draft& draft);

/// The field that `request.size` came from: "size", or the model's own "width" or "aspect_ratio"
/// where the request has those instead.
[[nodiscard]] std::string_view size_field(const openai::ImageRequest& request);
/// "'a', 'b', 'c'" of an enum's values.
[[nodiscard]] std::string list_values(const schema::Field& field);

}  // namespace falproxy::translate
