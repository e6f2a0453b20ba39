#include "stored_keys.hpp"

#include <algorithm>
#include <utility>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "base/hex.hpp"

namespace falproxy::app {
namespace {

constexpr const char* stored = "keys";
constexpr Seconds longest_store_wait{5};
constexpr int most_attempts = 20;

std::optional<Digest> digest_in(std::string_view text) {
  Digest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const std::size_t high = digits.find(text[2 * i]), low = digits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

std::string text_of(const std::vector<StoredKey>& keys) {
  std::vector<Json> rows;
  rows.reserve(keys.size());
  for (const StoredKey& key : keys) {
    rows.push_back(Json::object({{"name", key.rules.name},
                                 {"digest", hex(key.digest)},
                                 {"prefix", key.prefix},
                                 {"callback_secret", key.callback_secret},
                                 {"rules", to_json(key.rules)}}));
  }
  return Json::object({{"keys", Json::array(rows)}}).dump();
}

// What cannot be read is no key: it lets nobody in.
std::vector<StoredKey> keys_in(const std::string& text) {
  std::vector<StoredKey> keys;
  const Result<Json> all = Json::parse(text, {.max_values = 1'000'000});
  if (!all) return keys;
  for (const Json& row : (*all)["keys"].elements()) {
    const std::string name(row["name"].as_string().value_or(""));
    const std::optional<Digest> digest = digest_in(row["digest"].as_string().value_or(""));
    Result<KeyRules> rules = parse_key_rules(name, row["rules"]);
    if (!digest || !rules) continue;
    keys.push_back({*std::move(rules), *digest, std::string(row["prefix"].as_string().value_or("")),
                    std::string(row["callback_secret"].as_string().value_or(""))});
  }
  return keys;
}

Error not_kept() {
  return {.kind = ErrorKind::overloaded,
          .message = "The keys cannot be changed now. Try again.",
          .retry_after = Seconds(1)};
}

}  // namespace

// What is changed here while the store is asked, is newer than its answer.
Result<Done, StoreError> StoredKeys::load() {
  std::optional<std::uint64_t> known;
  std::uint64_t edits = 0;
  {
    const std::lock_guard lock(mutex_);
    known = version_;
    edits = edits_;
  }
  const TimePoint until = clock_.now() + longest_store_wait;
  const Handed<Result<std::optional<KeptText>, StoreError>> text;
  store_.get_newer(stored, known, until, text.callback());
  const auto kept = text.wait(clock_, until);
  if (!kept) return StoreError{StoreFault::timed_out, "The store did not answer in time."};
  if (!*kept) return kept->error();
  const std::optional<KeptText>& newer = **kept;
  if (!newer) return Done{};
  std::vector<StoredKey> keys = keys_in(newer->text);
  const std::lock_guard lock(mutex_);
  if (version_ != known || edits_ != edits) return Done{};
  keys_ = std::move(keys);
  version_ = newer->version;
  return Done{};
}

std::vector<StoredKey> StoredKeys::all() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

// One change at a time. No lock is held while the store is waited for.
Result<Done> StoredKeys::edit(const Change& change) {
  {
    const std::lock_guard lock(mutex_);
    if (changing_) return not_kept();
    changing_ = true;
  }
  const Finally over([this] {
    const std::lock_guard lock(mutex_);
    changing_ = false;
  });
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const Result<bool> done = try_edit(change);
    if (!done) return done.error();
    if (*done) return Done{};
  }
  return not_kept();
}

Result<bool> StoredKeys::try_edit(const Change& change) {
  if (!load()) return not_kept();
  std::vector<StoredKey> next;
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    next = keys_;
    version = version_.value_or(0);
  }
  if (const Result<Done> changed = change(next); !changed) return changed.error();
  const TimePoint until = clock_.now() + longest_store_wait;
  const Handed<Result<bool, StoreError>> put;
  store_.put_after(stored, version, next.empty() ? "" : text_of(next), until, put.callback());
  const std::optional<Result<bool, StoreError>> done = put.wait(clock_, until);
  if (!done || !*done) return not_kept();
  if (!**done) return false;
  const std::lock_guard lock(mutex_);
  keys_ = std::move(next);
  // Its version is not told: what a shared store has is read again.
  version_ = version;
  ++edits_;
  return true;
}

Result<Done> StoredKeys::add(StoredKey key) {
  return edit([&](std::vector<StoredKey>& keys) -> Result<Done> {
    const auto has_name = [&](const StoredKey& other) {
      return other.rules.name == key.rules.name;
    };
    if (std::ranges::any_of(keys, has_name)) {
      return Error{ErrorKind::invalid_value,
                   fmt::format("There is a key '{}' already.", key.rules.name), "name"};
    }
    if (keys.size() >= most)
      return Error{ErrorKind::invalid_value, fmt::format("There are {} keys already.", most),
                   "name"};
    keys.push_back(std::move(key));
    return Done{};
  });
}

Result<Done> StoredKeys::change(const KeyRules& rules) {
  return edit([&](std::vector<StoredKey>& keys) -> Result<Done> {
    for (StoredKey& key : keys) {
      if (key.rules.name == rules.name) key.rules = rules;
    }
    return Done{};
  });
}

Result<Done> StoredKeys::remove(std::string_view name) {
  return edit([&](std::vector<StoredKey>& keys) -> Result<Done> {
    std::erase_if(keys, [&](const StoredKey& key) { return key.rules.name == name; });
    return Done{};
  });
}

}  // namespace falproxy::app
