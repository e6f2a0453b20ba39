#include "settings/lists.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "base/host_rule.hpp"
#include "base/text.hpp"
#include "base/words.hpp"
#include "falproxy/http.hpp"

namespace falproxy::inline v0 {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

// What a header can carry: no control character, no blank at its ends.
bool is_sendable(std::string_view key) {
  return std::ranges::none_of(key, is_control) && trim(key).size() == key.size();
}

// A fal key, or an access key in a list.
bool is_key(std::string_view key) {
  return std::ranges::none_of(key, [](char c) { return is_control(c) || c == ' '; });
}

// An access key that is shorter can be tried out.
constexpr std::size_t least_access_key = 8;
constexpr std::string_view make_a_key = "make one with: openssl rand -hex 24";

// What is copied along with a key by mistake.
std::optional<KeyFault> copied_along(std::string_view key) {
  for (const std::string_view scheme : {"Bearer ", "Key "}) {
    if (!equal_ignoring_case(key.substr(0, scheme.size()), scheme)) continue;
    return KeyFault{fmt::format("begins with '{}', which is no part of a key", scheme),
                    "write what follows it"};
  }
  // U+2018 to U+201F.
  const auto curly = [](std::string_view text) {
    return text.size() == 3 && text >= "\u2018" && text <= "\u201F";
  };
  if (curly(key.substr(0, 3)) || (key.size() > 3 && curly(key.substr(key.size() - 3)))) {
    return KeyFault{"stands in curly quotes, which are taken for a part of it",
                    "write straight ones, or none"};
  }
  return std::nullopt;
}

// Why `key` can be no access key.
std::optional<KeyFault> fault_of_access_key(std::string_view key) {
  if (auto fault = copied_along(key)) return fault;
  if (key.size() >= least_access_key) return std::nullopt;
  return KeyFault{fmt::format("has fewer than {} characters", least_access_key),
                  std::string(make_a_key)};
}

// The value of a setting that is one key; none, and a fault, if it can be none.
std::optional<Secret> read_one_key(SettingValue& value) {
  const std::string_view key = value.raw();
  if (!is_sendable(key)) {
    value.fault(
        "begins or ends with a blank or holds a control character, which no client can send in a "
        "header",
        "choose a key without them");
  } else if (auto fault = fault_of_access_key(key)) {
    value.fault(std::move(fault->what), std::move(fault->mend));
  } else {
    return Secret(std::string(key));
  }
  return std::nullopt;
}

// Calls f(entry, position) for each entry that is not blank; positions count from 1.
template <class F>
void for_each_entry(std::string_view list, std::string_view separators, F&& f) {
  int position = 0;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(separators), list.size());
    const std::string_view entry = trim(list.substr(0, end));
    if (!entry.empty()) f(entry, ++position);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

std::string model_name_fault(std::string_view name) {
  if (name.empty()) return "has no name before the ':'";
  if (std::ranges::any_of(name, is_blank)) return "has a blank in its name";
  if (std::ranges::any_of(name, is_control)) return "has a control character in its name";
  if (name.size() > 256) return "has a name of more than 256 bytes";
  return {};
}

}  // namespace

bool is_client_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return is_alnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::optional<KeyFault> fault_of_client_key(std::string_view key) {
  if (auto fault = fault_of_access_key(key)) return fault;
  if (is_key(key)) return std::nullopt;
  return KeyFault{"holds a blank or a control character", "choose a key without them"};
}

void read_custom_access_key(SettingValue& value, Settings& into) {
  if (std::optional<Secret> key = read_one_key(value))
    into.access_keys.push_back({"default", std::move(*key)});
}

void read_admin_key(SettingValue& value, Settings& into) {
  std::optional<Secret> key = read_one_key(value);
  if (!key.has_value()) return;
  if (std::ranges::find(into.access_keys, *key, &AccessKey::key) != into.access_keys.end()) {
    value.fault("is an access key, too", "choose a key that no client has");
    return;
  }
  into.admin_key = std::move(*key);
}

