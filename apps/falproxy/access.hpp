// access.hpp: whose key a request brings, and what it may do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "serving/head.hpp"
#include "stored_keys.hpp"

namespace falproxy::app {

using serving::RequestHead;

/// Who asks.
struct Caller {
  std::string client = {};   ///< the access key's name; empty: the operator, who makes no pictures
  bool is_operator = false;  ///< may see what all clients do
  bool operator==(const Caller&) const = default;
};

/// Every key there is, by its digest, and what it may do; as of one moment, immutable. To find one
/// of ten thousand takes as long as to find one of two.
class AccessBook {
 public:
  /// `codecs` must outlive it. Stored keys do not count as others than CUSTOM_ACCESS_KEY.
  AccessBook(const Settings& settings, const Codecs& codecs, std::vector<StoredKey> stored = {});

  /// By the keys that `head` brings. ADMIN_KEY is the operator's; without it CUSTOM_ACCESS_KEY is,
  /// if there is no other access key. Errors: missing_access_key, invalid_access_key.
  [[nodiscard]] Result<Caller> check(const RequestHead& head, WallTime now) const;
  /// What a client may do; null: there is no row for it.
  [[nodiscard]] const KeyRules* rules_of(std::string_view client) const;
  [[nodiscard]] bool may_use(std::string_view client, std::string_view model) const;

 private:
  struct Holder {
    Digest digest;
    std::string name;  // empty: the operator
  };
  void add(const Secret& key, std::string name);
  void add(const Digest& digest, std::string name);
  [[nodiscard]] const Holder* find(std::string_view key) const;

  const Codecs& codecs_;
  std::unordered_multimap<std::size_t, Holder> holders_;  // by the first bytes of the digest
  std::unordered_map<std::string, KeyRules> rules_;
  bool only_key_;
};

/// Errors: permission_denied.
[[nodiscard]] Result<Done> may_make_pictures(const Caller& caller);
[[nodiscard]] Result<Done> may_see_everything(const Caller& caller);

/// The names and keys of the settings, those of KEYS_FILE last. Valid as long as `settings`.
[[nodiscard]] std::vector<std::pair<std::string, const Secret*>> configured_keys(
    const Settings& settings);

}  // namespace falproxy::app
