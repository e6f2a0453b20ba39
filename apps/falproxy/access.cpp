#include "access.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/fmt.hpp"
#include "base/hmac.hpp"
#include "base/name_pattern.hpp"
#include "base/text.hpp"

namespace falproxy::app {
namespace {

// `Bearer KEY` in any case, `Key KEY`, or the key alone.
std::string_view without_scheme(std::string_view value) noexcept {
  const std::size_t blank = std::min(value.find_first_of(" \t"), value.size());
  for (const std::string_view scheme : {"bearer", "key"}) {
    if (equal_ignoring_case(value.substr(0, blank), scheme)) return trim(value.substr(blank));
  }
  return value;
}

std::size_t head_of(const Digest& digest) {
  std::size_t head = 0;
  std::memcpy(&head, digest.data(), sizeof head);
  return head;
}

Error no_key() {
  return {.kind = ErrorKind::missing_access_key,
          .message =
              "You didn't provide an access key. Provide it in an Authorization header "
              "using Bearer auth "
              "(i.e. Authorization: Bearer YOUR_KEY)."};
}

Error wrong_key(const KeyRules* expired) {
  if (expired == nullptr) {
    return {.kind = ErrorKind::invalid_access_key,
            .message =
                "Incorrect access key provided. Ask the operator of this server for the right "
                "one."};
  }
  return {.kind = ErrorKind::invalid_access_key,
          .message = fmt::format("This access key expired on {} (UTC). Ask the operator of this "
                                 "server for a new one.",
                                 date_text(*expired->expires))};
}

}  // namespace

AccessBook::AccessBook(const Settings& settings, const Codecs& codecs,
                       std::vector<StoredKey> stored)
    : codecs_(codecs) {
  bool any_in_file = false;
  add(settings.admin_key, {});
  for (const AccessKey& key : settings.access_keys) add(key.key, key.name);
  for (const KeyRules& row : settings.keys) {
    add(row.key, row.name);
    any_in_file = any_in_file || !row.key.empty();
    rules_.emplace(row.name, row);
  }
  for (StoredKey& key : stored) {
    std::string name = key.rules.name;
    // What is configured meanwhile wins.
    const auto has_name = [&](const AccessKey& other) { return other.name == name; };
    if (rules_.contains(name) || std::ranges::any_of(settings.access_keys, has_name)) continue;
    add(key.digest, name);
    rules_.emplace(std::move(name), std::move(key.rules));
  }
  only_key_ = settings.admin_key.empty() && settings.access_keys.size() == 1 &&
              settings.access_keys.front().name == "default" && !any_in_file;
}

void AccessBook::add(const Secret& key, std::string name) {
  if (key.empty()) return;
  add(codecs_.sha256(key.reveal()), std::move(name));
}

void AccessBook::add(const Digest& digest, std::string name) {
  holders_.emplace(head_of(digest), Holder{digest, std::move(name)});
}

// What the time of a look tells is about a digest, to which nobody can choose a key.
const AccessBook::Holder* AccessBook::find(std::string_view key) const {
  const Digest digest = codecs_.sha256(key);
  const Holder* found = nullptr;
  const auto [begin, end] = holders_.equal_range(head_of(digest));
  for (auto at = begin; at != end; ++at) {
    if (is_same_secret(at->second.digest, digest)) found = &at->second;
  }
  return found;
}

Result<Caller> AccessBook::check(const RequestHead& head, WallTime now) const {
  Caller caller;
  bool any = false;
  const KeyRules* expired = nullptr;
  for (const std::string_view name : {"authorization", "x-api-key", "api-key"}) {
    const std::string_view value = without_scheme(trim(head.find(name).value_or("")));
    if (value.empty()) continue;
    any = true;
    const Holder* const holder = find(value);
    if (holder == nullptr) continue;
    const KeyRules* const rules = rules_of(holder->name);
    if (holder->name.empty()) {
      caller.is_operator = true;
    } else if (rules != nullptr && rules->expires && now >= begin_of(*rules->expires)) {
      expired = rules;
    } else {
      caller.client = holder->name;
    }
  }
  if (!any) return no_key();
  if (caller.client.empty() && !caller.is_operator) return wrong_key(expired);
  caller.is_operator = caller.is_operator || (only_key_ && caller.client == "default");
  return caller;
}

std::vector<std::pair<std::string, const Secret*>> configured_keys(const Settings& settings) {
  std::vector<std::pair<std::string, const Secret*>> keys;
  for (const AccessKey& key : settings.access_keys) keys.emplace_back(key.name, &key.key);
  for (const KeyRules& row : settings.keys) {
    if (!row.key.empty()) keys.emplace_back(row.name, &row.key);
  }
  return keys;
}

const KeyRules* AccessBook::rules_of(std::string_view client) const {
  const auto found = rules_.find(std::string(client));
  return found == rules_.end() ? nullptr : &found->second;
}

bool AccessBook::may_use(std::string_view client, std::string_view model) const {
  const KeyRules* const rules = rules_of(client);
  if (rules == nullptr || rules->models.empty()) return true;
  return std::ranges::any_of(
      rules->models, [&](const std::string& pattern) { return matches_pattern(pattern, model); });
}

Result<Done> may_make_pictures(const Caller& caller) {
  if (!caller.client.empty()) return Done{};
  return Error{.kind = ErrorKind::permission_denied,
               .message =
                   "This is the operator's key (ADMIN_KEY), which makes no pictures. Send "
                   "an access key."};
}

Result<Done> may_see_everything(const Caller& caller) {
  if (caller.is_operator) return Done{};
  return Error{.kind = ErrorKind::permission_denied,
               .message =
                   "An access key may not do this: send the operator's key (ADMIN_KEY). What you "
                   "did yourself is at /v1/falproxy/status; METRICS_PORT serves /metrics without a "
                   "key."};
}

}  // namespace falproxy::app