void read_access_keys(SettingValue& value, Settings& into) {
  bool any = false;
  // Faults tell positions, not names: where '=' is missing or out of place, what looks like a name
  // may be a key.
  for_each_entry(value.text(), ",\n", [&](std::string_view entry, int position) {
    any = true;
    const auto fault = [&](std::string_view what, std::string_view mend) {
      value.fault(fmt::format("entry {} {}", position, what), std::string(mend));
    };
    const std::size_t sign = entry.find('=');
    const std::string_view name = trim(entry.substr(0, sign));
    const std::string_view key =
        sign == std::string_view::npos ? std::string_view() : trim(entry.substr(sign + 1));
    const auto has_name = [&](const AccessKey& other) { return other.name == name; };
    const auto has_key = [&](const AccessKey& other) { return other.key.reveal() == key; };
    if (sign == std::string_view::npos || !is_client_name(name)) {
      fault("is not name=key with a name of letters, digits, '.', '_' and '-'",
            "write ACCESS_KEYS=name=key,name=key");
    } else if (const auto odd = fault_of_access_key(key)) {
      fault("has a key that " + odd->what, odd->mend);
    } else if (!is_key(key)) {
      fault("has a key with a blank or a control character", "choose a key without them");
    } else if (std::ranges::any_of(into.access_keys, has_name)) {
      fault(name == "default" ? "has the name of CUSTOM_ACCESS_KEY, 'default'" : "repeats a name",
            "give each key a name of its own");
    } else if (std::ranges::any_of(into.access_keys, has_key)) {
      fault("repeats the key of another name", "give each name a key of its own");
    } else {
      into.access_keys.push_back({std::string(name), Secret(std::string(key))});
    }
  });
  if (!any) value.fault("holds no key", "write ACCESS_KEYS=name=key,name=key");
}

void read_ai_keys(SettingValue& value, Settings& into) {
  std::vector<std::string_view> seen;
  for_each_entry(value.text(), ",\n", [&](std::string_view account, int position) {
    std::vector<Secret> keys;
    for_each_entry(account, "|", [&](std::string_view key, int) {
      if (const auto odd = copied_along(key)) {
        value.fault(fmt::format("account {} has a key that {}", position, odd->what), odd->mend);
      } else if (key.find_first_of("\"'`") != std::string_view::npos) {
        value.fault(fmt::format("account {} has a key with a quote", position),
                    "leave quotes out, or put them around the whole list");
      } else if (!is_key(key)) {
        value.fault(
            fmt::format("account {} has a key with a blank or a control character", position),
            "separate accounts by ',' and keys of one account by '|'");
      } else if (std::ranges::find(seen, key) != seen.end()) {
        value.fault(fmt::format("account {} repeats a key", position), "list each key once");
      } else {
        seen.push_back(key);
        keys.emplace_back(std::string(key));
      }
    });
    if (!keys.empty()) into.ai_keys.push_back(std::move(keys));
  });
  if (value.text().find_first_not_of(",| \t\n") == std::string_view::npos) {
    value.fault("holds no key", "write AI_KEYS=key or AI_KEYS=key,key");
  }
}

