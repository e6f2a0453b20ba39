#include <algorithm>
#include <set>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/settings.hpp"
#include "settings/json_file.hpp"
#include "settings/lists.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::string_view all_together = "*";
constexpr std::size_t most_patterns = 100;

bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && is_client_name(name);
}

class KeysFileReader : JsonFileReader {
 public:
  KeysFileReader(std::string_view text, const std::string& file) : JsonFileReader(text, file) {}

  Result<std::vector<KeyRules>, Faults> read(const Json& root,
                                             const std::vector<AccessKey>& others) {
    std::vector<KeyRules> all;
    std::set<std::string, std::less<>> seen;
    for (const AccessKey& other : others) seen.emplace(other.key.reveal());
    for (const std::string_view name : root.keys()) {
      const Json value = *root.find(name);
      path_ = {std::string(name)};
      if (!value.is_object()) {
        fault("is not an object", fmt::format(R"(write "{}": {{...}})", name));
        continue;
      }
      all.push_back(row(value, name));
      path_ = {std::string(name)};
      if (is_whole(value, all.back(), others)) check_repeat(all.back(), seen);
    }
    if (faults_.empty() && all.empty()) fault("holds no key", R"(write {"name": {"key": "..."}})");
    if (faults_.empty()) return all;
    return take_faults();
  }

  Result<KeyRules, Faults> read_one(const Json& members, const std::string& name) {
    path_ = {name};
    KeyRules rules = row(members, name);
    if (faults_.empty()) return rules;
    return take_faults();
  }

 private:
  friend JsonFileReader;
  using Row = JsonFileReader::Row<KeysFileReader, KeyRules>;

  KeyRules row(const Json& value, std::string_view name) {
    KeyRules rules{.name = std::string(name)};
    rules.unknown_price = value["budget"].is_null() && value["max_job_cost"].is_null()
                              ? UnknownPrice::allow
                              : UnknownPrice::refuse;
    if (name == all_together) {
      read_members(value, std::span<const Row>(common_rows), rules);
    } else {
      if (!is_client_name(name))
        fault("is no name of a key", "use letters, digits, '.', '_' and '-'");
      read_members(value, std::span<const Row>(rows), rules);
    }
    return rules;
  }

  // Does each key stand in one place?
  bool is_whole(const Json& value, const KeyRules& rules, const std::vector<AccessKey>& others) {
    const bool elsewhere = std::ranges::find(others, rules.name, &AccessKey::name) != others.end();
    if (rules.name == all_together) return false;
    if (value["key"].is_null()) {
      if (elsewhere) return false;
      if (rules.name == "default") {
        fault("has no key", "set CUSTOM_ACCESS_KEY, or write a \"key\" here");
      } else {
        fault("has no key", "write a \"key\" here, or put the name into ACCESS_KEYS");
      }
      return false;
    }
    if (!elsewhere) return true;
    const bool custom = rules.name == "default";
    path_.emplace_back("key");
    fault(fmt::format("stands in {}, too", custom ? "CUSTOM_ACCESS_KEY" : "ACCESS_KEYS"),
          "leave one of the two out");
    path_.pop_back();
    return false;
  }

  void check_repeat(const KeyRules& rules, std::set<std::string, std::less<>>& seen) {
    if (rules.key.empty()) return;
    path_.emplace_back("key");
    if (!seen.emplace(rules.key.reveal()).second)
      fault("is the key of another name, too", "give each name a key of its own");
    path_.pop_back();
  }

  void read_key(const Json& value, KeyRules& into) {
    const std::optional<std::string_view> text = value.as_string();
    if (!text) return fault("is not a string", "make a key with: openssl rand -hex 24");
    if (auto odd = fault_of_client_key(*text)) return fault(odd->what, odd->mend);
    into.key = Secret(std::string(*text));
  }

  void read_budget(const Json& value, KeyRules& into) {
    into.budget = Budget::parse(value.as_string().value_or(""));
    if (!into.budget.has_value()) {
      fault("is not dollars for a time",
            R"(write it like "5.00/day"; times are day, week, month and total)");
    }
  }

