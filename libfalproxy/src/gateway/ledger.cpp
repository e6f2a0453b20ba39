#include "gateway/ledger.hpp"

#include <optional>
#include <utility>

#include "gateway/faults.hpp"

namespace falproxy::gateway {
namespace {

// What an entry costs besides its pictures.
constexpr std::size_t entry_bytes = 2048;
// Of an answer to a client that is not known to repeat requests: addresses, but no pictures.
constexpr std::size_t longest_unasked_answer = 32u << 10;
// So many of those at most: answers that hardly anybody comes back for are memory that no cache of
// the processor holds.
constexpr std::size_t most_unasked_answers = 1000;

// Everybody who listens to one request. Who comes later hears where it stands.
class Broadcast final : public Progress {
 public:
  void add(Progress* listener) {
    if (listener == nullptr) return;
    const std::lock_guard lock(mutex_);
    listeners_.push_back(listener);
    if (running_) {
      listener->running();
    } else if (queued_) {
      listener->queued(position_);
    }
  }
  /// When this has returned, `listener` is not called any more.
  void remove(Progress* listener) {
    const std::lock_guard lock(mutex_);
    std::erase(listeners_, listener);
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
  void partial_image(const openai::ImageEvent& event) override {
    const std::lock_guard lock(mutex_);
    for (Progress* listener : listeners_) listener->partial_image(event);
  }

 private:
  std::mutex mutex_;
  std::vector<Progress*> listeners_;
  bool queued_ = false, running_ = false;
  std::optional<int> position_;
};

// A repeat gets what the first one got: the pictures, or the failure of a job that was paid for.
// What came of time running out or of a client that left is not worth keeping, and what was never
// submitted can be tried anew.
bool worth_keeping(const Outcome& outcome) {
  if (outcome.response) return true;
  const Error& error = outcome.response.error();
  return error.submitted && error.kind != ErrorKind::timed_out &&
         error.kind != ErrorKind::cancelled;
}

Outcome ended(Error error, const std::string& fal_request_id) {
  error.submitted = true;
  error.fal_request_id = fal_request_id;
  Outcome outcome{std::move(error), {}};
  outcome.receipt.recovered = true;
  return outcome;
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
  Bell finished;
  int waiting = 1;   // callers that still wait
  int attached = 0;  // repeats so far
  bool abandoned = false;
  std::shared_ptr<const Outcome> outcome;
  TimePoint kept_at{};
  std::size_t bytes = 0;
};

Outcome Ledger::run(const std::string& key, const CallContext& context, Clock& clock,
                    const Rules& rules, const Work& work) {
  forget_expired(clock.now(), rules.window);
  EntryPointer entry;
  bool repeat = true;
  {
    const std::lock_guard lock(mutex_);
    entry = find(key, context);
    if (entry == nullptr) {
      repeat = false;
      entry = std::make_shared<Entry>(key, context);
      entry->place = entries_.emplace(key, entry);
    } else {
      ++entry->waiting;
      ++entry->attached;
    }
  }
  return repeat ? attach(entry, context, clock, rules) : begin(entry, context, clock, rules, work);
}

// Of several that fit, the one that fewest have been attached to: each of two equal requests gets
// its own back.
Ledger::EntryPointer Ledger::find(const std::string& key, const CallContext& context) const {
  if (context.idempotency_key.empty() && context.retry_count < 1) return nullptr;
  EntryPointer best;
  const auto [first, last] = entries_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    const EntryPointer& entry = it->second;
    const bool same_key = entry->idempotency_key == context.idempotency_key;
    const bool counted = context.retry_count > 0 &&
                         (entry->idempotency_key.empty() || context.idempotency_key.empty());
    if (entry->abandoned || !(same_key || counted)) continue;
    const auto rank = [](const Entry& e) { return std::pair(e.attached, e.waiting); };
    if (best == nullptr || rank(*entry) < rank(*best)) best = entry;
  }
  return best;
}

Outcome Ledger::begin(const EntryPointer& entry, const CallContext& context, Clock& clock,
                      const Rules& rules, const Work& work) {
  entry->progress.add(context.progress);
  std::optional<Outcome> outcome;
  {
    const auto client_left = [&] { leave(entry, rules); };
    const std::stop_callback<decltype(client_left)> watch(context.stop, client_left);
    try {
      outcome.emplace(work(entry->patience, &entry->progress));
    } catch (...) {  // no memory: those who are attached are not to wait for ever
      outcome.emplace(Outcome{Error{ErrorKind::internal, "falproxy failed."}, {}});
    }
  }
  entry->progress.remove(context.progress);
  auto shared = std::make_shared<const Outcome>(*outcome);
  const bool too_long =
      !entry->may_repeat && outcome->receipt.answer_bytes > longest_unasked_answer;
  std::unique_lock lock(mutex_);
  entry->outcome = std::move(shared);
  if (worth_keeping(*outcome) && !too_long) {
    entry->abandoned = false;  // too late to stop it: it is there for a repeat
    keep(entry, clock.now(), rules);
  } else {
    entries_.erase(entry->place);
  }
  Bell::Ring ring = entry->finished.take();
  lock.unlock();
  ring();
  return std::move(*outcome);
}

Outcome Ledger::attach(const EntryPointer& entry, const CallContext& context, Clock& clock,
                       const Rules& rules) {
  entry->patience.extend(context.deadline);
  entry->progress.add(context.progress);
  std::shared_ptr<const Outcome> outcome;
  {
    std::unique_lock lock(mutex_);
    while (entry->outcome == nullptr && !context.stop.stop_requested() &&
           clock.now() < context.deadline) {
      entry->finished.wait(lock, clock, context.deadline, context.stop);
    }
    outcome = entry->outcome;
  }
  entry->progress.remove(context.progress);
  leave(entry, rules);
  if (outcome == nullptr) {
    return ended(context.stop.stop_requested() ? cancelled_error() : timed_out_error(), {});
  }
  Outcome recovered = *outcome;
  recovered.receipt.recovered = true;
  return recovered;
}

void Ledger::leave(const EntryPointer& entry, const Rules& rules) {
  {
    const std::lock_guard lock(mutex_);
    --entry->waiting;
    const bool last = entry->waiting == 0 && entry->outcome == nullptr;
    if (!last || rules.on_disconnect == OnDisconnect::keep) return;
    entry->abandoned = true;
  }
  entry->stop.request_stop();
}

void Ledger::keep(const EntryPointer& entry, TimePoint now, const Rules& rules) {
  entry->bytes = entry_bytes + entry->outcome->receipt.answer_bytes;
  entry->kept_at = now;
  if (entry->bytes > rules.max_bytes || rules.window.count() == 0) {
    entries_.erase(entry->place);
    return;
  }
  (entry->may_repeat ? kept_ : unasked_).push_back(entry);
  kept_bytes_ += entry->bytes;
  if (unasked_.size() > most_unasked_answers) drop_oldest(unasked_);
  while (kept_bytes_ > rules.max_bytes) drop_oldest(unasked_.empty() ? kept_ : unasked_);
}

void Ledger::drop_oldest(std::list<EntryPointer>& kept) {
  const EntryPointer oldest = std::move(kept.front());
  kept.pop_front();
  kept_bytes_ -= oldest->bytes;
  entries_.erase(oldest->place);
}

void Ledger::forget_expired(TimePoint now, std::chrono::seconds window) {
  const std::lock_guard lock(mutex_);
  for (std::list<EntryPointer>* kept : {&kept_, &unasked_}) {
    while (!kept->empty() && now - kept->front()->kept_at > window) drop_oldest(*kept);
  }
}

std::size_t Ledger::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace falproxy::gateway
