// lists.hpp: the settings that are lists: keys, models, origins, hosts; and the rate limit.
#pragma once

#include "settings/value.hpp"

namespace falproxy {

void read_custom_access_key(SettingValue& value, Settings& into);
void read_access_keys(SettingValue& value, Settings& into);
void read_ai_keys(SettingValue& value, Settings& into);
void read_supported_models(SettingValue& value, Settings& into);
void read_cors_origins(SettingValue& value, Settings& into);
void read_media_hosts(SettingValue& value, Settings& into);
void read_rate_limit(SettingValue& value, Settings& into);

}  // namespace falproxy
