// What the index of files has of them.
#include <algorithm>
#include <utility>

#include "media_store/keeper_impl.hpp"

namespace falproxy::app {

// As it is now, whatever the index has of it.
void MediaKeeper::Impl::note(const LivePtr& one) {
  MediaRecord record;
  {
    const std::lock_guard guard(mutex);
    one->is_noted = false;
    if (one->is_removed || std::exchange(one->is_noting, true)) return;
    record = one->record;
  }
  using Noted = Result<Done, StoreError>;
  parts.index->note({record}, soon(), [self = weak_from_this(), one, record](const Noted& first) {
    const auto there = self.lock();
    if (there == nullptr) return;
    if (!first || record.state == MediaState::waiting)
      return there->noted(one, record.state, first);
    there->parts.index->change(record, there->soon(), [self, one, record](const Noted& done) {
      if (const auto still = self.lock()) still->changed_to(one, record, done);
    });
  });
}

// Who has deleted it meanwhile, in whatever process, has found no file yet. Who deletes it from now
// on finds the file.
void MediaKeeper::Impl::changed_to(const LivePtr& one, const MediaRecord& record,
                                   const Result<Done, StoreError>& done) {
  if (!done || record.state != MediaState::kept) return noted(one, record.state, done);
  using Found = Result<std::vector<MediaRecord>, StoreError>;
  parts.index->look_up({.id = record.id}, soon(),
                       [self = weak_from_this(), one](const Found& found) {
                         const auto there = self.lock();
                         if (there == nullptr) return;
                         if (!found) return there->noted(one, MediaState::kept, found.error());
                         if (!found->empty() && found->front().state == MediaState::deleted)
                           return there->drop(one);
                         there->noted(one, MediaState::kept, Done{});
                       });
}

// It was deleted while it was put into the store.
void MediaKeeper::Impl::drop(const LivePtr& one) {
  Guard guard(mutex);
  one->is_noting = false;
  one->is_noted = true;
  if (!std::exchange(one->is_removed, true)) {
    unwanted.push_back(one->record);
    MediaTotal& total = totals[one->record.owner];
    total.bytes -= std::min(total.bytes, one->record.size);
    if (total.files > 0) --total.files;
  }
  const auto found = live.find(one->record.id);
  if (found != live.end() && found->second == one) live.erase(found);
  ring(std::move(guard));
}

// What could not be noted stays in `live`, and is noted another time.
void MediaKeeper::Impl::noted(const LivePtr& one, MediaState state,
                              const Result<Done, StoreError>& done) {
  if (!done) tell("files cannot be noted: " + done.error().message);
  bool is_behind = false;
  {
    const std::lock_guard guard(mutex);
    index_fails = !done;
    one->is_noting = false;
    is_behind = one->record.state != state;  // settled meanwhile
    one->is_noted = done && !is_behind;
  }
  if (done && is_behind) return note(one);
  let_go(one);
}

void MediaKeeper::Impl::note_again() {
  std::vector<LivePtr> left;
  {
    const std::lock_guard guard(mutex);
    if (!index_fails) return;
    for (const auto& [id, one] : live) {
      if (!one->is_noted && !one->is_noting) left.push_back(one);
    }
    if (left.empty()) index_fails = false;
  }
  for (const LivePtr& one : left) note(one);
}

// Once nobody works on it, and the index knows what came of it.
void MediaKeeper::Impl::let_go(const LivePtr& one) {
  Guard guard(mutex);
  const auto found = live.find(one->record.id);
  if (one->is_over && one->is_noted && found != live.end() && found->second == one)
    live.erase(found);
  ring(std::move(guard));
}

// Nobody works on it any more; what is not settled waits in the index.
void MediaKeeper::Impl::give_up(const LivePtr& one) {
  {
    const std::lock_guard guard(mutex);
    one->is_over = true;
  }
  let_go(one);
}

}  // namespace falproxy::app
