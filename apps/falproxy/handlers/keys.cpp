// Keys that the operator makes over the network: /v1/falproxy/keys.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/hex.hpp"
#include "base/unix_time.hpp"
#include "handlers/handlers.hpp"
#include "later.hpp"
#include "stored_keys.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

using Members = std::vector<std::pair<std::string, Json>>;

constexpr std::size_t max_body = 64u << 10;
constexpr std::size_t shown_letters = 7;

// With the operator's own key alone, so that no key of a client makes others.
std::optional<Error> refusal(const Call& call) {
  if (!call.rules->settings.admin_key.empty()) return std::nullopt;
  return Error{.kind = ErrorKind::permission_denied,
               .message = "Keys can be made here once ADMIN_KEY is set, by who has it."};
}

Error no_such_key(std::string_view name) {
  return {.kind = ErrorKind::unknown_url,
          .message = fmt::format("There is no key '{}'.", name.substr(0, 100))};
}

std::string new_key() {
  std::array<unsigned char, 24> random{};
  if (::getentropy(random.data(), random.size()) != 0) return {};
  return "fp-" + hex(random);
}

// Where a key is configured; empty: it is not.
std::string place_of(const Settings& settings, std::string_view name) {
  const auto row = std::ranges::find(settings.keys, name, &KeyRules::name);
  if (row != settings.keys.end() && (!row->key.empty() || name == "*")) return settings.keys_file;
  if (std::ranges::find(settings.access_keys, name, &AccessKey::name) != settings.access_keys.end())
    return name == "default" ? "CUSTOM_ACCESS_KEY" : "ACCESS_KEYS";
  return {};
}

Error configured(std::string_view name, const std::string& place) {
  return {.kind = ErrorKind::key_is_configured,
          .message = fmt::format("The key '{}' stands in {}: change it there.", name, place),
          .field = "name"};
}

Json described(const Call& call, const KeyRules& rules, const std::string& place,
               const std::string& prefix) {
  Members members{{"name", rules.name}, {"place", place}};
  if (!prefix.empty()) members.emplace_back("prefix", prefix);
  const Json own = to_json(rules);
  for (const auto& [name, value] : own.members()) members.emplace_back(name, value);
  const BudgetStatus status = call.door.parts().budgets.status(rules.name);
  const auto time = [&](const char* name, const std::optional<WallTime>& when) {
    if (!when) return;
    members.emplace_back(name, unix_seconds(*when));
  };
  if (status.budget) members.emplace_back("spent_usd", status.spent.to_string());
  time("window_ends", status.window_ends);
  time("blocked_until", status.blocked_until);
  members.emplace_back("blocked", status.blocked_until.has_value());
  return Json::object(members);
}

std::optional<StoredKey> stored_key(const Call& call, std::string_view name) {
  for (StoredKey& key : call.door.parts().stored_keys.all()) {
    if (key.rules.name == name) return std::move(key);
  }
  return std::nullopt;
}

Result<Json> read_members(Call& call) {
  std::string body;
  const Result<Done> read = call.request.read_body(max_body, [&](std::string_view bytes) {
    body.append(bytes);
    return true;
  });
  if (!read) return read.error();
  Result<Json> members = Json::parse(body, {.unique_names = true});
  if (members && !members->is_object())
    return Error{ErrorKind::invalid_json, "The body is not a JSON object."};
  return members;
}

Members without(const Json& object, std::initializer_list<std::string_view> names) {
  Members members;
  for (const auto& [name, value] : object.members()) {
    if (std::ranges::find(names, name) == names.end()) members.emplace_back(name, value);
  }
  return members;
}

// A member that is null is taken away.
Members merged(const Json& before, const Members& changes) {
  Members members = without(before, {});
  for (const auto& [name, value] : changes) {
    std::erase_if(members, [&, known = name](const auto& member) { return member.first == known; });
    if (!value.is_null()) members.emplace_back(name, value);
  }
  return members;
}

}  // namespace

Response list_keys(Call& call) {
  if (const auto refused = refusal(call)) return call.fail(*refused);
  const Settings& settings = call.rules->settings;
  std::vector<Json> data;
  for (const AccessKey& key : settings.access_keys) {
    const KeyRules* const row = call.rules->access.rules_of(key.name);
    data.push_back(described(call, row != nullptr ? *row : KeyRules{.name = key.name},
                             place_of(settings, key.name), {}));
  }
  for (const KeyRules& row : settings.keys) {
    if (!row.key.empty() || row.name == "*")
      data.push_back(described(call, row, settings.keys_file, {}));
  }
  for (const StoredKey& key : call.door.parts().stored_keys.all())
    data.push_back(described(call, key.rules, "stored", key.prefix));
  return json_answer(Json::object({{"object", "list"}, {"data", Json::array(data)}}).dump());
}

