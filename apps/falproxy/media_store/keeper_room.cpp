// What goes: what is too old, too much, or not wanted any more.
#include <algorithm>
#include <utility>

#include "base/finally.hpp"
#include "media_store/keeper_impl.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

// Nobody can repeat a request after a week: KEYED_RECOVERY_SECONDS, and what a job is known for.
constexpr std::chrono::hours longest_repeat{7 * 24};
// So often a deletion is tried while others note the same file.
constexpr int most_burials = 3;

// Nothing of what was deleted, but that it was.
MediaRecord tombstone_of(const MediaRecord& record, WallTime now) {
  return {.id = record.id,
          .state = MediaState::deleted,
          .owner = record.owner,
          .created = record.created,
          .expires = now + longest_repeat,
          .extension = record.extension};
}

}  // namespace

std::uint64_t MediaKeeper::Impl::most_bytes(const std::string& owner) const {
  return std::min<std::uint64_t>(place.max_bytes, parts.quota_of(owner).value_or(place.max_bytes));
}

// Removes the oldest of whoever has more than is allowed. True: there is more to remove.
bool MediaKeeper::Impl::make_room() {
  {
    const std::lock_guard guard(mutex);
    needs_room = true;
    if (std::exchange(is_making_room, true)) return false;
  }
  const Finally made([this] {
    const std::lock_guard guard(mutex);
    is_making_room = false;
  });
  const auto is_needed = [this] {
    const std::lock_guard guard(mutex);
    return std::exchange(needs_room, false);
  };
  bool is_left = false;
  while (is_needed()) {
    std::vector<std::string> owners;
    {
      const std::lock_guard guard(mutex);
      for (const auto& [owner, total] : totals) owners.push_back(owner);
    }
    is_left = false;
    for (const std::string& owner : owners) {
      if (const auto quota = parts.quota_of(owner)) is_left |= make_room_in(owner, *quota);
    }
    is_left |= make_room_in("", place.max_bytes);
  }
  return is_left;
}

// Of one owner, or of all (""): a batch. True: there is more to remove.
bool MediaKeeper::Impl::make_room_in(const std::string& owner, std::uint64_t most) {
  std::uint64_t bytes = 0;
  {
    const std::lock_guard guard(mutex);
    for (const auto& [name, total] : totals)
      bytes += owner.empty() || name == owner ? total.bytes : 0;
  }
  if (bytes <= most) return false;
  std::uint64_t excess = bytes - most;
  const auto oldest =
      look_up({.by = MediaQuery::By::oldest, .owner = owner, .limit = taken_at_once});
  if (!oldest) return false;
  std::vector<MediaRecord> gone;
  for (const MediaRecord& record : *oldest) {
    gone.push_back(record);
    excess -= std::min(excess, record.size);
    if (excess == 0) break;
  }
  return !gone.empty() && remove_all(gone).has_value() && excess > 0;
}

// It is looked at, since another process may have noted the file in between.
Result<Done> MediaKeeper::Impl::bury(const MediaRecord& record) {
  const MediaRecord tombstone = tombstone_of(record, parts.clock.wall_now());
  for (int attempt = 0; attempt < most_burials; ++attempt) {
    const Handed<Result<Done, StoreError>> forgotten, noted;
    const TimePoint until = soon();
    parts.index->forget(record.id, until, forgotten.callback());
    parts.index->note({tombstone}, until, noted.callback());
    for (const auto* const step : {&forgotten, &noted}) {
      const auto done = step->wait(parts.clock, until);
      if (!done || !*done) return store_is_away();
    }
    const auto there = look_up({.id = record.id});
    if (!there) return there.error();
    if (!there->empty() && there->front().state == MediaState::deleted) return Done{};
  }
  return store_is_away();
}

// Files of what was deleted while it was put there.
void MediaKeeper::Impl::remove_unwanted() {
  std::shared_ptr<MediaStore> from;
  std::vector<MediaRecord> records;
  {
    const std::lock_guard guard(mutex);
    from = store;
    if (from != nullptr) records = std::exchange(unwanted, {});
  }
  for (MediaRecord& record : records) {
    const auto there = look_up({.id = record.id});
    // It may have been made anew.
    const bool is_wanted = there && (there->empty() || find_live(record.id) != nullptr ||
                                     there->front().state != MediaState::deleted);
    if (is_wanted || (there && from->remove(name_of_file(record),
                                            {.deadline = parts.clock.now() + longest_probe})))
      continue;
    const std::lock_guard guard(mutex);
    unwanted.push_back(std::move(record));
  }
}