void read_supported_models(SettingValue& value, Settings& into) {
  constexpr std::string_view form =
      "write name:endpoint or name:endpoint+edit-endpoint, for example flux-dev:fal-ai/flux/dev";
  bool any = false;
  for_each_entry(value.text(), ",\n", [&](std::string_view entry, int position) {
    any = true;
    const std::size_t colon = entry.find(':');
    if (colon == std::string_view::npos) {
      value.fault(fmt::format("entry {} has no ':' between name and endpoint", position),
                  std::string(form));
      return;
    }
    const std::string_view name = trim(entry.substr(0, colon));
    if (const std::string fault = model_name_fault(name); !fault.empty()) {
      value.fault(fmt::format("entry {} {}", position, fault),
                  std::string(form) + "; separate entries by ','");
      return;
    }
    const std::string_view endpoints = entry.substr(colon + 1);
    const std::size_t plus = endpoints.find('+');
    const EndpointSyntax endpoint = read_endpoint_syntax(trim(endpoints.substr(0, plus)));
    const EndpointSyntax edit = plus == std::string_view::npos
                                    ? EndpointSyntax{}
                                    : read_endpoint_syntax(trim(endpoints.substr(plus + 1)));
    if (!endpoint.fault.empty()) {
      value.fault(fmt::format("entry {} ('{}'): its endpoint {}", position, name, endpoint.fault),
                  std::string(form));
    }
    if (!edit.fault.empty()) {
      value.fault(fmt::format("entry {} ('{}'): its edit endpoint {}", position, name, edit.fault),
                  std::string(form));
    }
    if (std::ranges::find(into.models, name, &ModelRoute::name) != into.models.end()) {
      value.fault(fmt::format("entry {} repeats the name '{}'", position, name),
                  "give each model a name of its own");
    } else {
      // Kept also where an endpoint is at fault, so that DEFAULT_MODEL and repeats are judged by
      // what was meant.
      into.models.push_back({std::string(name), endpoint.id, edit.id});
    }
  });
  if (!any) value.fault("holds no model", std::string(form));
}

void read_chat_models(SettingValue& value, Settings& into) {
  constexpr const char* form =
      "write name:owner/model or owner/model, for example gpt:openai/gpt-4.1-mini, or * for any";
  bool any = false;
  for_each_entry(value.text(), ",\n", [&](std::string_view entry, int position) {
    any = true;
    // The router's ids may have a ':' of their own: deepseek/deepseek-r1:free.
    const std::size_t colon = entry.find(':');
    const bool is_alias =
        colon != std::string_view::npos && entry.find('/', colon) != std::string_view::npos;
    const std::string_view name = is_alias ? trim(entry.substr(0, colon)) : entry;
    const std::string_view upstream = is_alias ? trim(entry.substr(colon + 1)) : std::string_view();
    const bool is_pattern = name.find('*') != std::string_view::npos;
    const std::string_view id = upstream.empty() ? name : upstream;
    if (const std::string fault = model_name_fault(name); !fault.empty()) {
      value.fault(fmt::format("entry {} {}", position, fault), form);
    } else if (!(is_pattern && upstream.empty()) &&
               (id.find('/') == std::string_view::npos || !model_name_fault(id).empty())) {
      value.fault(
          fmt::format("entry {} has no id of the router's, which looks like owner/model", position),
          form);
    } else if (std::ranges::find(into.chat_models, name, &ChatRoute::name) !=
                   into.chat_models.end() ||
               std::ranges::find(into.models, name, &ModelRoute::name) != into.models.end()) {
      value.fault(fmt::format("entry {} repeats a name", position),
                  "give each model a name of its own, in SUPPORTED_MODELS and here");
    } else {
      into.chat_models.push_back({std::string(name), std::string(upstream)});
    }
  });
  if (!any) value.fault("holds no model", form);
}

void read_default_response_format(SettingValue& value, Settings& into) {
  for_each_entry(value.text(), ",\n", [&](std::string_view entry, int position) {
    const std::size_t sign = entry.rfind('=');
    const bool plain = sign == std::string_view::npos;
    const std::string_view format = plain ? entry : trim(entry.substr(sign + 1));
    const std::string_view pattern = plain ? "*" : trim(entry.substr(0, sign));
    const std::optional<ResponseFormat> known = value_in(response_formats, to_lower(format));
    if (pattern.empty() || !known.has_value()) {
      value.fault(fmt::format("entry {} is neither url nor b64_json, nor name=url or name=b64_json",
                              position),
                  "write DEFAULT_RESPONSE_FORMAT=b64_json, or by name: dall-e*=url,*=b64_json");
      return;
    }
    into.default_response_format.push_back({std::string(pattern), *known});
  });
}

