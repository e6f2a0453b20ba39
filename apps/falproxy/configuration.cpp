#include "configuration.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include "falproxy/schema.hpp"

namespace falproxy::app {
namespace {

using Faults = std::vector<SettingsFault>;

// Settings check what these parse, so that there is no fault left for them to find.
fal::EndpointId checked_endpoint(const std::string& id) {
  return fal::EndpointId::parse(id).value();
}

CatalogModel catalog_model(const ModelRoute& route, ModelSettings settings) {
  const std::string& edit = settings.edit.empty() ? route.edit_endpoint : settings.edit;
  std::optional<fal::EndpointId> edit_endpoint;
  if (!edit.empty()) edit_endpoint = checked_endpoint(edit);
  return {route.name, checked_endpoint(route.endpoint), std::move(edit_endpoint),
          std::move(settings)};
}

Result<EnvFile, Faults> read_env_file(const std::optional<std::string>& env_file) {
  const std::string path = env_file.value_or(".env");
  std::error_code fault;
  if (!env_file.has_value() && !std::filesystem::exists(path, fault) && !fault)
    return EnvFile{.file = path + " (not there)"};
  Result<std::string> text = read_file(path);
  if (!text)
    return Faults{{path, 0, "", text.error().message, "name a file that can be read: --env FILE"}};
  return parse_env(*text, path);
}

// MODELS_FILE and where it is set, for faults about the file as a whole.
struct ModelsFile {
  std::string path = {};
  SettingsFault place{.variable = "MODELS_FILE"};
};

ModelsFile models_file_of(const EnvFile& env, const Environment& environment) {
  ModelsFile file;
  if (const auto set = environment.find(file.place.variable); set != environment.end()) {
    file.path = set->second;
    return file;
  }
  file.place.file = env.file;
  for (const EnvEntry& entry : env.entries) {
    if (entry.name != file.place.variable) continue;
    file.path = entry.value;
    file.place.line = entry.line;
  }
  return file;
}

// Without `models`, what is wrong with the file alone.
Result<ModelSettingsMap, Faults> read_models_file(
    const ModelsFile& file, std::optional<std::span<const ModelRoute>> models = std::nullopt) {
  if (file.path.empty()) return ModelSettingsMap{};
  const Result<std::string> text = read_file(file.path);
  if (text) return parse_models_file(*text, file.path, models);
  SettingsFault fault = file.place;
  fault.message = text.error().message;
  fault.mend = "name a file that can be read, or leave it out";
  return Faults{std::move(fault)};
}

std::string beside(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).string();
}

// What a pinned document says of a model.
Result<schema::ModelSchema> read_pinned(const std::string& text, const std::string& endpoint) {
  auto schema = schema::analyze(text, endpoint);
  if (!schema) schema = schema::analyze(text);
  if (!schema && !schema.error().field.empty())
    schema.error().message += " (at " + schema.error().field + ")";
  return schema;
}

void load_models(Configuration& into, const ModelsFile& file, Faults& faults) {
  const std::string& path = file.path;
  auto read = read_models_file(file, into.settings.models);
  if (!read) {
    faults = std::move(read).error();
    return;
  }
  ModelSettingsMap settings = std::move(*read);
  for (const ModelRoute& route : into.settings.models) {
    ModelSettings& own = settings[route.name];
    if (!own.schema.empty()) {
      Result<std::string> document = read_file(beside(path, own.schema));
      if (!document) {
        faults.push_back({path, 0, route.name + ".schema", document.error().message,
                          "name a file that can be read; its path is relative to this one's"});
      } else if (auto schema = read_pinned(*document, route.endpoint); !schema) {
        faults.push_back({beside(path, own.schema), 0, route.name + ".schema",
                          std::move(schema).error().message,
                          "put the model's OpenAPI document there"});
      } else {
        if (schema->endpoint != route.endpoint) {
          into.warnings.push_back(
              {beside(path, own.schema), 0, route.name + ".schema",
               "is the document of " + schema->endpoint + ", and jobs go to " + route.endpoint,
               "see that this is meant"});
        }
        into.pinned.emplace(route.name, std::move(*document));
      }
    }
    into.models.push_back(catalog_model(route, std::move(own)));
  }
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t sign = text.find('=');
    if (sign != std::string_view::npos)
      environment.emplace(text.substr(0, sign), text.substr(sign + 1));
  }
  return environment;
}

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Error{ErrorKind::invalid_settings, "'" + path + "' is a folder", path};
  }
  std::ifstream in(path, std::ios::binary);
  if (in.is_open()) {
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in.bad()) return text;
  }
  return Error{ErrorKind::invalid_settings,
               "'" + path + "' cannot be read: " + std::generic_category().message(errno), path};
}

