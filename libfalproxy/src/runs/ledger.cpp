#include "runs/ledger.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "runs/faults.hpp"

namespace falproxy::inline v0::runs {
namespace {

// What an entry costs besides what it was given.
constexpr std::size_t entry_bytes = 2048;
// Of an answer to a client that is not known to repeat requests: addresses, but no pictures.
constexpr std::size_t longest_unasked_answer = 32u << 10;
// So many of those at most: answers that hardly anybody comes back for are memory that no cache of
// the processor holds.
constexpr std::size_t most_unasked_answers = 1000;
// Programs that repeat a failure without a word do so within this time; a person who tries again
// comes later.
constexpr Seconds fresh_failure{10};

bool is_gone(const CallContext& context) {
  return context.stop.stop_requested() || (context.client_left && context.client_left());
}

// Everybody who listens to one request. Who comes later hears where it stands.
class Broadcast final : public Progress {
 public:
  void add(Progress* listener) {
    if (listener == nullptr) return;
    const std::lock_guard lock(mutex_);
    listeners_.push_back(listener);
    if (underway_.has_value()) listener->accepted(*underway_);
    if (running_) {
      listener->running();
    } else if (queued_) {
      listener->queued(position_);
    }
    for (const Product& product : completed_) listener->completed(product, true);
  }
  /// When this has returned, `listener` is not called any more.
  void remove(Progress* listener) {
    const std::lock_guard lock(mutex_);
    std::erase(listeners_, listener);
  }
  /// The pictures are kept elsewhere from now on.
  void end() {
    const std::lock_guard lock(mutex_);
    std::vector<Product>().swap(completed_);
  }
  void accepted(const Underway& underway) override {
    const std::lock_guard lock(mutex_);
    underway_ = underway;
    for (Progress* listener : listeners_) listener->accepted(underway);
  }
  void queued(std::optional<int> position) override {
    const std::lock_guard lock(mutex_);
    queued_ = true;
    position_ = position;
    for (Progress* listener : listeners_) listener->queued(position);
  }
  void running() override {
    const std::lock_guard lock(mutex_);
    running_ = true;
    for (Progress* listener : listeners_) listener->running();
  }
  void preview(const Product& product, int index) override {
    const std::lock_guard lock(mutex_);
    for (Progress* listener : listeners_) listener->preview(product, index);
  }
  void completed(const Product& product, bool more) override {
    const std::lock_guard lock(mutex_);
    completed_.push_back(product);
    for (Progress* listener : listeners_) listener->completed(product, more);
  }

 private:
  std::mutex mutex_;
  std::vector<Progress*> listeners_;
  std::optional<Underway> underway_;
  bool queued_ = false, running_ = false;
  std::optional<int> position_;
  std::vector<Product> completed_;
};

// What an earlier run means to an equal request.
enum class Standing {
  running,
  answered,   // somebody has it
  unclaimed,  // there is something that nobody has
  failed,
};

// None: nothing is left that would spare a repeat anything.
std::optional<Standing> standing_of(const Served& served, bool somebody_has_it) {
  // What is left of it is followed, and a repeat finds it by its record.
  if (served.harvest == nullptr || served.harvest->is_followed()) return std::nullopt;
  if (served.harvest->is_failure()) return Standing::failed;
  if (!served.harvest->has_result()) return std::nullopt;
  if (served.outcome.response) return somebody_has_it ? Standing::answered : Standing::unclaimed;
  return served.can_be_mended ? Standing::unclaimed : Standing::failed;
}

Served guarded(const Ledger::Work& work, std::shared_ptr<const Harvest> earlier,
               const Patience& patience, Progress* progress) {
  try {
    return work(earlier, patience, progress);
  } catch (...) {  // no memory: those who are attached are not to wait for ever
    return {Outcome{Error{ErrorKind::internal, "falproxy failed."}, {}}, std::move(earlier), true};
  }
}

}  // namespace

struct Ledger::Entry {
  Entry(std::string key_of_it, const CallContext& context)
      : key(std::move(key_of_it)),
        idempotency_key(context.idempotency_key),
        may_repeat(context.may_repeat),
        patience(context.deadline, stop.get_token(), context.client_left, context.repeat_hold) {}

