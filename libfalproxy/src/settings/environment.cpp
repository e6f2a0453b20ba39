// The environment as it was meant: what docker and Kubernetes put there besides.
#include <algorithm>

#include "base/text.hpp"
#include "falproxy/settings.hpp"
#include "settings/setting_table.hpp"

namespace falproxy::inline v0 {
namespace {

// HTTPS_PROXY and its like, in either case, are read beside the settings.
bool is_setting(std::string_view name) {
  return names_secret_file(name) || to_lower(name).ends_with("_proxy") ||
         std::ranges::find(all_settings(), name, &SettingInfo::name) != all_settings().end();
}

// What Kubernetes sets for a Service that is named METRICS: METRICS_PORT=tcp://10.0.0.1:9090.
bool is_service_link(std::string_view name, std::string_view value) {
  return name.ends_with("PORT") && (value.starts_with("tcp://") || value.starts_with("udp://") ||
                                    value.starts_with("sctp://"));
}

}  // namespace

bool names_secret_file(std::string_view name) {
  constexpr std::string_view ending = "_FILE";
  if (!name.ends_with(ending)) return false;
  name.remove_suffix(ending.size());
  return std::ranges::any_of(
      all_settings(), [&](const SettingInfo& info) { return info.secret && info.name == name; });
}

bool unwrap_quotes(std::string& value) {
  const std::string_view text = trim(value);
  if (text.size() < 2) return false;
  const char quote = text.front();
  const bool is_quote = quote == '"' || quote == '\'' || quote == '`';
  if (!is_quote || text.find(quote, 1) != text.size() - 1) return false;
  value = std::string(text.substr(1, text.size() - 2));
  return true;
}

TidyEnvironment tidy_environment(std::map<std::string, std::string> variables) {
  TidyEnvironment tidy;
  for (auto& [name, value] : variables) {
    if (!is_setting(name)) continue;
    if (unwrap_quotes(value)) {
      tidy.warnings.push_back(
          {.variable = name,
           .message = "stood in quotes, which were taken off",
           .mend = "write the value without quotes: docker's --env-file makes them a part of it"});
    } else if (value.starts_with('"') || value.starts_with('\'')) {
      tidy.warnings.push_back(
          {.variable = name,
           .message = "begins with a quote that does not close it, and keeps the quote",
           .mend = "write the value in one line and without quotes: docker's --env-file ends a "
                   "value with its line"});
    }
    if (is_service_link(name, value)) {
      tidy.warnings.push_back(
          {.variable = name,
           .message = "is a Kubernetes service link, and is ignored",
           .mend = "write enableServiceLinks: false in the pod's spec, or rename the Service"});
    }
  }
  std::erase_if(variables, [](const auto& variable) {
    return is_setting(variable.first) && is_service_link(variable.first, variable.second);
  });
  tidy.variables = std::move(variables);
  return tidy;
}

}  // namespace falproxy::inline v0
