#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "base/name_pattern.hpp"
#include "base/text.hpp"
#include "base/words.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/suggest.hpp"
#include "settings/json_file.hpp"

namespace falproxy::inline v0 {
namespace {

class ModelsFileReader : JsonFileReader {
 public:
  ModelsFileReader(std::string_view text, const std::string& file,
                   std::optional<std::span<const ModelRoute>> models)
      : JsonFileReader(text, file), models_(models) {}

  Result<ModelSettingsMap, Faults> read(const Json& root) {
    ModelSettingsMap all;
    for (const std::string_view name : root.keys()) {
      const Json value = *root.find(name);
      path_ = {std::string(name)};
      if (!value.is_object()) {
        fault("is not an object", fmt::format(R"(write "{}": {{...}})", name));
      } else {
        check_name(name);
        all.emplace(name, model(value, name));
      }
    }
    if (faults_.empty()) return all;
    return take_faults();
  }

 private:
  friend JsonFileReader;
  template <class Into>
  using Row = JsonFileReader::Row<ModelsFileReader, Into>;

  ModelSettings model(const Json& value, std::string_view name) {
    ModelSettings settings;
    path_ = {std::string(name)};
    read_members(value, std::span<const Row<ModelSettings>>(rows), settings);
    return settings;
  }

  void check_name(std::string_view name) {
    if (models_.has_value() && route(name) == nullptr) unknown_model(name);
  }

  void unknown_model(std::string_view name) {
    std::vector<std::string_view> names;
    for (const ModelRoute& known : *models_) names.push_back(known.name);
    const std::string_view near = nearest(name, names);
    fault(fmt::format("'{}' is no name in SUPPORTED_MODELS", name),
          near.empty() ? "add it there, or leave it out here"
                       : fmt::format("did you mean '{}'?", near));
  }

  void read_fields(const Json& value, std::vector<std::pair<std::string, Json>>& into) {
    if (!value.is_object())
      return fault("is not an object", R"(write it like {"guidance_scale": 3.5})");
    for (const std::string_view field : value.keys()) {
      const Json member = *value.find(field);
      if (!member.is_null()) into.emplace_back(field, member);
    }
  }
  void read_defaults(const Json& value, ModelSettings& into) { read_fields(value, into.defaults); }
  void read_overrides(const Json& value, ModelSettings& into) {
    read_fields(value, into.overrides);
  }

  void read_inputs(const Json& value, ModelSettings& into) {
    constexpr std::string_view example = R"(write it like {"prompt": "my_text"})";
    if (!value.is_object()) return fault("is not an object", std::string(example));
    for (const std::string_view meaning : value.keys()) {
      const Json name = *value.find(meaning);
      path_.emplace_back(meaning);
      if (std::ranges::find(taught_meanings, meaning) == taught_meanings.end()) {
        const std::string_view near = nearest(meaning, taught_meanings);
        fault("is nothing that an input can mean",
              near.empty() ? fmt::format("known are {}", fmt::join(taught_meanings, ", "))
                           : fmt::format("did you mean \"{}\"?", near));
      } else if (!name.is_null() && name.as_string().value_or("").empty()) {
        fault("is not the name of an input", std::string(example));
      } else if (!name.is_null()) {
        into.taught.inputs.emplace_back(meaning, *name.as_string());
      }
      path_.pop_back();
    }
  }
  void read_outputs(const Json& value, ModelSettings& into) {
    const std::optional<std::string_view> path = value.as_string();
    if (!path.has_value() || path->empty())
      return fault("is not a place in a result",
                   R"(write it like "render.frame" or "shots[].url")");
    into.taught.outputs = std::string(*path);
  }

  void read_response_format(const Json& value, ModelSettings& into) {
    read_word(value, into.response_format, response_formats);
  }
  void read_completion(const Json& value, ModelSettings& into) {
    read_word(value, into.completion, completions);
  }
  void read_mask(const Json& value, ModelSettings& into) {
    read_word(value, into.mask, mask_conventions);
  }

  void read_endpoint(const Json& value, std::string_view example, std::string& into) {
    const std::string mend = fmt::format("write an endpoint id such as \"{}\"", example);
    const std::optional<std::string_view> text = value.as_string();
    if (!text.has_value()) return fault("is not a string", mend);
    const EndpointSyntax endpoint = read_endpoint_syntax(trim(*text));
    if (!endpoint.fault.empty()) return fault(endpoint.fault, mend);
    into = endpoint.id;
  }
  void read_remix(const Json& value, ModelSettings& into) {
    read_endpoint(value, "fal-ai/wan/v2.2-a14b/video-to-video", into.remix);
  }
  void read_edit(const Json& value, ModelSettings& into) {
    read_endpoint(value, "fal-ai/flux/dev/image-to-image", into.edit);
    if (into.edit.empty()) return;
    const ModelRoute* const known = route(path_.front());
    if (known != nullptr && !known->edit_endpoint.empty() && known->edit_endpoint != into.edit) {
      fault("differs from the edit endpoint in SUPPORTED_MODELS",
            "give it in one of the two places");
    }
  }

