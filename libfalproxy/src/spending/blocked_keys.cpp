#include "spending/blocked_keys.hpp"

#include <utility>
#include <vector>

#include "base/unix_time.hpp"
#include "falproxy/json.hpp"
#include "state/awaited.hpp"

namespace falproxy::inline v0 {

std::optional<BlockedKeys::Rows> BlockedKeys::Rows::parse(const std::string& text) {
  const Result<Json> kept = Json::parse(text);
  if (!kept) return std::nullopt;
  Rows rows;
  for (const auto& [name, time] : (*kept)["blocked"].members())
    rows.blocked.emplace(name, WallTime(Seconds(time.as_integer().value_or(0))));
  for (const auto& [name, on] : (*kept)["forgiven"].members())
    rows.forgiven.emplace(name, static_cast<Day>(on.as_integer().value_or(0)));
  return rows;
}

void BlockedKeys::Rows::apply(const ByName<Change>& changes) {
  for (const auto& [name, change] : changes) {
    if (change.until) {
      blocked.insert_or_assign(name, *change.until);
    } else {
      blocked.erase(name);
    }
    if (change.forgiven) forgiven.insert_or_assign(name, *change.forgiven);
  }
}

// Under the lock.
void BlockedKeys::note(const std::string& name, const Change& change) {
  unsaved_.insert_or_assign(name, change);
  rows_.apply({{name, change}});
  ++changes_;
}

void BlockedKeys::block(const std::string& name, WallTime until) {
  const std::lock_guard lock(mutex_);
  const auto before = unsaved_.find(name);
  note(name, {until, before == unsaved_.end() ? std::nullopt : before->second.forgiven});
}

void BlockedKeys::pardon(const std::string& name, std::optional<Day> lost) {
  const std::lock_guard lock(mutex_);
  note(name, {std::nullopt, lost});
}

std::optional<WallTime> BlockedKeys::until(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto block = rows_.blocked.find(name);
  if (block == rows_.blocked.end() || clock_.wall_now() >= block->second) return std::nullopt;
  return block->second;
}

bool BlockedKeys::is_forgiven(std::string_view name, Day lost) const {
  const std::lock_guard lock(mutex_);
  const auto pardon = rows_.forgiven.find(name);
  return pardon != rows_.forgiven.end() && pardon->second >= lost;
}

std::uint64_t BlockedKeys::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void BlockedKeys::become(const std::string& text, std::uint64_t changes) {
  std::optional<Rows> rows = Rows::parse(text);
  if (!rows) return;
  const std::lock_guard lock(mutex_);
  if (changes_ != changes) return;
  rows->apply(unsaved_);
  rows_ = *std::move(rows);
}

void BlockedKeys::save() {
  {
    const std::lock_guard lock(mutex_);
    if (is_saving_ || unsaved_.empty()) return;
    is_saving_ = true;
  }
  const auto sent = std::make_shared<ByName<Change>>();
  const auto self = shared_from_this();
  edit_text(
      store_, stored, [self, sent](const std::string& text) { return self->changed(text, *sent); },
      clock_.now() + longest_store_wait,
      [self, sent](const Result<Done, StoreError>& done) { self->saved(*sent, done.has_value()); });
}

std::string BlockedKeys::changed(const std::string& text, ByName<Change>& sent) {
  Rows rows = Rows::parse(text).value_or(Rows());
  {
    const std::lock_guard lock(mutex_);
    sent = unsaved_;
  }
  rows.apply(sent);
  const WallTime now = clock_.wall_now();
  std::vector<std::pair<std::string, Json>> until, pardons;
  for (const auto& [name, time] : rows.blocked) {
    if (time > now) until.emplace_back(name, unix_seconds(time));
  }
  for (const auto& [name, day] : rows.forgiven) pardons.emplace_back(name, day);
  return Json::object({{"blocked", Json::object(until)}, {"forgiven", Json::object(pardons)}})
      .dump();
}

void BlockedKeys::saved(const ByName<Change>& sent, bool is_done) {
  {
    const std::lock_guard lock(mutex_);
    is_saving_ = false;
    if (!is_done) return;
    for (const auto& [name, change] : sent) {
      const auto row = unsaved_.find(name);
      if (row != unsaved_.end() && row->second == change) unsaved_.erase(row);
    }
    if (unsaved_.empty()) return;
  }
  save();
}

}  // namespace falproxy::inline v0
