// Input: a .env file, and a models file.
#include "falproxy/settings.hpp"

#include <map>
#include <string>

#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

// Stands in every secret, so that it can be looked for in what is printed.
constexpr std::string_view mark = "Zq7-s3cr3t-Wx9";

bool is_silent(const std::vector<SettingsFault>& faults) {
  for (const SettingsFault& fault : faults) {
    if (to_string(fault).find(mark) != std::string::npos) return false;
  }
  return true;
}

// The value that the file gives a secret, with the mark in its middle.
void mark_secret(const EnvFile& env, const char* name,
                 std::map<std::string, std::string>& environment) {
  for (const EnvEntry& entry : env.entries) {
    if (entry.name != name) continue;
    std::string value = entry.value;
    environment[name] = value.insert(value.size() / 2, mark);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parts = fuzz::parts(fuzz::text(data, size), 2);
  const EnvFile env = parse_env(parts[0], ".env");
  std::map<std::string, int> seen;
  for (const EnvEntry& entry : env.entries) {
    hold(!entry.name.empty(), "a variable has a name");
    hold(++seen[entry.name] == 1, "a variable stands once");
    hold(entry.line >= 1, "a line has a number");
  }
  std::map<std::string, std::string> environment;
  for (const char* name : {"AI_KEYS", "CUSTOM_ACCESS_KEY", "ACCESS_KEYS", "ADMIN_KEY"})
    mark_secret(env, name, environment);

  const TidyEnvironment tidy = tidy_environment(environment);
  hold(is_silent(tidy.warnings), "a warning of the environment holds no secret");
  environment = tidy.variables;

  const auto settings = read_settings(env, environment);
  hold(settings == read_settings(env, environment), "the same text is the same settings");
  hold(is_silent(settings_warnings(env)), "a warning holds no secret");
  if (!settings) {
    hold(!settings.error().empty(), "a refusal has a reason");
    hold(is_silent(settings.error()), "a fault holds no secret");
    for (const SettingsFault& fault : settings.error())
      hold(!fault.message.empty(), "a fault has words");
  } else {
    hold(!settings->ai_keys.empty() && !settings->access_keys.empty() && !settings->models.empty(),
         "what is needed is there");
    for (const ModelRoute& route : settings->models)
      hold(!route.name.empty() && !route.endpoint.empty(), "a model has a name and an endpoint");
  }

  const auto models = parse_models_file(parts[1], "models.json");
  if (!models) hold(!models.error().empty(), "a refusal of a models file has a reason");
  return 0;
}