Response make_key(Call& call) {
  if (const auto refused = refusal(call)) return call.fail(*refused);
  const Result<Json> members = read_members(call);
  if (!members) return call.fail(members.error());
  const std::string name((*members)["name"].as_string().value_or(""));
  if (name.empty()) {
    return call.fail({ErrorKind::missing_parameter,
                      "'name' is missing: letters, digits, '.', '_' and '-'.", "name"});
  }
  if (name == "*") {
    return call.fail({ErrorKind::invalid_value,
                      "'name' cannot be '*': that row has its place in KEYS_FILE.", "name"});
  }
  if (members->find("key").has_value()) {
    return call.fail(
        {ErrorKind::unknown_parameter, "'key' cannot be chosen: it is made here.", "key"});
  }
  if (const std::string place = place_of(call.rules->settings, name); !place.empty())
    return call.fail(configured(name, place));
  Result<KeyRules> rules = parse_key_rules(name, Json::object(without(*members, {"name"})));
  if (!rules) return call.fail(rules.error());
  const std::string key = new_key();
  if (key.empty()) return call.fail({ErrorKind::internal, "The system gives no random bytes."});
  const Door::Parts& parts = call.door.parts();
  StoredKey stored{*rules, parts.codecs.sha256(key), key.substr(0, shown_letters),
                   callback_secret(parts.codecs, key)};
  if (const Result<Done> added = parts.stored_keys.add(std::move(stored)); !added)
    return call.fail(added.error());
  call.door.keys_changed();
  Members shown = without(described(call, *rules, "stored", key.substr(0, shown_letters)), {});
  shown.emplace_back("key", key);
  return json_answer(Json::object(shown).dump());
}

Response change_key(Call& call) {
  if (const auto refused = refusal(call)) return call.fail(*refused);
  const std::string name(call.request.parameter("name"));
  const Result<Json> members = read_members(call);
  if (!members) return call.fail(members.error());
  for (const char* fixed : {"key", "name"}) {
    if (members->find(fixed).has_value()) {
      return call.fail({ErrorKind::unknown_parameter,
                        fmt::format("'{}' cannot be changed. Make another key.", fixed), fixed});
    }
  }
  const Members changes = without(*members, {"blocked"});
  const std::optional<Json> blocked = members->find("blocked");
  if (blocked && blocked->as_boolean() != false) {
    return call.fail({ErrorKind::invalid_value, "'blocked' can be set to false only.", "blocked"});
  }
  const std::string place = place_of(call.rules->settings, name);
  const std::optional<StoredKey> key = stored_key(call, name);
  if (!place.empty() && !changes.empty()) return call.fail(configured(name, place));
  if (place.empty() && !key) return call.fail(no_such_key(name));
  if (blocked) call.door.parts().budgets.unblock(name);
  const KeyRules* const row = call.rules->access.rules_of(name);
  KeyRules rules = row != nullptr ? *row : KeyRules{.name = name};
  if (!changes.empty()) {
    Result<KeyRules> parsed =
        parse_key_rules(name, Json::object(merged(to_json(key->rules), changes)));
    if (!parsed) return call.fail(parsed.error());
    rules = *std::move(parsed);
    if (const Result<Done> changed = call.door.parts().stored_keys.change(rules); !changed)
      return call.fail(changed.error());
    call.door.keys_changed();
  }
  return json_answer(described(call, rules, key ? "stored" : place, key ? key->prefix : "").dump());
}

Response remove_key(Call& call) {
  if (const auto refused = refusal(call)) return call.fail(*refused);
  const std::string name(call.request.parameter("name"));
  if (const std::string place = place_of(call.rules->settings, name); !place.empty())
    return call.fail(configured(name, place));
  if (!stored_key(call, name)) return call.fail(no_such_key(name));
  if (const Result<Done> removed = call.door.parts().stored_keys.remove(name); !removed)
    return call.fail(removed.error());
  call.door.keys_changed();
  return json_answer(Json::object({{"name", name}, {"deleted", true}}).dump());
}

}  // namespace falproxy::app
