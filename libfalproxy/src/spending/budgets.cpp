#include "falproxy/budgets.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "base/fmt.hpp"
#include "base/unix_time.hpp"
#include "spending/balances.hpp"
#include "spending/blocked_keys.hpp"
#include "state/awaited.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr const char* all_together = "*";
constexpr const char* lost_text = "spending.lost";
constexpr std::chrono::hours shortest_block{24};
constexpr int surprising = 10;  // times the estimate
// Jobs that two may settle: the other one comes within the time that a request waits.
constexpr std::size_t most_remembered = 100'000;

std::string whose_budget(const KeyRules& row) {
  return row.name == all_together ? "all access keys together" : "this access key";
}

Error used_up(const KeyRules& row, Day today) {
  std::string text = fmt::format("The budget of {}", whose_budget(row));
  // What all have together is the operator's affair.
  if (row.name != all_together) {
    text += fmt::format(" ({} USD{})", row.budget->amount.to_string(),
                        row.budget->window == BudgetWindow::total
                            ? ""
                            : fmt::format(" a {}", name_of(row.budget->window)));
  }
  const std::optional<WallTime> end = end_of(row.budget->window, today);
  text +=
      end ? fmt::format(" has no room for this request. The next one begins at {}.", iso_time(*end))
          : " has no room for this request, and does not begin anew. Ask the operator of this "
            "server.";
  return {.kind = ErrorKind::insufficient_quota, .message = std::move(text)};
}

Error lost_spending(const KeyRules& row, Day today) {
  const std::optional<WallTime> end = end_of(row.budget->window, today);
  return {
      .kind = ErrorKind::insufficient_quota,
      .message = fmt::format(
          "What {} has spent was lost, so that nothing is submitted{}. Ask the operator of this "
          "server.",
          row.name == all_together ? "all access keys together have" : "this access key",
          end ? " until " + iso_time(*end) : "")};
}

Error cannot_be_noted() {
  return {.kind = ErrorKind::overloaded,
          .message = "What is spent cannot be noted now, so that nothing is submitted. Try again.",
          .retry_after = Seconds(5)};
}

}  // namespace

struct Budgets::Impl {
  explicit Impl(Parts given) : parts(std::move(given)) {}

  using Rows = std::vector<const KeyRules*>;

  // All of these under the lock.
  [[nodiscard]] Day today_now() {
    today = std::max(today, day_of(parts.clock.wall_now()));
    return today;
  }
  [[nodiscard]] Rows rows_of(std::string_view client) const;
  [[nodiscard]] std::optional<Error> refusal(const KeyRules& row, const Job& job,
                                             const std::optional<Usd>& estimate);
  [[nodiscard]] Reservation expect(const Job& job, const Rows& for_rows) const;
  [[nodiscard]] std::vector<Charge> charge(const Rows& for_rows, Usd amount, Day day);
  void note(Posting posting) const;

  void tell(const std::vector<SpendingAlert>& news) const {
    for (const SpendingAlert& alert : news) {
      if (alert.kind == SpendingAlert::Kind::costly_job && parts.log)
        parts.log(LogLevel::warning, alert.message);
      if (parts.alert) parts.alert(alert);
    }
  }
  void note_news(const KeyRules& row, std::vector<SpendingAlert>& news);
  // A job costs more than it should, and was not known to before. `at`: where it ran.
  void note_costly(const SettledJob& job, const std::string& at, std::optional<Usd> before,
                   const Rows& for_rows, std::vector<SpendingAlert>& news);

  const Parts parts;
  mutable std::mutex mutex;
  bool loaded = false;
  Day today = 0;  // never goes back, whatever the clock does
  std::optional<Day> lost;
  std::map<std::string, KeyRules, std::less<>> rows;
  std::map<std::string, RunningBalance, std::less<>> balances;
  const std::shared_ptr<BlockedKeys> blocked =
      std::make_shared<BlockedKeys>(parts.store, parts.clock);
  // By fal's ids of what an earlier process began: what it cost.
  std::map<std::string, std::optional<Usd>> settled_before;
  std::deque<std::string> settled_ids;  // of these, the oldest first
  std::shared_ptr<const PriceTable> prices;
  UsualCosts usual;
};

