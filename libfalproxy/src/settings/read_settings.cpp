#include <algorithm>
#include <tuple>

#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "base/name_pattern.hpp"
#include "base/text.hpp"
#include "falproxy/suggest.hpp"
#include "settings/setting_table.hpp"

namespace falproxy::inline v0 {
namespace {

struct Variable {
  std::string_view text;
  SettingsFault place;
  bool found = true;
};

// Where `name` is set.
Variable find_variable(std::string_view name, const EnvFile& env,
                       const std::map<std::string, std::string>& environment) {
  if (const auto found = environment.find(std::string(name)); found != environment.end()) {
    return {found->second, {.variable = found->first}};
  }
  if (const auto found = std::ranges::find(env.entries, name, &EnvEntry::name);
      found != env.entries.end()) {
    return {found->value,
            {.file = found->file.empty() ? env.file : found->file,
             .line = found->file.empty() ? found->line : 0,
             .variable = found->name}};
  }
  return {{}, {.file = env.file, .variable = std::string(name)}, false};
}

std::string example_of(std::string_view name) {
  if (name == "CUSTOM_ACCESS_KEY") return "the key that clients shall send";
  if (name == "AI_KEYS") return "your fal keys, separated by ','";
  return "name:endpoint,name:endpoint, for example flux-dev:fal-ai/flux/dev";
}

void check_default_model(Settings& settings, const Variable& variable,
                         std::vector<SettingsFault>& faults) {
  const std::string& name = settings.default_model;
  const auto serves = [&name](const ModelRoute& model) {
    return matches_pattern(model.name, name);
  };
  if (name.empty() || std::ranges::any_of(settings.models, serves)) return;
  if (settings.allow_any_model && read_endpoint_syntax(name).fault.empty()) return;
  std::vector<std::string_view> names;
  for (const ModelRoute& model : settings.models) names.push_back(model.name);
  const std::string_view near = nearest(name, names);
  SettingsFault fault = variable.place;
  fault.message = "is no name in SUPPORTED_MODELS";
  fault.mend = near.empty() ? "write one of its names, or leave it out"
                            : fmt::format("did you mean {}?", near);
  faults.push_back(std::move(fault));
}

void check_chat_task_model(const Settings& settings, const Variable& variable,
                           std::vector<SettingsFault>& faults) {
  const std::string& name = settings.chat_task_model;
  const auto serves = [&name](const ChatRoute& model) { return matches_pattern(model.name, name); };
  if (name.empty() || std::ranges::any_of(settings.chat_models, serves)) return;
  SettingsFault fault = variable.place;
  fault.message = "is no name in LLM_MODELS";
  fault.mend = "write one of its names, or leave it out";
  faults.push_back(std::move(fault));
}

void check_metrics_port(const Settings& settings, const Variable& variable,
                        std::vector<SettingsFault>& faults) {
  const auto everywhere = [](std::string_view host) {
    return host == "0.0.0.0" || host == "::" || host == "*";
  };
  const bool one_host = settings.host == settings.metrics_host || everywhere(settings.host) ||
                        everywhere(settings.metrics_host);
  if (settings.metrics_port == 0 || settings.metrics_port != settings.port || !one_host) return;
  SettingsFault fault = variable.place;
  fault.message = "is PORT's number, too";
  fault.mend = "choose another port, or leave it out: /metrics is on PORT, with the access key";
  faults.push_back(std::move(fault));
}

void check_state(const Settings& settings, const Variable& variable,
                 std::vector<SettingsFault>& faults) {
  if (!settings.require_state || settings.state_dir != "none") return;
  SettingsFault fault = variable.place;
  fault.message = "is none, and REQUIRE_STATE is true";
  fault.mend = "name a folder, or leave REQUIRE_STATE out";
  faults.push_back(std::move(fault));
}

void check_media_store(const Settings& settings, const Variable& variable,
                       std::vector<SettingsFault>& faults) {
  if (!settings.media_store || settings.state_dir != "none" || settings.state_url) return;
  SettingsFault fault = variable.place;
  fault.message = "needs STATE_DIR, which is none: what is kept is noted there";
  fault.mend = "name a folder in STATE_DIR, or leave MEDIA_STORE out";
  faults.push_back(std::move(fault));
}

}  // namespace

std::string to_string(const SettingsFault& fault) {
  std::string text = fault.file.empty() ? "environment" : fault.file;
  if (fault.line > 0) text += fmt::format(":{}", fault.line);
  if (!fault.variable.empty()) text += ": " + fault.variable;
  text += ": " + fault.message;
  if (!fault.mend.empty()) text += "; " + fault.mend;
  return text;
}

Result<Settings, std::vector<SettingsFault>> read_settings(
    const EnvFile& env, const std::map<std::string, std::string>& environment) {
  Settings settings;
  std::vector<SettingsFault> faults;
  for (const SettingRow& row : setting_rows()) {
    Variable variable = find_variable(row.info.name, env, environment);
    if (!trim(variable.text).empty()) {
      SettingValue value(variable.text, std::move(variable.place), faults);
      row.read(value, settings);
    } else if (row.info.needed) {
      const auto is_set = [&](std::string_view name) {
        return !trim(find_variable(name, env, environment).text).empty();
      };
      const bool has_others =
          row.info.name == "CUSTOM_ACCESS_KEY" && (is_set("ACCESS_KEYS") || is_set("KEYS_FILE"));
      if (has_others) continue;
      variable.place.message = variable.found ? "is blank" : "is missing";
      variable.place.mend = fmt::format("write {}={}", row.info.name, example_of(row.info.name));
      faults.push_back(std::move(variable.place));
    }
  }
  check_default_model(settings, find_variable("DEFAULT_MODEL", env, environment), faults);
  check_chat_task_model(settings, find_variable("CHAT_TASK_MODEL", env, environment), faults);
  check_metrics_port(settings, find_variable("METRICS_PORT", env, environment), faults);
  check_state(settings, find_variable("STATE_DIR", env, environment), faults);
  check_media_store(settings, find_variable("MEDIA_STORE", env, environment), faults);
  if (faults.empty()) return settings;
  std::ranges::stable_sort(
      faults, {}, [](const SettingsFault& fault) { return std::tie(fault.file, fault.line); });
  return faults;
}

std::vector<SettingsFault> settings_warnings(const EnvFile& env) {
  std::vector<SettingsFault> warnings = env.warnings;
  std::vector<std::string_view> names;
  for (const SettingInfo& info : all_settings()) names.push_back(info.name);
  for (const EnvEntry& entry : env.entries) {
    if (std::ranges::find(names, entry.name) != names.end() || names_secret_file(entry.name))
      continue;
    const std::string_view near = nearest(entry.name, names);
    if (near.empty()) continue;
    warnings.push_back({env.file, entry.line, entry.name,
                        "is no setting of falproxy and is ignored",
                        fmt::format("did you mean {}?", near)});
  }
  std::ranges::stable_sort(warnings, {}, &SettingsFault::line);
  return warnings;
}

std::vector<SettingsFault> value_warnings(const Settings& settings, const EnvFile& env,
                                          const std::map<std::string, std::string>& environment) {
  std::vector<SettingsFault> warnings;
  const auto warn = [&](std::string_view name, std::string message, std::string mend) {
    SettingsFault warning = find_variable(name, env, environment).place;
    warning.message = std::move(message);
    warning.mend = std::move(mend);
    warnings.push_back(std::move(warning));
  };
  int position = 0;
  for (const std::vector<Secret>& account : settings.ai_keys) {
    for (const Secret& key : account) {
      ++position;
      const std::string_view text = key.reveal();
      const std::size_t colon = text.find(':');
      const bool two_parts = colon != std::string_view::npos && colon > 0 &&
                             colon + 1 < text.size() &&
                             text.find_first_of(":;", colon + 1) == std::string_view::npos;
      if (text == "your-fal-key-id:your-fal-key-secret") {
        warn("AI_KEYS", fmt::format("key {} is the one of .env.example", position),
             "put your own from fal.ai/dashboard/keys there");
      } else if (!two_parts) {
        warn("AI_KEYS", fmt::format("key {} is not id:secret, as fal's keys are", position),
             "copy the whole key from fal.ai/dashboard/keys; separate keys by ','");
      }
    }
  }
  const auto judge = [&](std::string_view variable, const std::string& whose, const Secret& key) {
    constexpr std::size_t least = 16;
    constexpr const char* mend = "make one with: openssl rand -hex 24";
    if (key.reveal() == "choose-a-key-for-your-clients") {
      warn(variable, "holds the key of .env.example, which everybody knows", mend);
    } else if (key.reveal().size() < least) {
      warn(variable,
           fmt::format("{}has fewer than {} characters, and may be guessed", whose, least), mend);
    }
  };
  int entry = 0;
  for (const AccessKey& access : settings.access_keys) {
    if (access.name == "default") {
      judge("CUSTOM_ACCESS_KEY", "", access.key);
    } else {
      judge("ACCESS_KEYS", fmt::format("the key of entry {} ", ++entry), access.key);
    }
  }
  if (!settings.admin_key.empty()) judge("ADMIN_KEY", "", settings.admin_key);
  return warnings;
}

}  // namespace falproxy::inline v0
