#include "bills.hpp"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "base/unix_time.hpp"
#include "falproxy/options.hpp"

namespace falproxy::app {
namespace {

constexpr const char* stored = "bills";           // who has a store alone; others, with their id
constexpr const char* holders_text = "bills.of";  // whose lists there are
constexpr Seconds longest_exchange{20}, longest_store_wait{5};
constexpr std::size_t largest_answer = 8u << 20;
// What a kept list holds: each row and what stands in it, and the list. While corrections cannot be
// noted it may be longer than it should be.
constexpr std::size_t values_of_row = 13;
constexpr std::size_t most_values = 2 * values_of_row * BillKeeper::most_waiting + 1;

std::string name_for(const std::string& process) { return fmt::format("{}.{}", stored, process); }

std::vector<std::string> holders_in(const std::string& text) {
  std::vector<std::string> all;
  const Result<Json> rows = Json::parse(text);
  if (!rows) return all;
  for (const Json& row : rows->elements()) all.emplace_back(row.as_string().value_or(""));
  return all;
}

std::string text_of(const std::vector<std::string>& holders) {
  return Json::array(std::vector<Json>(holders.begin(), holders.end())).dump();
}

template <class T>
std::optional<T> awaited(const Handed<Result<T, StoreError>>& handed, Clock& clock,
                         TimePoint until) {
  std::optional<Result<T, StoreError>> got = handed.wait(clock, until);
  if (!got || !*got) return std::nullopt;
  return **std::move(got);
}

Json amount(const std::optional<Usd>& usd) { return usd ? Json::integer(usd->nano) : Json(); }

}  // namespace

BillKeeper::BillKeeper(Parts parts)
    : parts_(std::move(parts)),
      name_(parts_.peers == nullptr ? stored : name_for(parts_.peers->self().to_string())) {}

void BillKeeper::reload(const Settings& settings) {
  const std::lock_guard lock(mutex_);
  access_ = {.fal = fal_addresses(settings), .least = settings.alert_balance};
  may_see_balance_ = true;
  if (!asks_for_prices(settings)) return;
  access_.key = access_.balance_key = settings.fal_admin_key;
  if (access_.key.empty() && !settings.ai_keys.empty() && !settings.ai_keys.front().empty())
    access_.balance_key = settings.ai_keys.front().front();
}

BillKeeper::Access BillKeeper::access() const {
  const std::lock_guard lock(mutex_);
  return access_;
}

std::optional<Usd> BillKeeper::balance() const {
  const std::lock_guard lock(mutex_);
  return balance_;
}

void BillKeeper::add(SettledJob job) {
  const WallTime now = parts_.clock.wall_now();
  bool is_first_lost = false;
  {
    const std::lock_guard lock(mutex_);
    if (access_.key.empty() || job.fal_request_id.empty() || ids_.contains(job.fal_request_id))
      return;
    const bool fits = waiting_.size() < most_waiting;
    is_first_lost = !fits && !std::exchange(is_full_, true);
    if (fits) {
      ids_.insert(job.fal_request_id);
      waiting_.push_back({std::move(job), now});
    }
    is_changed_ = is_changed_ || fits;
  }
  if (is_first_lost) {
    parts_.log(LogLevel::warning,
               fmt::format("{} jobs wait for fal's bills: those that come now are not compared",
                           most_waiting));
  }
}

void BillKeeper::restore() {
  if (parts_.peers != nullptr) {
    // Of the time before the store was shared.
    static_cast<void>(take_over(stored));
    return take_over_from_gone();
  }
  const TimePoint until = parts_.clock.now() + longest_store_wait;
  const Handed<Result<std::string, StoreError>> text;
  parts_.store.get(stored, until, text.callback());
  add_rows(awaited(text, parts_.clock, until).value_or(""));
}

void BillKeeper::take_over_from_gone() {
  if (parts_.peers == nullptr) return;
  const TimePoint until = parts_.clock.now() + longest_store_wait;
  const Handed<Result<std::string, StoreError>> text;
  parts_.store.get(holders_text, until, text.callback());
  std::vector<std::string> gone;
  for (std::string& holder : holders_in(awaited(text, parts_.clock, until).value_or(""))) {
    const std::optional<RunId> process = RunId::parse(holder);
    if (process && parts_.peers->is_gone(*process) && take_over(name_for(holder)))
      gone.push_back(std::move(holder));
  }
  if (gone.empty() || !save_and_wait()) return;
  edit_text(
      parts_.store, holders_text,
      [gone](const std::string& old) {
        std::vector<std::string> holders = holders_in(old);
        std::erase_if(holders, [&](const std::string& holder) {
          return std::ranges::find(gone, holder) != gone.end();
        });
        return text_of(holders);
      },
      parts_.clock.now() + longest_store_wait, [](const Result<Done, StoreError>&) {});
}

// Only one of those that try it gets the rows. False: another one may have them, or nobody.
bool BillKeeper::take_over(const std::string& name) {
  const TimePoint until = parts_.clock.now() + longest_store_wait;
  const Handed<Result<std::optional<KeptText>, StoreError>> text;
  parts_.store.get_newer(name, std::nullopt, until, text.callback());
  const auto kept = awaited(text, parts_.clock, until);
  if (!kept || !*kept) return false;
  if ((*kept)->text.empty()) return true;
  const Handed<Result<bool, StoreError>> taken;
  parts_.store.put_after(name, (*kept)->version, "", until, taken.callback());
  if (!awaited(taken, parts_.clock, until).value_or(false)) return false;
  add_rows((*kept)->text);
  return true;
}

void BillKeeper::add_rows(const std::string& text) {
  if (text.empty()) return;
  const Result<Json> rows = Json::parse(text, {.max_values = most_values});
  if (!rows || !rows->is_array()) {
    parts_.log(
        LogLevel::warning,
        fmt::format("what has waited for fal's bills cannot be read, and is not compared: {}",
                    rows ? "it is no list" : rows.error().message));
    return;
  }
  const std::lock_guard lock(mutex_);
  for (const Json& row : rows->elements()) {
    const auto word = [&](std::size_t i) { return std::string(row[i].as_string().value_or("")); };
    const auto number = [&](std::size_t i) { return row[i].as_integer().value_or(0); };
    Waiting one{.job = {.payer = {word(1), word(2), word(3)},
                        .fal_request_id = word(0),
                        .charged_on = static_cast<Day>(number(4)),
                        .spent_on = static_cast<Day>(number(5)),
                        .charged = Usd{number(7)}},
                .settled = WallTime(Seconds(number(8))),
                .looks = static_cast<std::size_t>(std::clamp<std::int64_t>(number(9), 0, 2)),
                .was_found = number(10) != 0};
    if (row[std::size_t{6}].is_numeric()) one.job.cost = Usd{number(6)};
    // An earlier version did not note it.
    if (row[std::size_t{11}].is_numeric()) one.job.estimate = Usd{number(11)};
    if (one.job.fal_request_id.empty() || waiting_.size() >= most_waiting) continue;
    // Two processes may have settled one job, and each have waited for its bill.
    if (!ids_.insert(one.job.fal_request_id).second) continue;
    waiting_.push_back(std::move(one));
    is_changed_ = true;
  }
}

void BillKeeper::save() {
  {
    const std::lock_guard lock(mutex_);
    if (!is_changed_) return;
  }
  put_rows(no_deadline, [](const Result<Done, StoreError>&) {});
}

bool BillKeeper::save_and_wait() {
  const TimePoint until = parts_.clock.now() + longest_store_wait;
  const Handed<Result<Done, StoreError>> put;
  put_rows(until, put.callback());
  return awaited(put, parts_.clock, until).has_value();
}

void BillKeeper::put_rows(TimePoint deadline, SpendingStore::Callback<Done> done) {
  std::vector<Json> rows;
  {
    const std::lock_guard lock(mutex_);
    is_changed_ = false;
    for (const Waiting& one : waiting_) {
      const SettledJob& job = one.job;
      rows.push_back(Json::array({job.fal_request_id, job.payer.client, job.payer.model,
                                  job.payer.user, job.charged_on, job.spent_on, amount(job.cost),
                                  amount(job.charged), unix_seconds(one.settled), one.looks,
                                  one.was_found ? 1 : 0, amount(job.estimate)}));
    }
  }
  if (parts_.peers != nullptr && !rows.empty()) {
    edit_text(
        parts_.store, holders_text,
        [self = parts_.peers->self().to_string()](const std::string& old) {
          std::vector<std::string> holders = holders_in(old);
          if (std::ranges::find(holders, self) == holders.end()) holders.push_back(self);
          return text_of(holders);
        },
        deadline, [](const Result<Done, StoreError>&) {});
  }
  parts_.store.put(name_, rows.empty() ? "" : Json::array(rows).dump(), deadline, std::move(done));
}

// The oldest stand in front, and so do those that are due first of those with as many looks.
std::vector<BillKeeper::Waiting> BillKeeper::take_due() {
  const WallTime now = parts_.clock.wall_now();
  const auto is_due = [&](const Waiting& one) {
    return now >= one.settled + looks_after[one.looks];
  };
  const std::lock_guard lock(mutex_);
  std::vector<Waiting> due;
  for (const Waiting& one : waiting_) {
    if (due.size() == fal::most_billed) break;
    if (is_due(one)) due.push_back(one);
  }
  return due;
}

void BillKeeper::look(const std::stop_token& stop) {
  const Access by = access();
  const TimePoint until = parts_.clock.now() + longest_look;
  std::vector<Billed> bills;
  bool may_ask = !by.key.empty();
  while (may_ask && !stop.stop_requested() && parts_.clock.now() < until) {
    std::vector<Waiting> due = take_due();
    if (due.empty()) break;
    may_ask = look_for(due, by, bills, stop);
  }
  correct_all(bills);
  look_at_balance(by, stop);
  const TimePoint now = parts_.clock.now();
  if (now < save_due_) return;
  save_due_ = now + between_saves;
  take_over_from_gone();
  save();
}

// What is noted as corrected before it is, is never corrected twice: who is killed in between loses
// a correction.
void BillKeeper::correct_all(const std::vector<Billed>& bills) {
  if (bills.empty()) return;
  if (save_and_wait()) {
    for (const Billed& bill : bills) correct(bill);
    return;
  }
  // The next look compares them again.
  const std::lock_guard lock(mutex_);
  for (const Billed& bill : bills) {
    std::erase_if(waiting_, [&](const Waiting& one) {
      return one.job.fal_request_id == bill.before.job.fal_request_id;
    });
    waiting_.push_front(bill.before);
    ids_.insert(bill.before.job.fal_request_id);
  }
  is_changed_ = true;
}

// Once for each kind of trouble.
void BillKeeper::tell(const std::string& trouble) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(trouble_, trouble) == trouble) return;
  }
  if (trouble.empty()) return parts_.log(LogLevel::info, "fal tells its bills again");
  parts_.log(LogLevel::warning, "fal does not tell its bills (FAL_ADMIN_KEY): " + trouble);
}

