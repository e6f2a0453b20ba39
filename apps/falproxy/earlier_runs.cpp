#include "earlier_runs.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

// Before a store that failed is asked again.
constexpr Milliseconds fault_pause{250};
// Between looks at which processes are there, and at what they have left.
constexpr Seconds between_hearings{5}, between_looks{60};
// A process that is missed is known to be gone within this.
constexpr Seconds until_gone{60};
constexpr Seconds longest_look{60};
constexpr std::size_t page_of_open = 1'000, most_open = 100'000;

}  // namespace

EarlierRuns::EarlierRuns(Parts parts) : parts_(std::move(parts)) {}

void EarlierRuns::run(const std::stop_token& stop) {
  if (parts_.peers == nullptr) {
    if (!resume_native_jobs()) serving::safely([&] { parts_.native_jobs.resume(stop); });
    return follow(stop);
  }
  Clock& clock = parts_.clock;
  std::uint64_t missed = 0;
  TimePoint look_until = clock.now() + until_gone, next_look = clock.now();
  while (!stop.stop_requested()) {
    const std::uint64_t now_missed = parts_.peers->departures();
    if (std::exchange(missed, now_missed) != now_missed) look_until = clock.now() + until_gone;
    if (clock.now() < look_until || clock.now() >= next_look) {
      next_look = clock.now() + between_looks;
      static_cast<void>(resume_native_jobs());
      // A job may take hours, and the next process may be gone before it ends.
      static_cast<void>(
          parts_.background.begin([this](const std::stop_token& ends) { follow(ends); }));
    }
    clock.sleep_until(clock.now() + between_hearings, stop);
  }
}

// It may wait for room, while the other runs are gone on with.
bool EarlierRuns::resume_native_jobs() {
  if (is_resuming_.exchange(true)) return true;
  const auto over =
      std::make_shared<Finally<std::function<void()>>>([this] { is_resuming_ = false; });
  return parts_.background.begin([this, over](const std::stop_token& stop) {
    serving::safely([&] { parts_.native_jobs.resume(stop); });
  });
}

void EarlierRuns::follow(const std::stop_token& stop) {
  serving::safely([&] {
    const std::vector<RunRecord> open = open_runs();
    Result<Recovered, StoreError> recovered = parts_.runner.recover(stop);
    for (; !recovered && parts_.peers == nullptr && !stop.stop_requested();
         recovered = parts_.runner.recover(stop)) {
      parts_.log(LogLevel::error,
                 "the runs of an earlier process cannot be looked up, trying again: " +
                     recovered.error().message);
      parts_.clock.sleep_until(parts_.clock.now() + fault_pause, stop);
    }
    if (!recovered || recovered->found == 0) return;
    if (parts_.media != nullptr) keep_files_of(open);
    tell(*recovered);
  });
}

void EarlierRuns::take_up(RunRecord record) {
  const std::string id = record.id.to_string();
  Place place = parts_.count(record.owner);
  const auto left = std::make_shared<Left>(Left{std::move(record), std::move(place)});
  bool has_place = false, waits = false;
  {
    const std::lock_guard lock(mutex_);
    has_place = followed_ < most_followed;
    waits = !has_place && waiting_.size() < most_waiting;
    if (has_place) ++followed_;
    if (waits) waiting_.push_back(left);
  }
  if (waits || (has_place && begin_with(left))) return;
  parts_.log(LogLevel::warning,
             fmt::format("the run {} goes on at fal, and there is no room to follow it: the next "
                         "process does",
                         id));
}

// False: it cannot be, and the place among those that are followed is given back.
bool EarlierRuns::begin_with(const std::shared_ptr<Left>& first) {
  bool runs = false;
  serving::safely([&] {
    runs = parts_.background.begin([this, first](const std::stop_token& stop) {
      for (std::shared_ptr<Left> left = first; left != nullptr; left = next_left()) {
        serving::safely([&] { follow(*left, stop); });
        left->place.reset();
        if (left->is_untold) return;
      }
    });
  });
  if (!runs) give_back_place();
  return runs;
}

void EarlierRuns::give_back_place() {
  const std::lock_guard lock(mutex_);
  --followed_;
}

// Null: none waits, and the place is given back.
std::shared_ptr<EarlierRuns::Left> EarlierRuns::next_left() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) {
    --followed_;
    return nullptr;
  }
  std::shared_ptr<Left> next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

// A run that fal does not tell of is looked at now and then, and stands in nobody's way: another
// one is followed in its place.
void EarlierRuns::follow(Left& left, const std::stop_token& stop) {
  if (stop.stop_requested()) return;
  const RunState end = parts_.runner.follow(left.record, stop, [&] {
    left.is_untold = true;
    left.place.reset();
    parts_.log(LogLevel::warning,
               fmt::format("fal does not tell what became of the run {}; it is asked again until "
                           "it does",
                           left.record.id.to_string()));
    if (const std::shared_ptr<Left> next = next_left()) static_cast<void>(begin_with(next));
  });
  if (end == RunState::completed && parts_.media != nullptr) keep_files_of({left.record});
}

// Those whose files are kept once they have some.
std::vector<RunRecord> EarlierRuns::open_runs() const {
  if (parts_.media == nullptr) return {};
  std::vector<RunRecord> all;
  RunQuery query = RunQuery::of_open(page_of_open);
  for (bool more = true; more && all.size() < most_open;) {
    const TimePoint until = parts_.clock.now() + longest_look;
    const Handed<Result<std::vector<RunRecord>, StoreError>> found;
    parts_.store.find(query, until, found.callback());
    const auto records = found.wait(parts_.clock, until);
    if (!records || !*records) break;
    more = (*records)->size() == page_of_open;
    if (more) query.after = place_of((*records)->back());
    all.insert(all.end(), (*records)->begin(), (*records)->end());
  }
  return all;
}

void EarlierRuns::keep_files_of(const std::vector<RunRecord>& records) const {
  for (const RunRecord& record : records) {
    const auto status = parts_.runner.find(record.owner, record.id);
    if (!status || !status->has_value() || (*status)->phase != RunPhase::completed ||
        (*status)->response_format != ResponseFormat::url)
      continue;
    std::vector<Product> products = (*status)->products;
    std::vector<plan::Note> notes;
    parts_.media->keep(products,
                       {.client = record.owner,
                        .model = record.served_model,
                        .run = record.id,
                        .prompt = record.prompt,
                        .cost = cost_of((*status)->record),
                        .is_repeat = true,
                        .is_answer = false},
                       notes);
  }
}

void EarlierRuns::tell(const Recovered& runs) const {
  parts_.log(
      LogLevel::info,
      fmt::format("{} runs of an earlier process were found: {} have brought something, {} "
                  "failed, {} were cancelled since nobody asked for them, {} go on at fal; {} "
                  "were being submitted, and fal had them",
                  runs.found, runs.completed, runs.failed, runs.cancelled, runs.left,
                  runs.found_at_fal));
  if (runs.uncertain == 0) return;
  parts_.log(LogLevel::warning,
             fmt::format("{} runs were being submitted when the earlier process ended: see fal's "
                         "dashboard for whether fal has taken them; a repeat is answered 409 "
                         "job_uncertain",
                         runs.uncertain));
}

}  // namespace falproxy::app
