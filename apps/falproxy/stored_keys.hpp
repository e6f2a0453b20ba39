// stored_keys.hpp: keys that the operator has made over the network: /v1/falproxy/keys. Of each
// there is a digest, and what it may do; the key itself is shown once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"

namespace falproxy::app {

struct StoredKey {
  KeyRules rules;  ///< without the key
  Digest digest{};
  std::string prefix;           ///< the first letters of the key, to recognise it by
  std::string callback_secret;  ///< as callback_secret() of the key
};

/// Thread-safe. A change is in the store before it counts. Waits for the store on `clock`.
class StoredKeys {
 public:
  /// `clock` and `store` outlive it.
  StoredKeys(Clock& clock, SpendingStore& store) : clock_(clock), store_(store) {}

  /// Those of an earlier process. Errors: those of the store.
  [[nodiscard]] Result<Done, StoreError> load();
  [[nodiscard]] std::vector<StoredKey> all() const;

  /// Errors: invalid_value (`name` is taken, or there are too many), overloaded.
  [[nodiscard]] Result<Done> add(StoredKey key);
  /// Nothing, if there is no such key. Errors: overloaded.
  [[nodiscard]] Result<Done> change(const KeyRules& rules);
  [[nodiscard]] Result<Done> remove(std::string_view name);

  static constexpr std::size_t most = 10'000;

 private:
  using Change = std::function<Result<Done>(std::vector<StoredKey>&)>;
  [[nodiscard]] Result<Done> edit(const Change& change);
  /// False: another process has changed the keys meanwhile.
  [[nodiscard]] Result<bool> try_edit(const Change& change);

  Clock& clock_;
  SpendingStore& store_;
  mutable std::mutex mutex_;
  bool changing_ = false;
  std::optional<std::uint64_t> version_;  // of the text that keys_ is from
  std::uint64_t edits_ = 0;
  std::vector<StoredKey> keys_;
};

}  // namespace falproxy::app
