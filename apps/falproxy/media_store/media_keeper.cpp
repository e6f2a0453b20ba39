#include "media_store/media_keeper.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/bell.hpp"
#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "falproxy/media.hpp"
#include "media_store/media_fetch.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

constexpr const char* secret_name = "media_links";
constexpr Seconds longest_look{5}, longest_probe{10}, longest_fetch{3600}, first_wait{5};
constexpr Seconds tick{5}, source_rest{30}, longest_link{10};
constexpr std::chrono::hours link_life{24 * 7};  // as long as fal can sign one for
constexpr int ticks_between_cleanings = 12;
constexpr std::chrono::hours patience_with_source{1};
// A file that the store does not take, though it takes others: after pauses of 5 s, 10 s and so on.
constexpr int most_refusals = 8;
// Files on their way at once, and those that wait for that, which hold nothing but their records.
constexpr std::size_t most_at_once = 3, most_waiting = 10'000;
constexpr std::size_t taken_at_once = 200;
constexpr Seconds pauses[] = {Seconds(1), Seconds(4), Seconds(15)};

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

Error store_is_away() {
  return {.kind = ErrorKind::overloaded,
          .message = "What is known of kept files cannot be read now. Try again.",
          .retry_after = Milliseconds(1000)};
}

// The text at the front of a product's content, without a copy of a long one.
std::string_view front_of(const Product& product) {
  return product.content.empty() ? std::string_view() : product.content.pieces().front().bytes;
}

}  // namespace

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
  void noted(const LivePtr& live, MediaState state, const Result<Done, StoreError>& done);
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
  Result<Done> remove_all(const std::vector<MediaRecord>& records);
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
  std::size_t working = 0;
  bool is_making_room = false, needs_room = false;
  std::map<std::string, MediaTotal> totals;
  std::uint64_t stored = 0, lost = 0;
};

void MediaKeeper::Impl::tell(const std::string& why) {
  {
    const std::lock_guard guard(mutex);
    if (trouble == why) return;
    if (!trouble.empty() && !why.empty()) return;  // told already that it fails
    trouble = why;
  }
  if (why.empty()) return parts.log(LogLevel::info, "MEDIA_STORE: files are kept");
  parts.log(
      LogLevel::error,
      fmt::format("MEDIA_STORE: {}. Until that is mended answers have fal's own addresses.", why));
}

// False: it is not there yet.
bool MediaKeeper::Impl::prepare(const std::stop_token& stop) {
  if (parts.index == nullptr) {
    tell("files are noted in STATE_DIR, which cannot be used");
    return false;
  }
  while (!stop.stop_requested()) {
    const Handed<Result<std::string, StoreError>> got;
    parts.texts.get(secret_name, soon(), got.callback());
    const auto text = got.wait(parts.clock, soon());
    std::string secret = text && *text ? **text : std::string();
    if (text && *text && secret.empty()) {
      secret = new_media_secret();
      const Handed<Result<Done, StoreError>> put;
      parts.texts.put(secret_name, secret, soon(), put.callback());
      const auto done = put.wait(parts.clock, soon());
      if (!done || !*done) secret.clear();
    }
    if (!secret.empty()) {
      const std::lock_guard guard(mutex);
      links = std::make_shared<const MediaLinks>(parts.codecs, std::move(secret), place);
      return true;
    }
    tell("STATE_DIR cannot be read");
    be_ready();
    parts.clock.sleep_until(parts.clock.now() + tick, stop);
  }
  return false;
}

void MediaKeeper::Impl::try_store(const std::stop_token& stop) {
  std::shared_ptr<MediaStore> tried;
  {
    const std::lock_guard guard(mutex);
    tried = store;
  }
  if (tried == nullptr) {
    Result<std::shared_ptr<MediaStore>> made = parts.make_store();
    if (!made) return tell(made.error().message);
    tried = *std::move(made);
    const std::lock_guard guard(mutex);
    store = tried;
  }
  const Result<Done> works =
      tried->probe({.deadline = parts.clock.now() + longest_probe, .stop = stop});
  if (stop.stop_requested()) return;
  if (!works) return tell(works.error().message);
  {
    const std::lock_guard guard(mutex);
    if (index_fails) return;
  }
  tell("");
}