bool BillKeeper::look_for(std::vector<Waiting>& some, const Access& by, std::vector<Billed>& all,
                          const std::stop_token& stop) {
  std::vector<std::string> ids;
  ids.reserve(some.size());
  for (const Waiting& one : some) ids.push_back(one.job.fal_request_id);
  const auto got = fetch(parts_.transport, fal::bills_request(by.fal, ids, by.key),
                         parts_.clock.now() + longest_exchange, stop, largest_answer);
  if (stop.stop_requested()) return false;
  const Result<Json> answer =
      got && got->head.status == 200 ? Json::parse(got->body) : Result<Json>(Json());
  const auto bills = answer ? read_bills(*answer) : answer.error();
  if (!bills) {
    tell(!got                      ? got.error().message
         : got->head.status != 200 ? fmt::format("it answers {}", got->head.status)
                                   : std::string("its answer holds no bills"));
    return false;
  }
  tell("");
  for (Waiting& one : some) {
    const auto bill = std::ranges::find(*bills, one.job.fal_request_id, &Bill::fal_request_id);
    if (bill != bills->end()) {
      if (one.job.cost != bill->cost || one.job.charged != bill->cost)
        all.push_back({one, bill->cost});
      one.job.cost = one.job.charged = bill->cost;
      one.was_found = true;
    }
    ++one.looks;
  }
  const std::lock_guard lock(mutex_);
  is_changed_ = true;
  is_full_ = false;
  for (Waiting& looked : some) {
    const auto kept = std::ranges::find_if(waiting_, [&](const Waiting& one) {
      return one.job.fal_request_id == looked.job.fal_request_id;
    });
    if (kept == waiting_.end()) continue;
    const bool is_over = looked.looks >= std::size(looks_after) ||
                         (looked.was_found && looked.looks + 1 >= std::size(looks_after));
    if (is_over) {
      ids_.erase(kept->job.fal_request_id);
      waiting_.erase(kept);
    } else {
      *kept = std::move(looked);
    }
  }
  return true;
}