  const std::string key;
  const std::string idempotency_key;
  const bool may_repeat;
  std::stop_source stop;
  Patience patience;
  Broadcast progress;

  // Guarded by the ledger's mutex.
  Entries::iterator place;
  Standing standing = Standing::running;
  Bell finished;
  std::vector<const CallContext*> waiting;  // the calls that still wait
  int attached = 0;                         // repeats so far
  bool abandoned = false;                   // it is being stopped
  bool kept_going = false;                  // one who has waited wants it to go to its end
  std::shared_ptr<const Outcome> outcome;   // for those who wait
  std::shared_ptr<const Harvest> harvest;
  TimePoint kept_at{};
  std::size_t bytes = 0;
  Kept* list = nullptr;  // that it is kept in
  Kept::iterator place_in_list;

  [[nodiscard]] bool fits(const CallContext& context, TimePoint now) const;
  [[nodiscard]] bool says_the_same(const CallContext& context) const;
};

// The client says that it sends the request again.
bool Ledger::Entry::says_the_same(const CallContext& context) const {
  if (context.idempotency_key.empty() && context.retry_count < 1) return false;
  const bool same_key = idempotency_key == context.idempotency_key;
  const bool counted =
      context.retry_count > 0 && (idempotency_key.empty() || context.idempotency_key.empty());
  return same_key || counted;
}

bool Ledger::Entry::fits(const CallContext& context, TimePoint now) const {
  if (says_the_same(context)) return true;
  if (!context.idempotency_key.empty() && !idempotency_key.empty()) return false;
  switch (standing) {
    case Standing::running:
      return std::ranges::all_of(waiting, [](const CallContext* c) { return is_gone(*c); });
    case Standing::unclaimed:
      return true;
    case Standing::failed:
      return now - kept_at <= fresh_failure;
    case Standing::answered:
      break;
  }
  return false;
}

Outcome Ledger::run(const std::string& key, const CallContext& context, Clock& clock,
                    const Rules& rules, const Work& work) {
  while (true) {
    forget_expired(clock.now(), rules.window);
    const Found found = find_or_enter(key, context, clock.now());
    switch (found.part) {
      case Part::begin:
        return begin(found, context, clock, rules, work);
      case Part::attach:
        return attach(found.entry, context, clock, rules);
      case Part::recall:
        return recall(found.entry, context, clock, rules, work);
      case Part::wait:
        // Whether something is left of it shows when it has been stopped.
        if (!wait_for_end(found.entry, context, clock))
          return {is_gone(context) ? cancelled_error() : timed_out_error(), {}};
        break;
    }
  }
}

Ledger::Found Ledger::find_or_enter(const std::string& key, const CallContext& context,
                                    TimePoint now) {
  const std::lock_guard lock(mutex_);
  Found found{find(key, context, now), Part::begin};
  if (found.entry != nullptr && found.entry->standing == Standing::running) {
    if (found.entry->abandoned) return {found.entry, Part::wait};
    found.entry->waiting.push_back(&context);
    ++found.entry->attached;
    return {found.entry, Part::attach};
  }
  if (found.entry != nullptr) {
    ++found.entry->attached;
    if (!found.entry->harvest->can_go_on()) {
      if (found.entry->standing == Standing::unclaimed) found.entry->standing = Standing::answered;
      return {found.entry, Part::recall};
    }
    found.earlier = found.entry->harvest;
    drop(found.entry);
  }
  found.entry = std::make_shared<Entry>(key, context);
  found.entry->waiting.push_back(&context);
  found.entry->place = entries_.emplace(key, found.entry);
  return found;
}

// Of several that fit, the one that fewest have been attached to: each of two equal requests gets
// its own back.
Ledger::EntryPointer Ledger::find(const std::string& key, const CallContext& context,
                                  TimePoint now) const {
  EntryPointer best;
  const auto [first, last] = entries_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    const EntryPointer& entry = it->second;
    if (!entry->fits(context, now)) continue;
    const auto rank = [](const Entry& e) {
      return std::tuple(e.abandoned, e.attached, e.waiting.size());
    };
    if (best == nullptr || rank(*entry) < rank(*best)) best = entry;
  }
  return best;
}