  void read_fallback(const Json& value, ModelSettings& into) {
    constexpr std::string_view mend = R"(write a list of names such as ["flux-schnell"])";
    if (!value.is_array()) return fault("is not a list", std::string(mend));
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Json element = value.at(i);
      const std::optional<std::string_view> name = element.as_string();
      if (!name.has_value()) {
        fault(fmt::format("has an element that is not a string, the {}. one", i + 1),
              std::string(mend));
      } else if (*name == path_.front()) {
        fault("names the model itself", "leave it out");
      } else if (std::ranges::find(into.fallback, *name) != into.fallback.end()) {
        fault(fmt::format("names '{}' twice", *name), "leave one out");
      } else if (models_.has_value() && !is_served(*name)) {
        unknown_model(*name);
      } else {
        into.fallback.emplace_back(*name);
      }
    }
  }

  void read_schema(const Json& value, ModelSettings& into) {
    const std::optional<std::string_view> path = value.as_string();
    if (!path.has_value() || path->empty())
      return fault("is not the path of a file", R"(write it like "./my-model.json")");
    into.schema = std::string(*path);
  }

  void read_stream(const Json& value, ModelSettings& into) { read_boolean(value, into.stream); }
  void read_own_app(const Json& value, ModelSettings& into) { read_boolean(value, into.own_app); }

  void read_fal(const Json& value, ModelSettings& into) {
    if (!value.is_object())
      return fault("is not an object", R"(write it like {"queue_priority": "low"})");
    read_members(value, std::span<const Row<FalPreferences>>(fal_rows), into.fal);
  }
  void read_priority(const Json& value, FalPreferences& into) {
    read_word(value, into.queue_priority, queue_priorities);
  }
  // It becomes a header field: nothing in it may end the field or begin another.
  void read_hint(const Json& value, FalPreferences& into) {
    constexpr std::size_t most = 200;
    const std::string_view text = value.as_string().value_or("");
    const bool printable = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    if (text.empty() || text.size() > most || !printable || trim(text).size() != text.size()) {
      return fault("is not a text that a header field can carry",
                   fmt::format("write 1 to {} letters, digits and signs of ASCII, without a blank "
                               "at either end",
                               most));
    }
    into.runner_hint = std::string(text);
  }
  void read_no_fallback(const Json& value, FalPreferences& into) {
    read_boolean(value, into.disable_fallback);
  }
  void read_expiration(const Json& value, FalPreferences& into) {
    constexpr std::int64_t least = 60;
    constexpr std::int64_t most = std::int64_t{10} * 365 * 86'400;
    const std::int64_t seconds = value.as_integer().value_or(0);
    if (seconds < least || seconds > most) {
      return fault("is not a number of seconds in range",
                   fmt::format("write a whole number from {} to {}, without quotes", least, most));
    }
    into.output_expiration = std::chrono::seconds(seconds);
  }
  void read_access(const Json& value, FalPreferences& into) {
    read_word(value, into.output_access, output_accesses);
  }

  // By its name or by a pattern.
  [[nodiscard]] bool is_served(std::string_view name) const {
    return std::ranges::any_of(
        *models_, [&](const ModelRoute& model) { return matches_pattern(model.name, name); });
  }

  [[nodiscard]] const ModelRoute* route(std::string_view name) const {
    if (!models_.has_value()) return nullptr;
    const auto found = std::ranges::find(*models_, name, &ModelRoute::name);
    return found == models_->end() ? nullptr : &*found;
  }

  static const Row<ModelSettings> rows[14];
  static const Row<FalPreferences> fal_rows[5];

  std::optional<std::span<const ModelRoute>> models_;
};

const ModelsFileReader::Row<ModelSettings> ModelsFileReader::rows[14] = {
    {"defaults", &ModelsFileReader::read_defaults},
    {"overrides", &ModelsFileReader::read_overrides},
    {"inputs", &ModelsFileReader::read_inputs},
    {"outputs", &ModelsFileReader::read_outputs},
    {"response_format", &ModelsFileReader::read_response_format},
    {"completion", &ModelsFileReader::read_completion},
    {"edit", &ModelsFileReader::read_edit},
    {"remix", &ModelsFileReader::read_remix},
    {"mask", &ModelsFileReader::read_mask},
    {"fallback", &ModelsFileReader::read_fallback},
    {"schema", &ModelsFileReader::read_schema},
    {"stream", &ModelsFileReader::read_stream},
    {"own_app", &ModelsFileReader::read_own_app},
    {"fal", &ModelsFileReader::read_fal},
};

const ModelsFileReader::Row<FalPreferences> ModelsFileReader::fal_rows[5] = {
    {"queue_priority", &ModelsFileReader::read_priority},
    {"runner_hint", &ModelsFileReader::read_hint},
    {"disable_fallback", &ModelsFileReader::read_no_fallback},
    {"output_expiration_seconds", &ModelsFileReader::read_expiration},
    {"output_access", &ModelsFileReader::read_access},
};

}  // namespace

Result<ModelSettingsMap, std::vector<SettingsFault>> parse_models_file(
    std::string_view text, const std::string& file,
    std::optional<std::span<const ModelRoute>> models) {
  const auto root = parse_json_file(text, file, "MODELS_FILE", R"({"model-name": {...}})");
  if (!root) return root.error();
  return ModelsFileReader(text, file, models).read(*root);
}

}  // namespace falproxy::inline v0