  void read_models(const Json& value, KeyRules& into) {
    constexpr const char* mend = R"(write a list of names such as ["flux*", "nano-banana"])";
    if (!value.is_array() || value.size() == 0 || value.size() > most_patterns)
      return fault("is not a list of models", mend);
    for (const Json& element : value.elements()) {
      const std::string_view pattern = element.as_string().value_or("");
      if (pattern.empty() || pattern.size() > 256)
        return fault("has an element that is no name", mend);
      into.models.emplace_back(pattern);
    }
  }

  void read_rate(const Json& value, KeyRules& into) {
    into.rate_limit = parse_rate_limit(value.as_string().value_or(""));
    if (!into.rate_limit.has_value())
      fault("is not requests per time", R"(write it like "60/min"; units are s, min, h and day)");
  }

  void read_in_flight(const Json& value, KeyRules& into) {
    const std::int64_t most = value.as_integer().value_or(0);
    if (most < 1 || most > 1'000'000)
      return fault("is not a number of requests", "write a whole number from 1, without quotes");
    into.max_in_flight = static_cast<int>(most);
  }

  void read_expires(const Json& value, KeyRules& into) {
    const std::string_view text = value.as_string().value_or("");
    if (text.find('-') != std::string_view::npos) into.expires = parse_day(text);
    if (!into.expires.has_value()) fault("is not a date", R"(write it like "2027-01-01", in UTC)");
  }

  void read_unknown_price(const Json& value, KeyRules& into) {
    const std::string_view text = value.as_string().value_or("");
    if (text == "refuse" || text == "allow") {
      into.unknown_price = text == "allow" ? UnknownPrice::allow : UnknownPrice::refuse;
      return;
    }
    const std::optional<Usd> assumed = Usd::parse(text);
    if (!assumed.has_value()) {
      return fault("is neither \"refuse\" nor \"allow\" nor dollars for a job",
                   R"(write "refuse", "allow", or an amount such as "0.10")");
    }
    into.unknown_price = UnknownPrice::assume;
    into.assumed_cost = *assumed;
  }

  void read_state_loss(const Json& value, KeyRules& into) {
    const std::string_view text = value.as_string().value_or("");
    if (text != "refuse" && text != "allow")
      return fault("is neither \"refuse\" nor \"allow\"", "write one of the two");
    into.allow_state_loss = text == "allow";
  }

  void read_max_job_cost(const Json& value, KeyRules& into) {
    into.max_job_cost = Usd::parse(value.as_string().value_or(""));
    if (!into.max_job_cost.has_value())
      fault("is not an amount of dollars", R"(write it like "0.50", in quotes)");
  }

  void read_llm_reserve(const Json& value, KeyRules& into) {
    const std::optional<Usd> amount = Usd::parse(value.as_string().value_or(""));
    if (!amount.has_value())
      return fault("is not an amount of dollars", R"(write it like "0.05", in quotes)");
    into.llm_reserve = *amount;
  }

  void read_user_header(const Json& value, KeyRules& into) {
    const std::string_view text = value.as_string().value_or("");
    if (!is_field_name(text)) {
      return fault("is not the name of a header field", R"(write it like "X-OpenWebUI-User-Id")");
    }
    into.user_header = std::string(text);
  }

  void read_media_quota(const Json& value, KeyRules& into) {
    const std::int64_t bytes = value.as_integer().value_or(0);
    if (bytes < 1)
      return fault("is not a number of bytes", "write a whole number from 1, without quotes");
    into.media_quota = static_cast<std::uint64_t>(bytes);
  }

  static const Row rows[12];
  static const Row common_rows[4];
};

