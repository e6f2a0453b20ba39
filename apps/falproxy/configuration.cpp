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

#include "base/text.hpp"
#include "falproxy/options.hpp"
#include "falproxy/schema.hpp"

namespace falproxy::app {
namespace {

using Faults = std::vector<SettingsFault>;

// A setting that holds keys, or the address of a proxy with a password in it.
bool is_secret(std::string_view name, std::string_view value) {
  const bool key = std::ranges::any_of(
      all_settings(), [&](const SettingInfo& info) { return info.secret && info.name == name; });
  return key || name == "AWS_SECRET_ACCESS_KEY" || name == "AWS_SESSION_TOKEN" ||
         name == "OTEL_EXPORTER_OTLP_HEADERS" || name == "OTEL_EXPORTER_OTLP_TRACES_HEADERS" ||
         (to_lower(name).ends_with("_proxy") && value.find('@') != std::string_view::npos);
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

// What a variable is set to, and where: what the environment sets wins over the file.
struct Entry {
  std::string_view value;
  SettingsFault place;
};
std::optional<Entry> find_entry(const std::string& name, const EnvFile& env,
                                const Environment& environment) {
  if (const auto found = environment.find(name); found != environment.end())
    return Entry{found->second, {.variable = name}};
  const auto entry = std::ranges::find(env.entries, name, &EnvEntry::name);
  if (entry == env.entries.end()) return std::nullopt;
  return Entry{entry->value, {.file = env.file, .line = entry->line, .variable = name}};
}

// A setting that is not blank, without the blanks around it.
struct Given {
  std::string value;
  SettingsFault place;
};
std::optional<Given> find_given(const std::string& name, const EnvFile& env,
                                const Environment& environment) {
  std::optional<Entry> entry = find_entry(name, env, environment);
  if (!entry || trim(entry->value).empty()) return std::nullopt;
  return Given{std::string(trim(entry->value)), std::move(entry->place)};
}

// The content of the file that `from` names becomes the setting's value.
std::optional<SettingsFault> read_secret_file(const std::string& name, const Given& from,
                                              EnvFile& env, Environment& environment,
                                              Faults& warnings) {
  Result<std::string> text = read_file(from.value);
  if (!text) {
    SettingsFault fault = from.place;
    fault.message = text.error().message;
    fault.mend = "name a file that can be read";
    return fault;
  }
  text->erase(text->find_last_not_of("\r\n") + 1);
  if (unwrap_quotes(*text)) {
    warnings.push_back({.file = from.value,
                        .variable = name,
                        .message = "stood in quotes, which were taken off",
                        .mend = "write the value without quotes"});
  }
  environment.erase(name);
  std::erase_if(env.entries, [&](const EnvEntry& entry) { return entry.name == name; });
  env.entries.push_back({.name = name, .value = std::move(*text), .file = from.value});
  return std::nullopt;
}

// NAME_FILE in place of NAME, for each setting that holds keys. What stands in the environment wins
// over what stands in the file. The faults' `variable` is NAME_FILE.
Faults read_secret_files(EnvFile& env, Environment& environment, Faults& warnings) {
  Faults faults;
  for (const SettingInfo& info : all_settings()) {
    if (!info.secret) continue;
    const std::string name(info.name);
    const std::optional<Given> file = find_given(name + "_FILE", env, environment);
    if (!file.has_value()) continue;
    const std::optional<Given> itself = find_given(name, env, environment);
    if (itself.has_value() && itself->place.file == file->place.file) {
      SettingsFault fault = file->place;
      fault.message = "is given beside " + name;
      fault.mend = "leave one of the two out";
      faults.push_back(std::move(fault));
    } else if (itself.has_value() && itself->place.file.empty()) {
      continue;
    } else if (auto fault = read_secret_file(name, *file, env, environment, warnings)) {
      faults.push_back(std::move(*fault));
    }
  }
  return faults;
}

// What is missing because its file cannot be read is told once.
void add_secrets(const Faults& secrets, Faults& all) {
  for (const SettingsFault& secret : secrets) {
    std::erase_if(all, [&](const SettingsFault& fault) {
      return fault.variable + "_FILE" == secret.variable;
    });
    all.push_back(secret);
  }
}

// Without `models`, what is wrong with the file alone.
Result<ModelSettingsMap, Faults> read_models_file(
    const std::optional<Given>& file,
    std::optional<std::span<const ModelRoute>> models = std::nullopt) {
  if (!file.has_value()) return ModelSettingsMap{};
  const Result<std::string> text = read_file(file->value);
  if (text) return parse_models_file(*text, file->value, models);
  SettingsFault fault = file->place;
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

void load_models(Configuration& into, const std::optional<Given>& file, Faults& faults) {
  const std::string path = file.has_value() ? file->value : "";
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

// What is wrong with a row that is right by itself.
Faults faults_of_keys(const Settings& settings, const std::string& file) {
  Faults faults;
  for (const KeyRules& row : settings.keys) {
    if (!row.key.empty() && row.key == settings.admin_key) {
      faults.push_back({file, 0, row.name + ".key", "is ADMIN_KEY, too",
                        "choose a key that only the operator has"});
    }
    if (row.budget && !row.allow_state_loss && settings.state_dir == "none" &&
        !settings.state_url) {
      faults.push_back({file, 0, row.name + ".budget",
                        "is forgotten with each restart, as STATE_DIR is none",
                        R"(name a folder in STATE_DIR, or write "on_state_loss": "allow")"});
    }
  }
  return faults;
}

// What stands in the file that a setting names; none: no file is named, or it is a fault.
std::optional<std::string> read_given(const std::optional<Given>& file, Faults& faults) {
  if (!file.has_value()) return std::nullopt;
  Result<std::string> text = read_file(file->value);
  if (text) return *std::move(text);
  SettingsFault fault = file->place;
  fault.message = text.error().message;
  fault.mend = "name a file that can be read, or leave it out";
  faults.push_back(std::move(fault));
  return std::nullopt;
}

void load_keys(Configuration& into, const std::optional<Given>& file, Faults& faults) {
  const std::optional<std::string> text = read_given(file, faults);
  if (!text.has_value()) return;
  auto rows = parse_keys_file(*text, file->value, into.settings.access_keys);
  if (rows) {
    into.settings.keys = *std::move(rows);
    std::ranges::move(faults_of_keys(into.settings, file->value), std::back_inserter(faults));
  } else {
    std::ranges::move(rows.error(), std::back_inserter(faults));
  }
}

void load_prices(Configuration& into, const std::optional<Given>& file, Faults& faults) {
  const std::optional<std::string> text = read_given(file, faults);
  if (!text.has_value()) return;
  auto prices = parse_prices_file(*text, file->value);
  if (prices) {
    into.settings.prices = *std::move(prices);
  } else {
    std::ranges::move(prices.error(), std::back_inserter(faults));
  }
}

Result<Proxies, Faults> load_proxies(const EnvFile& env, const Environment& environment,
                                     Faults& warnings) {
  const auto variable = [&](std::string_view name) -> std::optional<std::string_view> {
    const std::optional<Entry> entry = find_entry(std::string(name), env, environment);
    return entry ? std::optional(entry->value) : std::nullopt;
  };
  const auto place_of = [&](const std::string& name) {
    std::optional<Entry> entry = find_entry(name, env, environment);
    return entry ? std::move(entry->place) : SettingsFault{.variable = name};
  };
  Result<Proxies> proxies = Proxies::read(variable);
  if (!proxies) {
    SettingsFault fault = place_of(proxies.error().field);
    fault.message = proxies.error().message;
    return Faults{std::move(fault)};
  }
  for (const std::string& entry : proxies->not_understood()) {
    SettingsFault warning = place_of(proxies->exempting());
    warning.message = entry + " means nothing and is ignored";
    warning.mend = "write a host, an address, address/bits or *";
    warnings.push_back(std::move(warning));
  }
  return *std::move(proxies);
}

AwsIdentity load_aws(const EnvFile& env, const Environment& environment) {
  const auto value = [&](const char* name) {
    const std::optional<Given> given = find_given(name, env, environment);
    return given ? given->value : std::string();
  };
  AwsIdentity identity{.key_id = value("AWS_ACCESS_KEY_ID"),
                       .secret = Secret(value("AWS_SECRET_ACCESS_KEY")),
                       .session_token = Secret(value("AWS_SESSION_TOKEN"))};
  for (const char* const name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    const std::string region = value(name);
    if (region.empty()) continue;
    identity.region = region;
    break;
  }
  return identity;
}

OtelSettings load_otel(const EnvFile& env, const Environment& environment, Faults& warnings) {
  Faults own;
  OtelSettings settings = read_otel_settings(
      [&](std::string_view name) {
        const std::optional<Given> given = find_given(std::string(name), env, environment);
        return given ? given->value : std::string();
      },
      own);
  for (SettingsFault& warning : own) {
    const std::optional<Given> given = find_given(warning.variable, env, environment);
    if (given) {
      warning.file = given->place.file;
      warning.line = given->place.line;
    }
    warnings.push_back(std::move(warning));
  }
  return settings;
}

}  // namespace

Environment take_process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t sign = text.find('=');
    if (sign == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, sign);
    const std::string_view value = text.substr(sign + 1);
    environment.emplace(name, value);
    // Here and not by unsetenv(), which takes the entry out of the list and leaves its bytes.
    if (is_secret(name, value)) std::ranges::fill_n(*entry + sign + 1, std::ssize(value), '\0');
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
    const std::optional<std::string>& env_file, const Environment& process,
    const Environment& otherwise) {
  Result<EnvFile, Faults> env = read_env_file(env_file);
  if (!env) return env.error();
  TidyEnvironment tidy = tidy_environment(process);
  Environment& environment = tidy.variables;
  const Faults secrets = read_secret_files(*env, environment, tidy.warnings);
  for (const auto& [name, value] : otherwise) {
    const auto set = std::ranges::find(env->entries, name, &EnvEntry::name);
    if (set == env->entries.end()) env->entries.push_back({name, value, 0});
  }
  const std::optional<Given> models_file = find_given("MODELS_FILE", *env, environment);
  auto settings = read_settings(*env, environment);
  Faults warnings = std::move(tidy.warnings);
  std::ranges::move(settings_warnings(*env), std::back_inserter(warnings));
  auto proxies = load_proxies(*env, environment, warnings);
  if (!settings || !secrets.empty() || !proxies) {
    Faults all = settings ? Faults() : std::move(settings).error();
    add_secrets(secrets, all);
    if (!proxies) std::ranges::move(proxies.error(), std::back_inserter(all));
    // A mistyped name is often why another one is missing.
    std::ranges::move(warnings, std::back_inserter(all));
    if (auto models = read_models_file(models_file); !models)
      std::ranges::move(models.error(), std::back_inserter(all));
    std::ranges::stable_sort(
        all, {}, [](const SettingsFault& fault) { return std::tie(fault.file, fault.line); });
    return all;
  }
  Configuration configuration{.settings = std::move(*settings),
                              .proxies = *std::move(proxies),
                              .aws = load_aws(*env, environment),
                              .otel = load_otel(*env, environment, warnings),
                              .warnings = std::move(warnings)};
  std::ranges::move(value_warnings(configuration.settings, *env, environment),
                    std::back_inserter(configuration.warnings));
  Faults faults;
  load_models(configuration, models_file, faults);
  load_prices(configuration, find_given("PRICES_FILE", *env, environment), faults);
  load_keys(configuration, find_given("KEYS_FILE", *env, environment), faults);
  if (!faults.empty()) return faults;
  return configuration;
}

}  // namespace falproxy::app