// Why nothing can be kept now, for a client; empty: it can.
std::string MediaKeeper::Impl::refusal() {
  wait_until_ready();
  const std::lock_guard guard(mutex);
  if (links == nullptr || store == nullptr || !trouble.empty())
    return "the address is fal's own: the server cannot keep files now";
  if (queue.size() >= most_waiting)
    return "the address is fal's own: too many files wait to be kept";
  return "";
}

std::uint64_t MediaKeeper::Impl::most_bytes(const std::string& owner) const {
  return std::min<std::uint64_t>(place.max_bytes, parts.quota_of(owner).value_or(place.max_bytes));
}

MediaRecord MediaKeeper::Impl::record_of(const Product& product, const MediaOccasion& occasion,
                                         std::size_t products) const {
  MediaRecord record{.owner = occasion.client,
                     .created = parts.clock.wall_now(),
                     .content_type = type_of_product(product),
                     .model = occasion.model,
                     .request_id = occasion.request_id,
                     .run = occasion.run,
                     .fal_request_id = product.fal_request_id,
                     .prompt = occasion.prompt};
  record.extension = extension_of(product, record.content_type);
  if (place.ttl.count() > 0) record.expires = record.created + place.ttl;
  if (occasion.cost.has_value())
    record.cost = Usd{occasion.cost->nano / static_cast<std::int64_t>(products)};
  return record;
}

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
      if (const auto still = self.lock()) still->noted(one, record.state, done);
    });
  });
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

std::optional<MediaRecord> MediaKeeper::Impl::begin(const Product& product, MediaRecord record,
                                                    const MediaOccasion& occasion) {
  record.source = product.content.str();
  record.id = links->id_of(occasion.client, record.source);
  if (occasion.is_repeat && find_live(record.id) == nullptr) {
    const auto before = look_up({.id = record.id});
    if (before && !before->empty()) return before->front();
  }
  const auto one = std::make_shared<Live>(Live{.record = record});
  const LivePtr known = enter(one);
  if (known != one) {
    const std::lock_guard guard(mutex);
    return known->record;
  }
  note(one);
  enqueue(one);
  return record;
}

// What stands in the answer itself is nowhere else: it is kept before the answer goes out.
std::optional<MediaRecord> MediaKeeper::Impl::put_data(const Product& product, MediaRecord record,
                                                       const MediaOccasion& occasion) {
  const std::string text = product.content.str();
  const std::optional<media::DataUri> data = media::parse_data_uri(text);
  std::optional<std::string> bytes;
  if (data.has_value())
    parts.executor.run_blocking([&] { bytes = parts.codecs.decode_base64(data->base64); });
  if (!bytes.has_value()) return std::nullopt;
  std::shared_ptr<MediaStore> to;
  {
    const std::lock_guard guard(mutex);
    to = store;
  }
  record.id = links->id_of(occasion.client, text);
  const auto is_kept = [](const MediaRecord& known) { return known.state == MediaState::kept; };
  if (const LivePtr known = find_live(record.id)) {
    const std::lock_guard guard(mutex);
    if (is_kept(known->record)) return known->record;
  }
  const auto before = look_up({.id = record.id});
  if (before && !before->empty() && is_kept(before->front())) return before->front();
  const FetchedMedia put = put_into(*to, record, *bytes, most_bytes(record.owner),
                                    {.deadline = parts.clock.now() + longest_probe});
  if (put.end != FetchedMedia::End::kept) {
    if (put.end == FetchedMedia::End::store) tell(put.why);
    return std::nullopt;
  }
  const auto one = std::make_shared<Live>(Live{.record = std::move(record)});
  const LivePtr known = enter(one);
  if (known == one) settle(one, put, *to);
  const std::lock_guard guard(mutex);
  return known->record;
}

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
    how.until = now + tick * (1 << (how.refusals - 1));
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

