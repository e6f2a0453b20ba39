// blocked_keys.hpp: keys that a costly job has blocked, and those whose loss was forgiven.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/spending_store.hpp"

namespace falproxy::inline v0 {

/// Thread-safe. A change counts at once, and is put into the store by save(): by the name of its
/// key, so that what other processes have put there stays. What could not be put is kept until the
/// next save().
class BlockedKeys : public std::enable_shared_from_this<BlockedKeys> {
 public:
  static constexpr const char* stored = "spending.keys";

  /// Both outlive whatever the store calls back.
  BlockedKeys(SpendingStore& store, Clock& clock) : store_(store), clock_(clock) {}

  void block(const std::string& name, WallTime until);
  /// Ends its block; `lost`: the loss of that day is forgiven.
  void pardon(const std::string& name, std::optional<Day> lost);
  [[nodiscard]] std::optional<WallTime> until(std::string_view name) const;
  [[nodiscard]] bool is_forgiven(std::string_view name, Day lost) const;

  /// Of how many changes this process knows that it made them.
  [[nodiscard]] std::uint64_t changes() const;
  /// What the store told, who was asked when there were so many changes(). Nothing, if there are
  /// more now: it may be older than they are.
  void become(const std::string& text, std::uint64_t changes);
  /// Does not wait.
  void save();

 private:
  struct Change {
    std::optional<WallTime> until;
    std::optional<Day> forgiven;
    bool operator==(const Change&) const = default;
  };
  template <class T>
  using ByName = std::map<std::string, T, std::less<>>;
  struct Rows {
    ByName<WallTime> blocked;
    ByName<Day> forgiven;
    static std::optional<Rows> parse(const std::string& text);
    void apply(const ByName<Change>& changes);
  };
  void note(const std::string& name, const Change& change);
  [[nodiscard]] std::string changed(const std::string& text, ByName<Change>& sent);
  void saved(const ByName<Change>& sent, bool is_done);

  SpendingStore& store_;
  Clock& clock_;
  mutable std::mutex mutex_;
  Rows rows_;
  ByName<Change> unsaved_;
  std::uint64_t changes_ = 0;
  bool is_saving_ = false;
};

}  // namespace falproxy::inline v0