const KeysFileReader::Row KeysFileReader::rows[12] = {
    {"key", &KeysFileReader::read_key},
    {"budget", &KeysFileReader::read_budget},
    {"models", &KeysFileReader::read_models},
    {"rate_limit", &KeysFileReader::read_rate},
    {"max_in_flight", &KeysFileReader::read_in_flight},
    {"expires", &KeysFileReader::read_expires},
    {"unknown_price", &KeysFileReader::read_unknown_price},
    {"on_state_loss", &KeysFileReader::read_state_loss},
    {"max_job_cost", &KeysFileReader::read_max_job_cost},
    {"llm_reserve", &KeysFileReader::read_llm_reserve},
    {"user_header", &KeysFileReader::read_user_header},
    {"media_quota", &KeysFileReader::read_media_quota},
};
const KeysFileReader::Row KeysFileReader::common_rows[4] = {
    {"budget", &KeysFileReader::read_budget},
    {"unknown_price", &KeysFileReader::read_unknown_price},
    {"on_state_loss", &KeysFileReader::read_state_loss},
    {"max_job_cost", &KeysFileReader::read_max_job_cost},
};

}  // namespace

Result<std::vector<KeyRules>, std::vector<SettingsFault>> parse_keys_file(
    std::string_view text, const std::string& file, const std::vector<AccessKey>& others) {
  const auto root = parse_json_file(text, file, "KEYS_FILE", R"({"name": {"key": "..."}})");
  if (!root) return root.error();
  return KeysFileReader(text, file).read(*root, others);
}

Result<KeyRules> parse_key_rules(const std::string& name, const Json& members) {
  const std::string nowhere;
  Result<KeyRules, std::vector<SettingsFault>> rules =
      KeysFileReader("{}", nowhere).read_one(members, name);
  if (rules) return *std::move(rules);
  const SettingsFault& fault = rules.error().front();
  const std::size_t dot = fault.variable.rfind('.');
  const bool of_name = fault.variable == name;
  const std::string field = of_name ? "name" : fault.variable.substr(dot + 1);
  return Error{ErrorKind::invalid_value,
               fmt::format("'{}' {}: {}{}", field, fault.message, fault.mend,
                           fault.mend.ends_with('?') ? "" : "."),
               field};
}

Json to_json(const KeyRules& rules) {
  std::vector<std::pair<std::string, Json>> members;
  const auto add = [&](const char* name, Json value) {
    members.emplace_back(name, std::move(value));
  };
  if (rules.budget) {
    add("budget",
        fmt::format("{}/{}", rules.budget->amount.to_string(), name_of(rules.budget->window)));
  }
  if (!rules.models.empty()) add("models", Json::array({rules.models.begin(), rules.models.end()}));
  if (rules.rate_limit) {
    const auto per = rules.rate_limit->per.count();
    const char* const unit = per == 1 ? "s" : per == 60 ? "min" : per == 3600 ? "h" : "day";
    add("rate_limit", fmt::format("{}/{}", rules.rate_limit->requests, unit));
  }
  if (rules.max_in_flight) add("max_in_flight", *rules.max_in_flight);
  if (rules.expires) add("expires", date_text(*rules.expires));
  // What follows from the other members is left out, so that it goes on following them.
  const bool limits = rules.budget || rules.max_job_cost;
  const UnknownPrice usual = limits ? UnknownPrice::refuse : UnknownPrice::allow;
  if (rules.unknown_price != usual)
    add("unknown_price", rules.unknown_price == UnknownPrice::assume
                             ? Json(rules.assumed_cost.to_string())
                             : Json(name_of(rules.unknown_price)));
  if (rules.allow_state_loss) add("on_state_loss", "allow");
  if (rules.max_job_cost) add("max_job_cost", rules.max_job_cost->to_string());
  if (rules.llm_reserve != KeyRules().llm_reserve)
    add("llm_reserve", rules.llm_reserve.to_string());
  if (!rules.user_header.empty()) add("user_header", rules.user_header);
  if (rules.media_quota) add("media_quota", static_cast<std::int64_t>(*rules.media_quota));
  return Json::object(members);
}

}  // namespace falproxy::inline v0
