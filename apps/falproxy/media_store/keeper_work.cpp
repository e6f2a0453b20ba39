// Files on their way from fal to the store.
#include <deque>
#include <utility>

#include "base/fmt.hpp"
#include "media_store/keeper_impl.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

constexpr Seconds longest_fetch{3600}, source_rest{30};
// A file that the store does not take, though it takes others: after pauses of 5 s, 10 s and so on.
constexpr int most_refusals = 8;
constexpr std::size_t most_at_once = 3;
constexpr Seconds pauses[] = {Seconds(1), Seconds(4), Seconds(15)};

}  // namespace

void MediaKeeper::Impl::enqueue(const LivePtr& one) {
  {
    const std::lock_guard guard(mutex);
    queue.push_back(one);
  }
  start_workers();
}

void MediaKeeper::Impl::start_workers() {
  Guard guard(mutex);
  if (queue.empty() || working >= most_at_once || store == nullptr) return;
  ++working;
  guard.unlock();
  const bool runs = parts.background.begin(
      [self = shared_from_this()](const std::stop_token& stop) { self->work(stop); });
  if (runs) return;
  guard.lock();
  --working;
}

void MediaKeeper::Impl::work(const std::stop_token& stop) {
  Guard guard(mutex);
  while (!queue.empty() && !stop.stop_requested()) {
    const LivePtr one = std::move(queue.front());
    queue.pop_front();
    guard.unlock();
    try {
      store_one(one, stop);
    } catch (...) {  // no memory: it is tried again, as it waits in the index
      give_up(one);
    }
    guard.lock();
  }
  --working;
}

FetchedMedia MediaKeeper::Impl::attempt(const LivePtr& one, MediaStore& to,
                                        const std::stop_token& stop) {
  const StoreWait wait{.deadline = parts.clock.now() + longest_fetch, .stop = stop};
  if (one->is_old) {
    // What is there is whole.
    if (const std::unique_ptr<MediaReader> there = to.open(name_of_file(one->record))) {
      return {.end = FetchedMedia::End::kept,
              .size = there->size(),
              .type = type_of_bytes(there->read(0, 4096), one->record.content_type)};
    }
  }
  if (one->record.source.empty())
    return {.end = FetchedMedia::End::gone, .why = "it was not kept in time"};
  return fetch_into(parts.runner, to, one->record, most_bytes(one->record.owner), wait);
}

void MediaKeeper::Impl::store_one(const LivePtr& one, const std::stop_token& stop) {
  std::shared_ptr<MediaStore> to;
  {
    const std::lock_guard guard(mutex);
    to = store;
    if (one->is_removed) return;
  }
  FetchedMedia fetched = attempt(one, *to, stop);
  for (const Seconds pause : pauses) {
    if (fetched.end != FetchedMedia::End::source) break;
    if (!parts.clock.sleep_until(parts.clock.now() + pause, stop)) break;
    fetched = attempt(one, *to, stop);
  }
  using enum FetchedMedia::End;
  if (fetched.end == kept) return settle(one, fetched, *to);
  if (stop.stop_requested()) return give_up(one);
  if (fetched.end == gone || fetched.end == too_large) return settle(one, fetched, *to);
  // The store may be well but for this file.
  if (fetched.end == store) {
    const auto works = to->probe({.deadline = parts.clock.now() + longest_probe, .stop = stop});
    if (stop.stop_requested()) return give_up(one);
    if (!works) {
      give_up(one);
      tell(works.error().message);
      return drop_queue();
    }
  }
  if (rest(one, fetched)) return give_up(one);
  settle(one, fetched, *to);
}

// False: it has failed for long enough.
bool MediaKeeper::Impl::rest(const LivePtr& one, const FetchedMedia& fetched) {
  const TimePoint now = parts.clock.now();
  {
    const std::lock_guard guard(mutex);
    Failing& how = failing.try_emplace(one->record.id, Failing{.first = now}).first->second;
    if (fetched.end == FetchedMedia::End::source) {
      if (now - how.first > patience_with_source) return false;
      how.until = now + source_rest;
      return true;
    }
    if (++how.refusals >= most_refusals) return false;
    how.until = now + keeper_tick * (1 << (how.refusals - 1));
    if (how.refusals > 1) return true;
  }
  parts.log(LogLevel::warning, fmt::format("MEDIA_STORE: a file of {} is not kept yet: {}",
                                           one->record.request_id, fetched.why));
  return true;
}

// While the store fails, what waits does so in the index.
void MediaKeeper::Impl::drop_queue() {
  std::deque<LivePtr> dropped;
  {
    const std::lock_guard guard(mutex);
    dropped = std::exchange(queue, {});
  }
  for (const LivePtr& one : dropped) give_up(one);
}

void MediaKeeper::Impl::settle(const LivePtr& one, const FetchedMedia& fetched, MediaStore& to) {
  const bool is_kept = fetched.end == FetchedMedia::End::kept;
  MediaRecord now;
  {
    Guard guard(mutex);
    if (one->is_removed) {
      guard.unlock();
      if (is_kept) static_cast<void>(to.remove(name_of_file(one->record), {.deadline = soon()}));
      return;
    }
    failing.erase(one->record.id);
    one->is_over = true;
    one->record.state = is_kept ? MediaState::kept : MediaState::lost;
    one->record.size = fetched.size;
    if (is_kept) one->record.content_type = fetched.type;
    now = one->record;
    ++(is_kept ? stored : lost);
    if (is_kept) {
      MediaTotal& total = totals[now.owner];
      ++total.files;
      total.bytes += now.size;
    }
  }
  if (!is_kept) {
    parts.log(LogLevel::warning, fmt::format("MEDIA_STORE: a file of {} is not kept: {}",
                                             now.request_id, fetched.why));
  }
  note(one);
  Guard guard(mutex);
  ring(std::move(guard));
  if (is_kept) static_cast<void>(make_room());
}

// What an earlier process has left, and what failed before.
void MediaKeeper::Impl::take_waiting() {
  {
    const std::lock_guard guard(mutex);
    if (!trouble.empty() || store == nullptr || queue.size() >= taken_at_once) return;
  }
  start_workers();
  const auto waiting = look_up({.by = MediaQuery::By::waiting, .limit = taken_at_once});
  if (!waiting) return;
  for (const MediaRecord& record : *waiting) {
    const auto one =
        std::make_shared<Live>(Live{.record = record, .is_noted = true, .is_old = true});
    {
      const std::lock_guard guard(mutex);
      const auto how = failing.find(record.id);
      if (how != failing.end() && how->second.until > parts.clock.now()) continue;
    }
    if (enter(one) == one) enqueue(one);
  }
}

}  // namespace falproxy::app