// The file first: what has no record would lie there for ever.
Result<Done> MediaKeeper::Impl::remove_all(const std::vector<MediaRecord>& records) {
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
    last = {};
    any = true;
    parts.index->forget(record.id, soon(), last.callback());
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
      if (!self->parts.clock.sleep_until(self->parts.clock.now() + tick, stop)) return;
    }
    self->parts.forget_at_fal(fal_request_id, stop);
  };
  if (!parts.background.begin(run))
    parts.log(LogLevel::warning, "fal was not told to forget the request " + fal_request_id);
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

MediaKeeper::MediaKeeper(Parts parts, MediaPlace place)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(place))) {}
MediaKeeper::~MediaKeeper() = default;

void MediaKeeper::run(const std::stop_token& stop) {
  Impl& impl = *impl_;
  const bool there = impl.prepare(stop);
  if (there) impl.try_store(stop);
  impl.be_ready();
  bool is_left = false;
  for (int ticks = 0; there && !stop.stop_requested(); ++ticks) {
    impl.note_again();
    if (!status().trouble.empty()) impl.try_store(stop);
    impl.take_waiting();
    if (is_left || ticks % ticks_between_cleanings == 0) is_left = impl.clean();
    impl.parts.clock.sleep_until(impl.parts.clock.now() + tick, stop);
  }
}

// fal's address, as far as it opens.
std::string MediaKeeper::Impl::open_link(const std::string& source, TimePoint until,
                                         const std::stop_token& stop) {
  if (!place.is_private() || parts.clock.now() >= until) return source;
  return parts.runner.link_to(source, link_life, {.deadline = until, .stop = stop})
      .value_or(source);
}

void MediaKeeper::keep(std::vector<Product>& products, const MediaOccasion& occasion,
                       std::vector<plan::Note>& notes) {
  std::string why = impl_->refusal();
  const WallTime now = impl_->parts.clock.wall_now();
  const TimePoint until = impl_->parts.clock.now() + longest_link;
  std::string told;
  for (Product& product : products) {
    const std::string_view front = front_of(product);
    const bool is_data = front.starts_with("data:");
    if (!product.is_address || !(is_data || front.starts_with("http"))) continue;
    std::optional<MediaRecord> record;
    if (why.empty()) {
      MediaRecord made = impl_->record_of(product, occasion, products.size());
      record = is_data ? impl_->put_data(product, std::move(made), occasion)
                       : impl_->begin(product, std::move(made), occasion);
      // A store that failed by this one is not waited for again.
      if (!record) why = impl_->refusal();
    }
    if (record && !occasion.origin.empty()) {
      product.content = Body(impl_->links->address(*record, occasion.origin, now));
      continue;
    }
    if (record) {
      told = "the address is fal's own: the request names no host, and PUBLIC_URL is not set";
    } else {
      told = why.empty() ? "the file stands in the answer: the server cannot keep it" : why;
    }
    if (!is_data && occasion.is_answer)
      product.content = Body(impl_->open_link(product.content.str(), until, {}));
  }
  if (!told.empty()) notes.push_back({"url", std::move(told)});
}

bool MediaKeeper::show(std::vector<Product>& products, const std::string& client,
                       const std::string& origin, const std::stop_token& stop) {
  const std::shared_ptr<const MediaLinks> known = links();
  const TimePoint until = impl_->parts.clock.now() + longest_link;
  bool is_known = known != nullptr;
  for (Product& product : products) {
    if (!product.is_address || !front_of(product).starts_with("http")) continue;
    const std::string source = product.content.str();
    std::optional<MediaRecord> record;
    if (is_known && !origin.empty()) {
      Result<std::optional<MediaRecord>> found = find(known->id_of(client, source));
      is_known = found.has_value();
      if (found) record = *std::move(found);
    }
    // Of what is lost, its own address leads to one of fal's that opens.
    if (record && (record->state != MediaState::lost || place().is_private())) {
      product.content = Body(known->address(*record, origin, impl_->parts.clock.wall_now()));
    } else {
      product.content = Body(impl_->open_link(source, until, stop));
    }
  }
  return is_known;
}

