#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/suggest.hpp"
#include "settings/json_lines.hpp"

namespace falproxy {
namespace {

using Faults = std::vector<SettingsFault>;

class ModelsFileReader {
 public:
  ModelsFileReader(std::string_view text, const std::string& file,
                   std::optional<std::span<const ModelRoute>> models)
      : lines_(json_lines(text)), file_(file), models_(models) {}

  Result<ModelSettingsMap, Faults> read(const Json& root) {
    ModelSettingsMap all;
    for (const JsonLines::Repeat& repeat : lines_.repeats) {
      faults_.push_back({file_, repeat.line, dotted(repeat.path), "stands in the same object twice",
                         "remove one of the two"});
    }
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
    std::ranges::stable_sort(faults_, {}, &SettingsFault::line);
    return std::move(faults_);
  }

 private:
  ModelSettings model(const Json& value, std::string_view name) {
    ModelSettings settings;
    for (const std::string_view key : value.keys()) {
      const Json member = *value.find(key);
      path_ = {std::string(name), std::string(key)};
      const auto row = std::ranges::find(rows, key, &Row::key);
      if (row == std::end(rows)) {
        unknown_key(key);
      } else if (!member.is_null()) {
        (this->*row->read)(member, settings);
      }
    }
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

  void unknown_key(std::string_view key) {
    std::vector<std::string_view> keys;
    for (const Row& row : rows) keys.push_back(row.key);
    const std::string_view near = nearest(key, keys);
    fault("is not a known key", near.empty()
                                    ? fmt::format("known keys are {}", fmt::join(keys, ", "))
                                    : fmt::format("did you mean \"{}\"?", near));
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

  template <class T>
  void read_word(const Json& value, std::optional<T>& into,
                 std::initializer_list<std::pair<std::string_view, T>> words) {
    std::vector<std::string_view> names;
    for (const auto& [word, meaning] : words) {
      if (value.as_string() == word) into = meaning;
      names.push_back(word);
    }
    if (into.has_value()) return;
    const std::string_view near = nearest(value.as_string().value_or(""), names);
    fault(fmt::format("is not one of \"{}\"", fmt::join(names, "\", \"")),
          fmt::format("write \"{}\"", near.empty() ? names.front() : near));
  }
  void read_response_format(const Json& value, ModelSettings& into) {
    read_word(value, into.response_format,
              {{"url", ResponseFormat::url}, {"b64_json", ResponseFormat::b64_json}});
  }
  void read_completion(const Json& value, ModelSettings& into) {
    read_word(
        value, into.completion,
        {{"stream", Completion::stream}, {"poll", Completion::poll}, {"sync", Completion::sync}});
  }
  void read_mask(const Json& value, ModelSettings& into) {
    read_word(value, into.mask,
              {{"white", MaskConvention::white},
               {"black", MaskConvention::black},
               {"alpha", MaskConvention::alpha}});
  }

  void read_edit(const Json& value, ModelSettings& into) {
    constexpr std::string_view mend =
        R"(write an endpoint id such as "fal-ai/flux/dev/image-to-image")";
    const std::optional<std::string_view> text = value.as_string();
    if (!text.has_value()) return fault("is not a string", std::string(mend));
    const EndpointSyntax endpoint = read_endpoint_syntax(trim(*text));
    if (!endpoint.fault.empty()) return fault(endpoint.fault, std::string(mend));
    into.edit = endpoint.id;
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
      } else if (models_.has_value() && route(*name) == nullptr) {
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

  void read_stream(const Json& value, ModelSettings& into) {
    const std::optional<bool> on = value.as_boolean();
    if (!on.has_value())
      return fault("is neither true nor false", "write true or false, without quotes");
    into.stream = *on;
  }

  [[nodiscard]] const ModelRoute* route(std::string_view name) const {
    if (!models_.has_value()) return nullptr;
    const auto found = std::ranges::find(*models_, name, &ModelRoute::name);
    return found == models_->end() ? nullptr : &*found;
  }

  void fault(std::string message, std::string mend) {
    faults_.push_back(
        {file_, lines_.line_of(path_), dotted(path_), std::move(message), std::move(mend)});
  }

  static std::string dotted(const JsonLines::Path& path) {
    return fmt::format("{}", fmt::join(path, "."));
  }

  struct Row {
    std::string_view key;
    void (ModelsFileReader::*read)(const Json&, ModelSettings&);
  };
  static const Row rows[9];

  JsonLines lines_;
  const std::string& file_;
  std::optional<std::span<const ModelRoute>> models_;
  JsonLines::Path path_;  // of what is being read
  Faults faults_;
};

const ModelsFileReader::Row ModelsFileReader::rows[9] = {
    {"defaults", &ModelsFileReader::read_defaults},
    {"overrides", &ModelsFileReader::read_overrides},
    {"response_format", &ModelsFileReader::read_response_format},
    {"completion", &ModelsFileReader::read_completion},
    {"edit", &ModelsFileReader::read_edit},
    {"mask", &ModelsFileReader::read_mask},
    {"fallback", &ModelsFileReader::read_fallback},
    {"schema", &ModelsFileReader::read_schema},
    {"stream", &ModelsFileReader::read_stream},
};

// json.hpp's errors say "at byte N: ...".
int line_of_error(std::string_view message, std::string_view text) {
  constexpr std::string_view lead = "at byte ";
  std::size_t byte = 0;
  if (!message.starts_with(lead)) return 0;
  std::from_chars(message.data() + lead.size(), message.data() + message.size(), byte);
  // The byte after the last one read: a fault at a line's end belongs to that line.
  const std::string_view before = text.substr(0, byte == 0 ? 0 : byte - 1);
  return 1 + static_cast<int>(std::ranges::count(before, '\n'));
}

}  // namespace

Result<ModelSettingsMap, std::vector<SettingsFault>> parse_models_file(
    std::string_view text, const std::string& file,
    std::optional<std::span<const ModelRoute>> models) {
  if (text.starts_with("\uFEFF")) text.remove_prefix(3);
  const Result<Json> root = Json::parse(text);
  if (!root) {
    const std::string& message = root.error().message;
    return Faults{{file, line_of_error(message, text), "MODELS_FILE", "is not JSON: " + message,
                   "mend it there"}};
  }
  if (!root->is_object()) {
    return Faults{{file, 1, "MODELS_FILE", "is not an object", R"(write {"model-name": {...}})"}};
  }
  return ModelsFileReader(text, file, models).read(*root);
}

}  // namespace falproxy
