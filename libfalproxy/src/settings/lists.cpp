#include "settings/lists.hpp"

#include <algorithm>
#include <charconv>

#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "base/host_rule.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"

namespace falproxy {
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

bool is_client_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return is_alnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string model_name_fault(std::string_view name) {
  if (name.empty()) return "has no name before the ':'";
  if (std::ranges::any_of(name, is_blank)) return "has a blank in its name";
  if (std::ranges::any_of(name, is_control)) return "has a control character in its name";
  return {};
}

}  // namespace

void read_custom_access_key(SettingValue& value, Settings& into) {
  if (!is_sendable(value.raw())) {
    value.fault(
        "begins or ends with a blank or holds a control character, which no client can send in a "
        "header",
        "choose a key without them");
    return;
  }
  into.access_keys.push_back({"default", Secret(std::string(value.raw()))});
}

void read_access_keys(SettingValue& value, Settings& into) {
  constexpr std::size_t least = 8;
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
    } else if (!is_key(key)) {
      fault("has a key with a blank or a control character", "choose a key without them");
    } else if (key.size() < least) {
      fault(fmt::format("has a key of fewer than {} characters", least),
            "choose a longer one, for example with: openssl rand -hex 16");
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
      if (!is_key(key)) {
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

void read_media_hosts(SettingValue& value, Settings& into) {
  bool fine = true;
  for_each_entry(value.text(), ",", [&](std::string_view entry, int position) {
    const HostRule rule = read_host_rule(entry);
    if (rule.fault.empty()) return;
    fine = false;
    value.fault(fmt::format("entry {} {}", position, rule.fault),
                "write host, *.host or http://host:port, separated by ','");
  });
  if (fine) into.fal_media_hosts = std::string(value.text());
}

void read_rate_limit(SettingValue& value, Settings& into) {
  using std::chrono::seconds;
  constexpr SettingValue::Word<seconds> units[] = {{"s", seconds(1)},      {"sec", seconds(1)},
                                                   {"second", seconds(1)}, {"m", seconds(60)},
                                                   {"min", seconds(60)},   {"minute", seconds(60)},
                                                   {"h", seconds(3600)},   {"hour", seconds(3600)},
                                                   {"d", seconds(86400)},  {"day", seconds(86400)}};
  const std::string_view text = value.text();
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view count = trim(text.substr(0, slash));
  const std::string_view unit =
      slash == text.size() ? std::string_view() : trim(text.substr(slash + 1));
  RateLimit limit;
  const auto [stop, error] =
      std::from_chars(count.data(), count.data() + count.size(), limit.requests);
  const auto known = std::ranges::find_if(
      units, [&](const auto& row) { return equal_ignoring_case(row.first, unit); });
  if (error != std::errc() || stop != count.data() + count.size() || limit.requests < 1 ||
      known == std::end(units)) {
    value.fault("is not requests per time",
                "write it like RATE_LIMIT=60/min; units are s, min, h and day");
    return;
  }
  limit.per = known->second;
  into.rate_limit = limit;
}

}  // namespace falproxy
