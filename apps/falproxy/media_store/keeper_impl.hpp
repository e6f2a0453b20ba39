// keeper_impl.hpp: what the parts of the keeper of files share.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bell.hpp"
#include "base/handed.hpp"
#include "media_store/media_fetch.hpp"
#include "media_store/media_keeper.hpp"

namespace falproxy::app {

constexpr Seconds longest_look{5}, longest_probe{10}, keeper_tick{5}, first_wait{5};
// Files that wait for their turn hold nothing but their records.
constexpr std::size_t most_waiting = 10'000;
constexpr std::size_t taken_at_once = 200;
constexpr std::chrono::hours patience_with_source{1};

struct IdHash {
  std::size_t operator()(const RunId& id) const noexcept {
    std::size_t hash = 0;
    for (std::size_t i = 0; i < sizeof hash; ++i) hash = hash << 8U | id.bytes[i];
    return hash;
  }
};

// A file that this process keeps, or is about to.
struct Live {
  MediaRecord record;
  bool is_noted = false;    // the index has it as it is
  bool is_noting = false;   // and is about to
  bool is_over = false;     // nobody works on it any more
  bool is_removed = false;  // and is not to be kept
  bool is_old = false;      // an earlier process, or an earlier attempt, may have put it there
};

// A file that failed, and is tried again.
struct Failing {
  TimePoint first = {};  // of this process's failures
  TimePoint until = {};  // it rests
  int refusals = 0;      // of the store
};

inline Error store_is_away() {
  return {.kind = ErrorKind::overloaded,
          .message = "What is known of kept files cannot be read now. Try again.",
          .retry_after = Milliseconds(1000)};
}

struct MediaKeeper::Impl : std::enable_shared_from_this<MediaKeeper::Impl> {
  using LivePtr = std::shared_ptr<Live>;
  using Guard = std::unique_lock<std::mutex>;

  Impl(Parts given, MediaPlace where) : parts(std::move(given)), place(std::move(where)) {}

  // What came of a question to the index.
  template <class T>
  Result<T> ask(const std::function<void(TimePoint, MediaIndex::Callback<T>)>& question) const {
    if (parts.index == nullptr) return store_is_away();
    const TimePoint until = parts.clock.now() + longest_look;
    const Handed<Result<T, StoreError>> answer;
    question(until, answer.callback());
    std::optional<Result<T, StoreError>> got = answer.wait(parts.clock, until);
    if (!got || !*got) return store_is_away();
    return **std::move(got);
  }
  Result<std::vector<MediaRecord>> look_up(const MediaQuery& query) const {
    return ask<std::vector<MediaRecord>>(
        [&](TimePoint until, auto done) { parts.index->look_up(query, until, std::move(done)); });
  }
  [[nodiscard]] TimePoint soon() const { return parts.clock.now() + longest_look; }

  void ring(Guard guard) {
    Bell::Ring wake = changed.take();
    guard.unlock();
    wake();
  }
  // Of the start: the secret is read and the store was tried, or one of both has failed.
  void wait_until_ready() {
    Guard guard(mutex);
    const TimePoint until = began + first_wait;
    while (!is_ready && parts.clock.now() < until) changed.wait(guard, parts.clock, until, {});
  }

  void be_ready() {
    Guard guard(mutex);
    is_ready = true;
    ring(std::move(guard));
  }
  // What the process knows of a file.
  LivePtr find_live(const RunId& id) {
    const std::lock_guard guard(mutex);
    const auto found = live.find(id);
    return found == live.end() ? nullptr : found->second;
  }
  // The one that is known under its id from now on: itself, unless there is one already.
  LivePtr enter(const LivePtr& one) {
    const std::lock_guard guard(mutex);
    return live.try_emplace(one->record.id, one).first->second;
  }

  bool prepare(const std::stop_token& stop);
  void try_store(const std::stop_token& stop);
  void tell(const std::string& why);
  std::string refusal();
  MediaRecord record_of(const Product& product, const MediaOccasion& occasion,
                        std::size_t products) const;
  std::optional<MediaRecord> begin(const Product& product, MediaRecord record,
                                   const MediaOccasion& occasion);
  std::optional<MediaRecord> put_data(const Product& product, MediaRecord record,
                                      const MediaOccasion& occasion);
  void note(const LivePtr& live);
  void changed_to(const LivePtr& live, const MediaRecord& record,
                  const Result<Done, StoreError>& done);
  void noted(const LivePtr& live, MediaState state, const Result<Done, StoreError>& done);
  void drop(const LivePtr& live);
  void remove_unwanted();
  void note_again();
  void enqueue(const LivePtr& live);
  std::string open_link(const std::string& source, TimePoint until, const std::stop_token& stop);
  void start_workers();
  void work(const std::stop_token& stop);
  void store_one(const LivePtr& live, const std::stop_token& stop);
  FetchedMedia attempt(const LivePtr& live, MediaStore& store, const std::stop_token& stop);
  bool rest(const LivePtr& live, const FetchedMedia& fetched);
  void settle(const LivePtr& live, const FetchedMedia& fetched, MediaStore& store);
  void give_up(const LivePtr& live);
  void let_go(const LivePtr& live);
  void drop_queue();
  [[nodiscard]] std::uint64_t most_bytes(const std::string& owner) const;
  bool make_room();
  bool make_room_in(const std::string& owner, std::uint64_t most);
  // That it was deleted, in the place of what was known of it.
  Result<Done> bury(const MediaRecord& record);
  // `for_good`: they do not come back if the request that made them is repeated.
  Result<Done> remove_all(const std::vector<MediaRecord>& records, bool for_good = false);
  // Also of what was deleted.
  Result<std::optional<MediaRecord>> known(const RunId& id, const std::string& owner = {});
  [[nodiscard]] bool waits_for(const std::string& fal_request_id);
  void forget_at_fal(const std::string& fal_request_id);
  void take_waiting();
  bool clean();

  const Parts parts;
  const MediaPlace place;
  const TimePoint began = parts.clock.now();

  mutable std::mutex mutex;
  Bell changed;
  bool is_ready = false;
  std::shared_ptr<const MediaLinks> links;
  std::shared_ptr<MediaStore> store;
  std::string trouble;
  bool index_fails = false;
  std::unordered_map<RunId, LivePtr, IdHash> live;
  std::deque<LivePtr> queue;
  std::map<RunId, Failing> failing;
  std::vector<MediaRecord> unwanted;  // whose files are to go: they were deleted meanwhile
  std::size_t working = 0;
  bool is_making_room = false, needs_room = false;
  std::map<std::string, MediaTotal> totals;
  std::uint64_t stored = 0, lost = 0;
};

}  // namespace falproxy::app