void read_cors_origins(SettingValue& value, Settings& into) {
  into.cors_allow_origins.clear();
  if (equal_ignoring_case(value.text(), "none")) return;
  for_each_entry(value.text(), ",\n", [&](std::string_view entry, int position) {
    std::string origin = to_lower(entry);
    // Desktop programs have origins such as app://obsidian.md and tauri://localhost; files and
    // sandboxes have "null".
    const std::size_t scheme_end = origin.find("://");
    bool fine = origin == "*" || origin == "null";
    if (origin.starts_with("http://") || origin.starts_with("https://")) {
      const std::optional<Url> url = Url::parse(origin);
      fine = url.has_value() && origin.find_first_of("/?", scheme_end + 3) == std::string::npos;
      if (fine) origin = url->origin();
    } else if (scheme_end != std::string::npos && scheme_end > 0) {
      fine = origin.size() > scheme_end + 3 &&
             origin.find_first_of("/? *", scheme_end + 3) == std::string::npos &&
             is_client_name(std::string_view(origin).substr(0, scheme_end));
    }
    if (fine) {
      into.cors_allow_origins.push_back(std::move(origin));
    } else {
      value.fault(fmt::format("entry {} is not an origin", position),
                  "write *, none, or origins such as https://app.example.com, without a path or a "
                  "slash at the end");
    }
  });
}

namespace {

void read_hosts(SettingValue& value, std::string& into) {
  bool fine = true;
  for_each_entry(value.text(), ",", [&](std::string_view entry, int position) {
    const HostRule rule = read_host_rule(entry);
    if (rule.fault.empty()) return;
    fine = false;
    value.fault(fmt::format("entry {} {}", position, rule.fault),
                "write host, *.host or http://host:port, separated by ','");
  });
  if (fine) into = std::string(value.text());
}

}  // namespace

void read_media_hosts(SettingValue& value, Settings& into) {
  read_hosts(value, into.fal_media_hosts);
}

void read_callback_hosts(SettingValue& value, Settings& into) {
  read_hosts(value, into.callback_hosts);
}

std::optional<RateLimit> parse_rate_limit(std::string_view text) {
  using std::chrono::seconds;
  constexpr NamedValue<seconds> units[] = {{"s", seconds(1)},      {"sec", seconds(1)},
                                           {"second", seconds(1)}, {"m", seconds(60)},
                                           {"min", seconds(60)},   {"minute", seconds(60)},
                                           {"h", seconds(3600)},   {"hour", seconds(3600)},
                                           {"d", seconds(86400)},  {"day", seconds(86400)}};
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view count = trim(text.substr(0, slash));
  const std::string_view unit =
      slash == text.size() ? std::string_view() : trim(text.substr(slash + 1));
  RateLimit limit;
  const auto [stop, error] =
      std::from_chars(count.data(), count.data() + count.size(), limit.requests);
  const auto known = std::ranges::find_if(
      units, [&](const auto& row) { return equal_ignoring_case(row.name, unit); });
  if (error != std::errc() || stop != count.data() + count.size() || limit.requests < 1 ||
      known == std::end(units))
    return std::nullopt;
  limit.per = known->value;
  return limit;
}

void read_alert_url(SettingValue& value, Settings& into) {
  if (Url::parse(value.text()).has_value()) {
    into.alert_url = Secret(std::string(value.text()));
  } else {
    value.fault("is no http(s) address", "write ALERT_URL=https://...");
  }
}

void read_alert_balance(SettingValue& value, Settings& into) {
  if (const std::optional<Usd> amount = Usd::parse(value.text())) {
    into.alert_balance = *amount;
  } else {
    value.fault("is no amount of dollars", "write it like ALERT_BALANCE_USD=10 or 2.50");
  }
}

void read_fal_admin_key(SettingValue& value, Settings& into) {
  if (value.text().find_first_of(" \t\r\n,|") == std::string_view::npos) {
    into.fal_admin_key = Secret(std::string(value.text()));
  } else {
    value.fault("is no key", "write one key of fal's, id:secret, that has the scope ADMIN");
  }
}

void read_rate_limit(SettingValue& value, Settings& into) {
  into.rate_limit = parse_rate_limit(value.text());
  if (into.rate_limit.has_value()) return;
  value.fault("is not requests per time",
              "write it like RATE_LIMIT=60/min; units are s, min, h and day");
}

}  // namespace falproxy::inline v0
