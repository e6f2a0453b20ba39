// lists.hpp: the settings that are lists: keys, models, origins, hosts; and the rate limit.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "settings/value.hpp"

namespace falproxy::inline v0 {

void read_custom_access_key(SettingValue& value, Settings& into);
void read_admin_key(SettingValue& value, Settings& into);
void read_access_keys(SettingValue& value, Settings& into);
void read_ai_keys(SettingValue& value, Settings& into);
void read_supported_models(SettingValue& value, Settings& into);
/// After read_supported_models().
void read_chat_models(SettingValue& value, Settings& into);
void read_default_response_format(SettingValue& value, Settings& into);
void read_cors_origins(SettingValue& value, Settings& into);
void read_media_hosts(SettingValue& value, Settings& into);
void read_callback_hosts(SettingValue& value, Settings& into);
void read_media_store(SettingValue& value, Settings& into);
void read_state_url(SettingValue& value, Settings& into);
void read_alert_url(SettingValue& value, Settings& into);
void read_alert_balance(SettingValue& value, Settings& into);
void read_fal_admin_key(SettingValue& value, Settings& into);
void read_rate_limit(SettingValue& value, Settings& into);

/// "60/min"; none: it is no rate.
[[nodiscard]] std::optional<RateLimit> parse_rate_limit(std::string_view text);
/// Of letters, digits, '.', '_' and '-'.
[[nodiscard]] bool is_client_name(std::string_view name);
/// What is wrong with a key, as the end of a sentence, and how to mend it.
struct KeyFault {
  std::string what = {};
  std::string mend = {};
};
/// Why `key` can be no access key in a list.
[[nodiscard]] std::optional<KeyFault> fault_of_client_key(std::string_view key);

}  // namespace falproxy::inline v0