// No memory in the middle of it: those who are attached are not to wait for ever.
struct Ledger::Ending {
  Ending(Ledger& of, const EntryPointer& begun, const CallContext& by)
      : ledger(of), entry(begun), context(by) {}
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() {
    if (!is_due) return;
    std::unique_lock lock(ledger.mutex_);
    std::erase(entry->waiting, &context);
    entry->standing = Standing::answered;
    ledger.drop(entry);
    Bell::Ring ring = entry->finished.take();
    lock.unlock();
    ring();
  }

  Ledger& ledger;
  const EntryPointer& entry;
  const CallContext& context;
  bool is_due = true;
};

// A call that waits for what another one began.
struct Ledger::Attached {
  Attached(Ledger& to, const EntryPointer& begun, const CallContext& by, const Rules& of)
      : ledger(to), entry(begun), context(by), rules(of) {}
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() {
    entry->progress.remove(context.progress);
    ledger.leave(entry, context, rules);
  }

  Ledger& ledger;
  const EntryPointer& entry;
  const CallContext& context;
  const Rules& rules;
};

Outcome Ledger::begin(const Found& found, const CallContext& context, Clock& clock,
                      const Rules& rules, const Work& work) {
  const EntryPointer& entry = found.entry;
  Ending ending(*this, entry, context);
  entry->progress.add(context.progress);
  Served served = [&] {
    const auto client_left = [&] { leave(entry, context, rules); };
    const std::stop_callback<decltype(client_left)> watch(context.stop, client_left);
    return guarded(work, found.earlier, entry->patience, &entry->progress);
  }();
  entry->progress.remove(context.progress);
  entry->progress.end();

  std::unique_lock lock(mutex_);
  const bool somebody_has_it = !std::ranges::all_of(
      entry->waiting, [](const CallContext* waiting) { return is_gone(*waiting); });
  std::erase(entry->waiting, &context);
  if (!entry->waiting.empty()) entry->outcome = std::make_shared<const Outcome>(served.outcome);
  const std::optional<Standing> standing = standing_of(served, somebody_has_it);
  if (standing == Standing::answered) served.outcome.undelivered = unclaim_of(entry, clock, rules);
  entry->standing = standing.value_or(Standing::answered);
  entry->abandoned = false;
  entry->harvest = std::move(served.harvest);
  if (standing.has_value()) {
    keep(entry, clock.now(), rules);
  } else {
    drop(entry);
  }
  ending.is_due = false;
  Bell::Ring ring = entry->finished.take();
  lock.unlock();
  ring();
  if (found.earlier != nullptr) served.outcome.receipt.recovered = true;
  return std::move(served.outcome);
}

Outcome Ledger::attach(const EntryPointer& entry, const CallContext& context, Clock& clock,
                       const Rules& rules) {
  const Attached attached(*this, entry, context, rules);
  entry->patience.extend(context.deadline);
  entry->progress.add(context.progress);
  static_cast<void>(wait_for_end(entry, context, clock));
  std::shared_ptr<const Outcome> outcome;
  {
    const std::lock_guard lock(mutex_);
    outcome = entry->outcome;
  }
  Outcome recovered{is_gone(context) ? cancelled_error() : timed_out_error(), {}};
  if (outcome != nullptr) {
    recovered = *outcome;
  } else {
    recovered.response.error().submitted = true;
  }
  recovered.receipt.recovered = true;
  return recovered;
}