Result<std::optional<MediaRecord>> MediaKeeper::find(const RunId& id, const std::string& owner) {
  {
    const std::lock_guard guard(impl_->mutex);
    if (const auto found = impl_->live.find(id); found != impl_->live.end()) {
      if (!owner.empty() && found->second->record.owner != owner)
        return std::optional<MediaRecord>();
      return std::optional(found->second->record);
    }
  }
  Result<std::vector<MediaRecord>> found = impl_->look_up({.id = id, .owner = owner});
  if (!found) return std::move(found).error();
  return found->empty() ? std::optional<MediaRecord>() : std::optional(std::move(found->front()));
}

std::optional<MediaRecord> MediaKeeper::find_source(const std::string& client,
                                                    const std::string& source) {
  const std::shared_ptr<const MediaLinks> known = links();
  if (known == nullptr) return std::nullopt;
  Result<std::optional<MediaRecord>> found = find(known->id_of(client, source));
  return found ? *std::move(found) : std::nullopt;
}

Result<std::optional<MediaRecord>> MediaKeeper::find_settled(const RunId& id, TimePoint until,
                                                             const std::stop_token& stop) {
  {
    Impl::Guard guard(impl_->mutex);
    const auto is_under_way = [&] {
      const auto found = impl_->live.find(id);
      return found != impl_->live.end() && !found->second->is_over &&
             found->second->record.state == MediaState::waiting;
    };
    Clock& clock = impl_->parts.clock;
    while (is_under_way() && clock.now() < until && !stop.stop_requested())
      impl_->changed.wait(guard, clock, until, stop);
  }
  return find(id);
}

Result<std::vector<MediaRecord>> MediaKeeper::list(const std::string& owner, std::size_t limit,
                                                   std::optional<RunId> after) {
  {
    // What was answered just now is there within a blink.
    Impl::Guard guard(impl_->mutex);
    Clock& clock = impl_->parts.clock;
    const TimePoint until = clock.now() + Seconds(1);
    const auto is_behind = [&] {
      return std::ranges::any_of(impl_->live, [&](const auto& entry) {
        return !entry.second->is_noted && entry.second->record.owner == owner;
      });
    };
    while (is_behind() && clock.now() < until) impl_->changed.wait(guard, clock, until, {});
  }
  Result<std::vector<MediaRecord>> found =
      impl_->look_up({.by = MediaQuery::By::owner, .owner = owner, .after = after, .limit = limit});
  if (!found) return found;
  const std::lock_guard guard(impl_->mutex);
  for (MediaRecord& record : *found) {
    const auto live = impl_->live.find(record.id);
    if (live != impl_->live.end()) record = live->second->record;
  }
  return found;
}

Result<Done> MediaKeeper::remove(const MediaRecord& record) {
  Result<Done> removed = impl_->remove_all({record});
  if (removed && !record.fal_request_id.empty()) impl_->forget_at_fal(record.fal_request_id);
  return removed;
}

std::shared_ptr<MediaStore> MediaKeeper::store() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->store;
}

std::shared_ptr<const MediaLinks> MediaKeeper::links() const {
  impl_->wait_until_ready();
  const std::lock_guard guard(impl_->mutex);
  return impl_->links;
}

const MediaPlace& MediaKeeper::place() const noexcept { return impl_->place; }

MediaStatus MediaKeeper::status() const {
  const std::lock_guard guard(impl_->mutex);
  MediaStatus status{.waiting = impl_->queue.size() + impl_->working,
                     .stored = impl_->stored,
                     .lost = impl_->lost,
                     .trouble = impl_->trouble};
  if (impl_->store != nullptr) status.place = impl_->store->place();
  for (const auto& [owner, total] : impl_->totals) {
    status.files += total.files;
    status.bytes += total.bytes;
  }
  return status;
}

}  // namespace falproxy::app
