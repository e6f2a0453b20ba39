#include "chores.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <semaphore>
#include <utility>
#include <vector>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

// After what must not happen, before it is tried again.
constexpr Milliseconds fault_pause{250};
// Before files are looked after again.
constexpr Seconds media_pause{5};
// Between looks at what other processes of the same store do.
constexpr Seconds between_hearings{5};
// What has expired is forgotten at least as often.
constexpr Seconds longest_pause{60};
// What reports are made from is kept so long.
constexpr Day spending_days = 400;

}  // namespace

void Chores::begin(serving::Reactor& reactor) {
  using Chore = void (Chores::*)(const std::stop_token&);
  std::binary_semaphore begun{0};
  reactor.post([&] {
    for (const Chore chore :
         {&Chores::keep_documents_fresh, &Chores::follow_earlier_runs, &Chores::tell_ends,
          &Chores::keep_accounts, &Chores::keep_prices, &Chores::keep_bills, &Chores::send_alerts,
          &Chores::keep_media, &Chores::send_spans}) {
      serving::safely([&] {
        static_cast<void>(
            fibers_.begin([this, chore](const std::stop_token& stop) { (this->*chore)(stop); }));
      });
    }
    begun.release();
  });
  begun.acquire();
}

// What is thrown, memory being short, must not end the process.
void Chores::keep_documents_fresh(const std::stop_token& stop) {
  for (bool first = true; !stop.stop_requested(); first = false) {
    try {
      if (first) parts_.pool.run_blocking([this] { parts_.upstream.read_certificates(); });
      forget_expired();
      const TimePoint due = parts_.catalog.refresh_due(parts_.clock.now(), stop);
      tell_usable();
      give_memory_back();
      parts_.clock.sleep_until(std::min(due, parts_.clock.now() + longest_pause), stop);
    } catch (...) {
      parts_.log(LogLevel::error,
                 "internal: the documents could not be looked after; trying again");
      parts_.clock.sleep_until(parts_.clock.now() + fault_pause, stop);
    }
  }
}

void Chores::forget_expired() {
  State& state = parts_.state;
  const TimePoint now = parts_.clock.now();
  state.spending->forget_spending(day_of(parts_.clock.wall_now()) - spending_days,
                                  now + longest_pause, [](const Result<Done, StoreError>&) {});
  parts_.runner.forget_expired(now);
  // If it fails, the store has told why, and the next time it is tried again.
  state.store->forget_expired(parts_.clock.wall_now(), now + longest_pause,
                              [](const Result<std::uint64_t, StoreError>&) {});
}

void Chores::tell_usable() {
  const std::vector<CatalogModel> models = parts_.catalog.models();
  const auto usable =
      static_cast<std::size_t>(std::ranges::count_if(models, [this](const CatalogModel& model) {
        return parts_.catalog.cached(model.endpoint, model.name) != nullptr;
      }));
  if (std::exchange(told_usable_, usable) == usable) return;
  parts_.log(LogLevel::info,
             fmt::format("{} of {} models have their document", usable, models.size()));
}

// The allocator keeps what a crowd of requests has needed, unless it is told that they are gone.
void Chores::give_memory_back() {
  const std::size_t busy = parts_.busy();
  most_busy_ = std::max(most_busy_, busy);
  if (busy * 2 >= most_busy_) return;
  most_busy_ = busy;
  parts_.pool.run_blocking([] { ::malloc_trim(0); });
}

// Which keys there are, what was spent, and what other processes that share the store do with both.
// What cannot be read now is read the next time.
void Chores::keep_accounts(const std::stop_token& stop) {
  State& state = parts_.state;
  const bool lost = state.is_lost();
  bool has_keys = false, has_spending = false, is_told = false;
  while (!stop.stop_requested()) {
    serving::safely([&] {
      const bool may_hear = state.peers != nullptr && state.store->status().degraded.empty();
      if ((!has_keys || may_hear) && parts_.stored_keys.load()) {
        has_keys = true;
        parts_.keys_changed();
      }
      if (has_spending && !may_hear) return;
      const auto known = parts_.budgets.load(lost && !has_spending);
      has_spending = has_spending || known;
      if (has_spending || std::exchange(is_told, true)) return;
      parts_.log(LogLevel::error,
                 "what was spent cannot be looked up, trying again: " + known.error().message);
    });
    if (has_keys && has_spending && state.peers == nullptr) return;
    const Milliseconds pause =
        has_keys && has_spending ? Milliseconds(between_hearings) : fault_pause;
    parts_.clock.sleep_until(parts_.clock.now() + pause, stop);
  }
}

// What fal takes.
void Chores::keep_prices(const std::stop_token& stop) {
  serving::safely([&] { parts_.prices.restore(); });
  while (!stop.stop_requested()) {
    Seconds pause = PriceKeeper::pause_after_fault;
    serving::safely([&] { pause = parts_.prices.refresh(parts_.catalog.models(), stop); });
    parts_.clock.sleep_until(parts_.clock.now() + pause, stop);
  }
}

// What fal has billed.
void Chores::keep_bills(const std::stop_token& stop) {
  serving::safely([&] { parts_.bills.restore(); });
  while (!stop.stop_requested()) {
    serving::safely([&] { parts_.bills.look(stop); });
    parts_.clock.sleep_until(parts_.clock.now() + BillKeeper::interval, stop);
  }
  serving::safely([&] { parts_.bills.save(); });
}

void Chores::keep_media(const std::stop_token& stop) {
  while (parts_.media != nullptr && !stop.stop_requested()) {
    serving::safely([&] { parts_.media->run(stop); });
    parts_.clock.sleep_until(parts_.clock.now() + media_pause, stop);
  }
}

void Chores::follow_earlier_runs(const std::stop_token& stop) { parts_.earlier_runs.run(stop); }

void Chores::tell_ends(const std::stop_token& stop) { parts_.callbacks.run(stop); }

void Chores::send_alerts(const std::stop_token& stop) {
  serving::safely([&] { parts_.alerts.send_all(stop); });
}

void Chores::send_spans(const std::stop_token& stop) {
  if (parts_.spans != nullptr) serving::safely([&] { parts_.spans->run(stop); });
}

}  // namespace falproxy::app