// The file first: what has no record would lie there for ever.
Result<Done> MediaKeeper::Impl::remove_all(const std::vector<MediaRecord>& records, bool for_good) {
  std::shared_ptr<MediaStore> from;
  {
    const std::lock_guard guard(mutex);
    from = store;
    for (const MediaRecord& record : records) {
      failing.erase(record.id);
      const auto found = live.find(record.id);
      if (found == live.end()) continue;
      found->second->is_removed = true;
      live.erase(found);
    }
  }
  if (from == nullptr) return store_is_away();
  std::optional<Error> failed;
  Handed<Result<Done, StoreError>> last;
  bool any = false;
  for (const MediaRecord& record : records) {
    const Result<Done> removed =
        from->remove(name_of_file(record), {.deadline = parts.clock.now() + longest_probe});
    if (!removed) {
      failed = removed.error();
      break;
    }
    if (for_good) {
      Result<Done> gone = bury(record);
      // Whoever was about to put it may have done so before he could know.
      if (gone && record.state != MediaState::kept)
        gone = from->remove(name_of_file(record), {.deadline = parts.clock.now() + longest_probe});
      if (!gone) {
        failed = gone.error();
        break;
      }
    } else {
      last = {};
      any = true;
      parts.index->forget(record.id, soon(), last.callback());
    }
    const std::lock_guard guard(mutex);
    MediaTotal& total = totals[record.owner];
    total.bytes -= std::min(total.bytes, record.size);
    if (record.state == MediaState::kept && total.files > 0) --total.files;
  }
  // In their order: with the last one all are forgotten.
  if (any) {
    const auto done = last.wait(parts.clock, soon());
    if (!done || !*done) return store_is_away();
  }
  if (failed) return *std::move(failed);
  return Done{};
}

// A batch of what is too old or too much. True: there is more of it.
bool MediaKeeper::Impl::clean() {
  const auto expired = look_up(
      {.by = MediaQuery::By::expired, .now = parts.clock.wall_now(), .limit = taken_at_once});
  const bool any = expired && !expired->empty();
  const bool is_left = any && remove_all(*expired) && expired->size() == taken_at_once;
  const auto all = ask<std::vector<MediaTotal>>(
      [&](TimePoint until, auto done) { parts.index->totals(until, std::move(done)); });
  if (!all) return false;
  bool is_counted = false;
  {
    const std::lock_guard guard(mutex);
    totals.clear();
    for (const MediaTotal& total : *all) totals[total.owner] = total;
    // What an earlier process has left is on its way, and stands in the index as waiting.
    is_counted = std::ranges::none_of(live, [](const auto& one) { return one.second->is_old; });
  }
  return make_room() || is_left || !is_counted;
}

// A file of that request has still to be fetched from fal.
bool MediaKeeper::Impl::waits_for(const std::string& fal_request_id) {
  const std::lock_guard guard(mutex);
  return std::ranges::any_of(live, [&](const auto& entry) {
    const Live& one = *entry.second;
    return one.record.fal_request_id == fal_request_id && !one.is_over && !one.is_removed;
  });
}

// Beside whoever has deleted one of its files.
void MediaKeeper::Impl::forget_at_fal(const std::string& fal_request_id) {
  if (!parts.forget_at_fal) return;
  const auto run = [self = shared_from_this(), fal_request_id](const std::stop_token& stop) {
    const TimePoint until = self->parts.clock.now() + patience_with_source;
    while (self->waits_for(fal_request_id) && self->parts.clock.now() < until) {
      if (!self->parts.clock.sleep_until(self->parts.clock.now() + keeper_tick, stop)) return;
    }
    self->parts.forget_at_fal(fal_request_id, stop);
  };
  if (!parts.background.begin(run))
    parts.log(LogLevel::warning, "fal was not told to forget the request " + fal_request_id);
}

}  // namespace falproxy::app