Budgets::Budgets(Parts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
Budgets::~Budgets() = default;

Budgets::Impl::Rows Budgets::Impl::rows_of(std::string_view client) const {
  Rows found;
  for (const std::string_view name : {client, std::string_view(all_together)}) {
    if (const auto row = rows.find(name); row != rows.end()) found.push_back(&row->second);
  }
  return found;
}

std::optional<Error> Budgets::Impl::refusal(const KeyRules& row, const Job& job,
                                            const std::optional<Usd>& estimate) {
  if (const std::optional<WallTime> block = blocked->until(row.name)) {
    return Error{.kind = ErrorKind::insufficient_quota,
                 .message = fmt::format(
                     "A job of {} came out dearer than it may be; nothing is submitted until {}.",
                     whose_budget(row), iso_time(*block))};
  }
  if (row.budget && !row.allow_state_loss) {
    if (!loaded) return cannot_be_noted();
    if (lost && !blocked->is_forgiven(row.name, *lost) &&
        first_day(row.budget->window, today) <= *lost)
      return lost_spending(row, today);
  }
  if (!estimate && !job.by_tokens && row.unknown_price == UnknownPrice::refuse) {
    if (prices == nullptr) {
      return Error{.kind = ErrorKind::overloaded,
                   .message = "The prices of the models are not known yet. Try again.",
                   .retry_after = Seconds(5)};
    }
    return Error{.kind = ErrorKind::invalid_value,
                 .message = fmt::format("What this request costs at '{}' is not known beforehand, "
                                        "and this access key takes nothing of an unknown price.",
                                        job.endpoint),
                 .field = "model"};
  }
  if (estimate && row.max_job_cost && *estimate > *row.max_job_cost) {
    return Error{.kind = ErrorKind::invalid_value,
                 .message = fmt::format("A job of this request is estimated at {} USD, and may "
                                        "cost {} USD at most.",
                                        estimate->to_string(), row.max_job_cost->to_string()),
                 .field = "model"};
  }
  return std::nullopt;
}

Reservation Budgets::Impl::expect(const Job& job, const Rows& for_rows) const {
  Reservation made{.day = today};
  if (prices != nullptr) {
    if (const auto price = prices->find(job.endpoint); price != prices->end())
      made.price = price->second;
  }
  Usd reserve;
  if (job.by_tokens) {
    // Whose key it is decides, and not the row of all together.
    const bool has_row = !for_rows.empty() && for_rows.front()->name != all_together;
    reserve = has_row ? for_rows.front()->llm_reserve : KeyRules().llm_reserve;
    for (const KeyRules* row : for_rows)
      reserve = std::min(reserve, row->max_job_cost.value_or(reserve));
    made.price = Price{.unit_price = Usd{1'000'000'000}, .unit = "dollars"};
  } else if (made.price) {
    made.units = expected_units(*made.price, job.expected);
  }
  if (made.units) made.estimate = cost(made.price->unit_price, *made.units);
  const auto usually = usual.find(job.endpoint);
  for (const KeyRules* row : for_rows) {
    if (!row->budget) continue;
    const Usd assumed = job.by_tokens                                ? reserve
                        : row->unknown_price == UnknownPrice::assume ? row->assumed_cost
                        : usually != usual.end()                     ? usually->second
                                                                     : Usd{};
    made.held = std::max(made.held, made.estimate.value_or(assumed));
  }
  return made;
}

std::vector<Charge> Budgets::Impl::charge(const Rows& for_rows, Usd amount, Day day) {
  std::vector<Charge> charges;
  if (amount == Usd{}) return charges;
  for (const KeyRules* row : for_rows) {
    if (!row->budget) continue;
    balances[row->name].add(amount, day, today);
    charges.push_back({row->name, day, amount});
  }
  return charges;
}

void Budgets::Impl::note_news(const KeyRules& row, std::vector<SpendingAlert>& news) {
  if (!row.budget || row.budget->amount <= Usd{}) return;
  RunningBalance& balance = balances[row.name];
  const Usd spent = balance.spent(row.budget->window, today);
  const std::int64_t limit = row.budget->amount.nano;
  const int percent = spent.nano >= limit ? 100 : spent.nano >= limit - limit / 5 ? 80 : 0;
  if (!balance.is_news(percent, first_day(row.budget->window, today))) return;
  news.push_back({.kind = percent == 100 ? SpendingAlert::Kind::budget_spent
                                         : SpendingAlert::Kind::budget_nearly_spent,
                  .key = row.name,
                  .message = fmt::format("The key '{}' has spent {} USD of its budget of {}.",
                                         row.name, spent.to_string(), printed(*row.budget)),
                  .spent = spent,
                  .limit = row.budget->amount});
}

void Budgets::Impl::note_costly(const SettledJob& job, const std::string& at,
                                std::optional<Usd> before, const Rows& for_rows,
                                std::vector<SpendingAlert>& news) {
  if (!job.cost) return;
  const Usd costs = *job.cost;
  const auto tell = [&](const std::string& name, Usd limit, const char* what) {
    news.push_back(
        {.kind = SpendingAlert::Kind::costly_job,
         .key = name,
         .message = fmt::format("A job of the key '{}' at {} ({}) cost {} USD: {} {}.", name, at,
                                job.fal_request_id, costs.to_string(), what, limit.to_string()),
         .spent = costs,
         .limit = limit});
  };
  const auto is_over = [](Usd cost, Usd limit, int times) {
    return cost.nano / times > limit.nano;
  };
  if (job.estimate && *job.estimate > Usd{} && is_over(costs, *job.estimate, surprising) &&
      !(before && is_over(*before, *job.estimate, surprising)))
    tell(job.payer.client, *job.estimate, "more than ten times its estimate of");
  for (const KeyRules* row : for_rows) {
    if (!row->max_job_cost || costs <= *row->max_job_cost) continue;
    if (before && *before > *row->max_job_cost) continue;
    tell(row->name, *row->max_job_cost, "it is blocked, as a job may cost at most");
    const std::optional<WallTime> end =
        row->budget ? end_of(row->budget->window, today) : std::nullopt;
    blocked->block(row->name, end.value_or(parts.clock.wall_now() + shortest_block));
  }
}

// Does not wait.
void Budgets::Impl::note(Posting posting) const {
  const Spending& spending = posting.spending;
  const TimePoint until = parts.clock.now() + longest_store_wait;
  const auto told = [log = parts.log](const Result<Done, StoreError>& done) {
    if (!done && log)
      log(LogLevel::warning, "the cost of a job was not noted: " + done.error().message);
  };
  const bool is_reported =
      spending.unpriced != 0 || spending.units > Units{} || spending.cost != Usd{};
  if (!is_reported) posting.spending = {};
  if (!posting.charges.empty() || is_reported) parts.store.post(std::move(posting), until, told);
}

Result<Done, StoreError> Budgets::load(bool is_lost) {
  Impl& impl = *impl_;
  Clock& clock = impl.parts.clock;
  SpendingStore& store = impl.parts.store;
  const Day today = day_of(clock.wall_now());
  const TimePoint until = clock.now() + longest_store_wait;
  if (is_lost) {
    const Awaited<Done> put;
    store.put(lost_text, std::to_string(today), until, put.callback());
    if (const auto done = put.wait(clock, until); !done) return done.error();
  }
  const Awaited<std::vector<Balance>> balances;
  store.balances(today, until, balances.callback());
  const Awaited<std::string> lost, keys;
  store.get(lost_text, until, lost.callback());
  const std::uint64_t changes = impl.blocked->changes();
  store.get(BlockedKeys::stored, until, keys.callback());
  const auto known = balances.wait(clock, until);
  if (!known) return known.error();
  const auto lost_on = lost.wait(clock, until);
  if (!lost_on) return lost_on.error();
  const auto blocks = keys.wait(clock, until);
  if (!blocks) return blocks.error();

  impl.blocked->become(*blocks, changes);
  impl.blocked->save();

  const std::lock_guard lock(impl.mutex);
  for (const Balance& balance : *known)
    impl.balances[balance.owner].become(balance, std::max(today, impl.today));
  Day day = 0;
  const char* const end = lost_on->data() + lost_on->size();
  if (std::from_chars(lost_on->data(), end, day).ec == std::errc()) impl.lost = day;
  impl.loaded = true;
  return Done{};
}

void Budgets::set_rows(std::vector<KeyRules> rows) {
  std::map<std::string, KeyRules, std::less<>> by_name;
  for (KeyRules& row : rows) {
    row.key = Secret();
    std::string name = row.name;
    by_name.emplace(std::move(name), std::move(row));
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->rows = std::move(by_name);
}

void Budgets::set_prices(PriceTable prices, UsualCosts usual) {
  auto made = std::make_shared<const PriceTable>(std::move(prices));
  const std::lock_guard lock(impl_->mutex);
  impl_->prices = std::move(made);
  impl_->usual = std::move(usual);
}

std::shared_ptr<const PriceTable> Budgets::prices() const {
  static const auto none = std::make_shared<const PriceTable>();
  const std::lock_guard lock(impl_->mutex);
  return impl_->prices == nullptr ? none : impl_->prices;
}

std::optional<Usd> Budgets::estimate(std::string_view endpoint, const Quantities& job) const {
  const std::lock_guard lock(impl_->mutex);
  const std::optional<Usd> known = impl_->expect({std::string(endpoint), job}, {}).estimate;
  const auto usually = impl_->usual.find(endpoint);
  return known || usually == impl_->usual.end() ? known : usually->second;
}

std::optional<Usd> Budgets::remaining(std::string_view client) const {
  const std::lock_guard lock(impl_->mutex);
  const Day today = impl_->today_now();
  std::optional<Usd> least;
  for (const KeyRules* row : impl_->rows_of(client)) {
    if (!row->budget) continue;
    const Usd left =
        row->budget->amount - impl_->balances[row->name].spent(row->budget->window, today);
    least = std::max(Usd{}, std::min(left, least.value_or(left)));
  }
  return least;
}

BudgetStatus Budgets::status(std::string_view name) const {
  const std::lock_guard lock(impl_->mutex);
  const Day today = impl_->today_now();
  BudgetStatus status;
  const auto row = impl_->rows.find(name);
  if (row != impl_->rows.end() && row->second.budget) {
    status.budget = row->second.budget;
    status.spent = impl_->balances[row->first].spent(status.budget->window, today);
    status.window_ends = end_of(status.budget->window, today);
  }
  status.blocked_until = impl_->blocked->until(name);
  return status;
}

void Budgets::unblock(const std::string& name) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->blocked->pardon(name, impl_->lost);
  }
  impl_->blocked->save();
}

Result<std::vector<Reservation>> Budgets::reserve(const Payer& payer,
                                                  const std::vector<Job>& jobs) {
  Impl& impl = *impl_;
  std::vector<Reservation> made;
  std::vector<Charge> charges;
  std::vector<SpendingBound> bounds;
  std::vector<SpendingAlert> news;
  std::optional<Error> refused;
  bool loss_allowed = true;
  Usd total;
  Day today = 0;
  {
    const std::lock_guard lock(impl.mutex);
    today = impl.today_now();
    const Impl::Rows rows = impl.rows_of(payer.client);
    for (const Job& job : jobs) {
      made.push_back(impl.expect(job, rows));
      total = total + made.back().held;
      for (const KeyRules* row : rows) {
        if (!refused) refused = impl.refusal(*row, job, made.back().estimate);
      }
    }
    for (const KeyRules* row : rows) {
      if (!row->budget || refused) continue;
      loss_allowed = loss_allowed && row->allow_state_loss;
      const Usd spent = impl.balances[row->name].spent(row->budget->window, today);
      const Usd amount = row->budget->amount;
      bounds.push_back({row->name, row->budget->window, amount});
      // What others have given back meanwhile is known in the store.
      if (impl.parts.is_shared && total > Usd{}) continue;
      if (spent + total > amount || spent >= amount) refused = used_up(*row, today);
    }
    if (!refused) charges = impl.charge(rows, total, today);
    for (const KeyRules* row : rows) impl.note_news(*row, news);
  }
  impl.tell(news);
  if (refused) return *std::move(refused);
  if (charges.empty()) return made;

  Clock& clock = impl.parts.clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Awaited<Charged> noted;
  impl.parts.store.charge_within(charges, bounds, today, until, noted.callback());
  const Result<Charged, StoreError> told = noted.wait(clock, until);
  if (!told && loss_allowed) {
    if (impl.parts.is_shared) {
      // What this process knows of counts all the same.
      const std::lock_guard lock(impl.mutex);
      for (const KeyRules* row : impl.rows_of(payer.client)) {
        if (!row->budget) continue;
        const Usd spent = impl.balances[row->name].spent(row->budget->window, today);
        const Usd amount = row->budget->amount;
        if (spent <= amount && spent - total < amount) continue;
        for (const Charge& charge : charges)
          impl.balances[charge.owner].add(Usd{} - charge.amount, charge.day, impl.today);
        return used_up(*row, today);
      }
    }
    // A store that is shared again later gets them then.
    if (impl.parts.is_shared && !told.error().may_be_done)
      impl.parts.store.charge(charges, Durability::lazy, until,
                              [](const Result<Done, StoreError>&) {});
    return made;
  }
  const std::lock_guard lock(impl.mutex);
  // What may be in the store stays spent.
  if (told ? !told->done : !told.error().may_be_done) {
    for (const Charge& charge : charges)
      impl.balances[charge.owner].add(Usd{} - charge.amount, charge.day, impl.today);
  }
  if (!told) return cannot_be_noted();
  for (const Balance& balance : told->balances) impl.balances[balance.owner].become(balance, today);
  if (told->done) return made;
  for (const KeyRules* row : impl.rows_of(payer.client)) {
    if (!row->budget) continue;
    const Usd spent = impl.balances[row->name].spent(row->budget->window, today);
    if (spent + total > row->budget->amount || spent >= row->budget->amount)
      return used_up(*row, today);
  }
  return cannot_be_noted();
}

std::optional<Usd> Budgets::settle(const Payer& payer, const Reservation& reservation,
                                   const Ended& job) {
  Impl& impl = *impl_;
  std::optional<Usd> costs;
  std::vector<Charge> charges;
  std::vector<SpendingAlert> news;
  Spending spending{.key = payer.client, .model = payer.model, .user = payer.user};
  SettledJob settled{.payer = payer, .fal_request_id = job.fal_request_id};
  {
    const std::lock_guard lock(impl.mutex);
    const Day today = impl.today_now();
    if (const auto before = impl.settled_before.find(job.fal_request_id);
        reservation.restored && before != impl.settled_before.end())
      return before->second;
    const Impl::Rows rows = impl.rows_of(payer.client);
    std::optional<Price> price = reservation.price;
    if (!price && impl.prices != nullptr) {
      if (const auto now = impl.prices->find(job.endpoint); now != impl.prices->end())
        price = now->second;
    }
    const std::optional<Units> units = job.units ? Units::nearest(*job.units) : std::nullopt;
    const Units billed = units.value_or(Units{});
    if (units && (price || billed == Units{}))
      costs = price ? cost(price->unit_price, billed) : Usd{};
    if (!job.units && !job.may_be_billed) costs = Usd{};
    spending.day = today;
    spending.unpriced = costs ? 0 : 1;
    spending.units = billed;
    spending.cost = costs.value_or(Usd{});
    settled.charged_on = reservation.day;
    settled.spent_on = today;
    settled.cost = costs;
    settled.charged = costs.value_or(reservation.held);
    settled.restored = reservation.restored;
    settled.estimate = reservation.estimate;
    if (!settled.estimate && reservation.units && price)
      settled.estimate = cost(price->unit_price, *reservation.units);
    if (reservation.restored) {
      if (impl.settled_ids.size() >= most_remembered) {
        impl.settled_before.erase(impl.settled_ids.front());
        impl.settled_ids.pop_front();
      }
      impl.settled_before.emplace(job.fal_request_id, costs);
      impl.settled_ids.push_back(job.fal_request_id);
    }
    charges = impl.charge(rows, settled.charged - reservation.held, reservation.day);
    for (const KeyRules* row : rows) impl.note_news(*row, news);
    impl.note_costly(settled, job.endpoint, std::nullopt, rows, news);
  }
  impl.blocked->save();
  impl.tell(news);
  // What fal has told units of it may bill, whatever became of the job.
  const bool may_be_billed = job.may_be_billed || costs.value_or(Usd{}) != Usd{};
  if (impl.parts.settled && may_be_billed) impl.parts.settled(std::move(settled));
  // If several processes follow one job, one settles it.
  impl.note({.once = job.fal_request_id.empty() ? "" : "settled:" + job.fal_request_id,
             .charges = std::move(charges),
             .spending = std::move(spending)});
  return costs;
}

Usd Budgets::correct(const SettledJob& job, Usd billed) {
  Impl& impl = *impl_;
  std::vector<Charge> charges;
  std::vector<SpendingAlert> news;
  const Usd difference = billed - job.cost.value_or(Usd{});
  SettledJob corrected = job;
  corrected.cost = billed;
  {
    const std::lock_guard lock(impl.mutex);
    static_cast<void>(impl.today_now());
    const Impl::Rows rows = impl.rows_of(job.payer.client);
    charges = impl.charge(rows, billed - job.charged, job.charged_on);
    for (const KeyRules* row : rows) impl.note_news(*row, news);
    impl.note_costly(corrected, job.payer.model, job.cost, rows, news);
  }
  impl.blocked->save();
  impl.tell(news);
  // If several processes find one bill, one corrects by it. It may grow, and be found again.
  impl.note({.once = job.fal_request_id.empty()
                         ? ""
                         : fmt::format("billed:{}:{}", job.fal_request_id, billed.nano),
             .charges = std::move(charges),
             .spending = {.day = job.spent_on,
                          .key = job.payer.client,
                          .model = job.payer.model,
                          .user = job.payer.user,
                          .unpriced = job.cost ? 0 : -1,
                          .cost = difference,
                          .corrected = difference}});
  return difference;
}

}  // namespace falproxy::inline v0