Outcome Ledger::recall(const EntryPointer& entry, const CallContext& context, const Clock& clock,
                       const Rules& rules, const Work& work) {
  const Patience patience(context.deadline, context.stop, context.client_left, context.repeat_hold);
  Served served = guarded(work, entry->harvest, patience, context.progress);
  served.outcome.receipt.recovered = true;
  served.outcome.undelivered = unclaim_of(entry, clock, rules);
  const std::lock_guard lock(mutex_);
  if (standing_of(served, !is_gone(context)) == Standing::unclaimed)
    entry->standing = Standing::unclaimed;
  return std::move(served.outcome);
}

// It holds what was brought as long as the answer is on its way, also if it is not kept after that.
std::function<void()> Ledger::unclaim_of(const EntryPointer& entry, const Clock& clock,
                                         const Rules& rules) {
  return [this, entry, &clock, rules] {
    const std::lock_guard lock(mutex_);
    if (entry->standing != Standing::answered) return;
    entry->standing = Standing::unclaimed;
    if (entry->list != nullptr) return;
    entry->place = entries_.emplace(entry->key, entry);
    keep(entry, clock.now(), rules);
  };
}

// False: the caller's time is over first.
bool Ledger::wait_for_end(const EntryPointer& entry, const CallContext& context, Clock& clock) {
  std::unique_lock lock(mutex_);
  while (entry->standing == Standing::running) {
    if (context.stop.stop_requested() || clock.now() >= context.deadline) return false;
    entry->finished.wait(lock, clock, context.deadline, context.stop);
  }
  return true;
}

void Ledger::leave(const EntryPointer& entry, const CallContext& context, const Rules& rules) {
  {
    const std::lock_guard lock(mutex_);
    std::erase(entry->waiting, &context);
    entry->kept_going = entry->kept_going || rules.on_disconnect == OnDisconnect::keep;
    if (!entry->waiting.empty()) return;
    entry->outcome = nullptr;  // nobody waits for it any more
    if (entry->standing != Standing::running || entry->kept_going) return;
    entry->abandoned = true;
  }
  entry->stop.request_stop();
}

// Under the mutex, as drop().
void Ledger::keep(const EntryPointer& entry, TimePoint now, const Rules& rules) {
  entry->bytes =
      entry_bytes + 2 * entry->key.size() + entry->idempotency_key.size() + entry->harvest->bytes();
  entry->kept_at = now;
  const bool wanted = entry->may_repeat || entry->standing != Standing::answered;
  if (entry->bytes > rules.max_bytes || rules.window.count() == 0 ||
      (!wanted && entry->bytes > longest_unasked_answer)) {
    return drop(entry);
  }
  Kept& list = wanted ? kept_ : unasked_;
  entry->place_in_list = list.insert(list.end(), entry);
  entry->list = &list;
  kept_bytes_ += entry->bytes;
  if (unasked_.size() > most_unasked_answers) drop(unasked_.front());
  while (kept_bytes_ > rules.max_bytes) drop(unasked_.empty() ? kept_.front() : unasked_.front());
}

void Ledger::drop(const EntryPointer& entry) {
  const auto place = entry->place;
  if (entry->list != nullptr) {
    kept_bytes_ -= entry->bytes;
    // `entry` may be the list's own, which ends here; the map's is still there.
    std::exchange(entry->list, nullptr)->erase(entry->place_in_list);
  }
  entries_.erase(place);
}

void Ledger::forget_expired(TimePoint now, std::chrono::seconds window) {
  const std::lock_guard lock(mutex_);
  for (Kept* kept : {&kept_, &unasked_}) {
    while (!kept->empty() && now - kept->front()->kept_at > window) drop(kept->front());
  }
}

std::size_t Ledger::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace falproxy::inline v0::runs