void BillKeeper::correct(const Billed& bill) {
  const auto& [waiting, billed] = bill;
  const SettledJob& job = waiting.job;
  const std::optional<Usd> before = job.cost;
  const Usd difference = parts_.budgets.correct(job, billed);
  if (difference == Usd{} && before) return;
  parts_.corrected(job.payer, difference);
  parts_.log(LogLevel::info,
             fmt::format("fal has billed {} USD for the job {} of the key '{}', which was noted "
                         "with {}",
                         billed.to_string(), job.fal_request_id, job.payer.client,
                         before ? before->to_string() + " USD" : std::string("an unknown cost")));
}

void BillKeeper::look_at_balance(const Access& by, const std::stop_token& stop) {
  const TimePoint now = parts_.clock.now();
  {
    const std::lock_guard lock(mutex_);
    if (by.balance_key.empty() || by.least == Usd{} || !may_see_balance_ || now < balance_due_)
      return;
    balance_due_ = now + between_balances;
  }
  const auto got = fetch(parts_.transport, fal::balance_request(by.fal, by.balance_key),
                         now + longest_exchange, stop, 64u << 10);
  if (!got) return;
  const int status = got->head.status;
  const Result<Json> answer = Json::parse(got->body);
  const std::optional<Usd> left =
      status == 200 && answer ? read_balance(*answer) : std::optional<Usd>();
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    // It is no key for that, until the next reload.
    if (status == 401 || status == 403 || status == 404) may_see_balance_ = false;
    balance_ = left;
    if (!left) return;
    is_news = *left < by.least && !is_low_;
    is_low_ = *left < by.least;
  }
  if (!is_news) return;
  parts_.alert({.kind = SpendingAlert::Kind::low_balance,
                .message = fmt::format("{} USD are left on fal's account, less than {} "
                                       "(ALERT_BALANCE_USD); see fal.ai/dashboard/billing.",
                                       left->to_string(), by.least.to_string()),
                .limit = *left});
}

}  // namespace falproxy::app