Result<Configuration, std::vector<SettingsFault>> load_configuration(
    const std::optional<std::string>& env_file, const Environment& environment,
    const Environment& otherwise) {
  Result<EnvFile, Faults> env = read_env_file(env_file);
  if (!env) return env.error();
  for (const auto& [name, value] : otherwise) {
    const auto set = std::ranges::find(env->entries, name, &EnvEntry::name);
    if (set == env->entries.end()) env->entries.push_back({name, value, 0});
  }
  const ModelsFile models_file = models_file_of(*env, environment);
  auto settings = read_settings(*env, environment);
  if (!settings) {
    // A mistyped name is often why another one is missing.
    Faults all = std::move(settings).error();
    for (SettingsFault& warning : settings_warnings(*env)) all.push_back(std::move(warning));
    if (auto models = read_models_file(models_file); !models)
      std::ranges::move(models.error(), std::back_inserter(all));
    std::ranges::stable_sort(
        all, {}, [](const SettingsFault& fault) { return std::tie(fault.file, fault.line); });
    return all;
  }
  Configuration configuration{.settings = std::move(*settings),
                              .warnings = settings_warnings(*env)};
  std::ranges::move(value_warnings(configuration.settings, *env, environment),
                    std::back_inserter(configuration.warnings));
  Faults faults;
  load_models(configuration, models_file, faults);
  if (!faults.empty()) return faults;
  return configuration;
}

fal::Addresses fal_addresses(const Settings& settings) {
  return {settings.fal_queue_url, settings.fal_run_url, settings.fal_schema_url,
          settings.fal_rest_url};
}

Catalog::Options catalog_options(const Settings& settings) {
  return {.fal = fal_addresses(settings),
          .ttl = settings.schema_ttl,
          .allow_any_model = settings.allow_any_model};
}

KeyRing::Options key_ring_options(const Settings& settings) {
  return {.max_jobs_per_account = settings.max_jobs_per_account};
}

translate::Options translate_options(const Settings& settings) {
  return {.max_images = settings.max_images_per_request,
          .strict_parameters = settings.strict_parameters,
          .default_response_format = settings.default_response_format,
          .nsfw_results = settings.nsfw_results};
}

openai::RequestLimits request_limits(const Settings& settings) {
  return {.max_images = settings.max_images_per_request,
          .max_upload_bytes = settings.max_upload_bytes};
}

ImageGateway::Options gateway_options(const Settings& settings) {
  return {.fal = fal_addresses(settings),
          .media_hosts = fal::MediaHosts::parse(settings.fal_media_hosts).value(),
          .completion = settings.completion,
          .max_upstream_streams = settings.max_upstream_streams,
          .max_submit_attempts = settings.max_submit_attempts,
          .on_disconnect = settings.on_disconnect,
          .recovery_window = settings.recovery_window,
          .max_download_bytes = settings.max_download_bytes,
          .image_upload = settings.image_upload,
          .upload_ttl = settings.upload_ttl,
          .default_model = settings.default_model,
          .translate = translate_options(settings)};
}

}  // namespace falproxy::app
