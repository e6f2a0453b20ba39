#include "shared_state.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/json.hpp"

namespace falproxy::app {
namespace {

constexpr const char* owed_text = "shared.owed";
constexpr Seconds longest_wait{5};
constexpr std::size_t most_kept = 20'000;
constexpr std::size_t most_reports = 10'000;
constexpr std::size_t handed_over_at_once = 64;
constexpr std::size_t most_open = 1'000;

// The other faults say something of the record.
bool is_away(const StoreError& error) {
  switch (error.fault) {
    case StoreFault::overloaded:
    case StoreFault::timed_out:
    case StoreFault::unavailable:
    case StoreFault::closed:
      return true;
    default:
      return false;
  }
}

void ignore(const Result<Done, StoreError>& /*result*/) {}

bool is_newer(const RunRecord& a, const RunRecord& b) { return place_of(b) < place_of(a); }

// Of a record that both have the one with the higher fence.
std::vector<RunRecord> merged(std::vector<RunRecord> records, std::vector<RunRecord> more,
                              const RunQuery& query) {
  for (RunRecord& record : more) {
    const auto same = std::ranges::find(records, record.id, &RunRecord::id);
    if (same == records.end()) {
      records.push_back(std::move(record));
    } else if (same->fence < record.fence) {
      *same = std::move(record);
    }
  }
  if (query.by == RunQuery::By::open)
    std::erase_if(records, [](const RunRecord& record) { return !is_open(record); });
  std::ranges::sort(records, is_newer);
  if (query.oldest_first && query.by == RunQuery::By::owner) std::ranges::reverse(records);
  if (records.size() > query.limit)
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(query.limit), records.end());
  return records;
}

}  // namespace

SharedState::SharedState(Parts parts) : parts_(std::move(parts)) {}
// What they call back with needs the rest.
SharedState::~SharedState() {
  owned_.reset();
  parts_.local.reset();
}

// What an earlier process could not hand over.
void SharedState::begin() {
  const TimePoint until = parts_.now() + longest_wait;
  parts_.local->find(RunQuery::of_open(most_open), until,
                     [this](const Result<std::vector<RunRecord>, StoreError>& found) {
                       if (!found) return;
                       for (const RunRecord& record : *found) keep(record);
                       hand_over();
                     });
  parts_.local_texts->get(owed_text, until, [this](const Result<std::string, StoreError>& text) {
    const Result<Json> owed = Json::parse(text.value_or(""));
    if (!owed) return;
    {
      const std::lock_guard lock(mutex_);
      for (const Json& row : (*owed)["owed"].elements()) {
        Usd& sum = owed_[{std::string(row["owner"].as_string().value_or("")),
                          static_cast<Day>(row["day"].as_integer().value_or(0))}];
        sum = sum + Usd{row["nano"].as_integer().value_or(0)};
      }
      has_kept_ = true;
    }
    hand_over();
  });
}

std::size_t SharedState::kept_here() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

void SharedState::keep(const RunRecord& record) {
  bool is_full = false;
  {
    const std::lock_guard lock(mutex_);
    const auto known = kept_.find(record.id);
    if (known != kept_.end()) {
      if (known->second.fence < record.fence) known->second = record;
    } else if (kept_.size() < most_kept) {
      kept_.emplace(record.id, record);
    } else {
      is_full = std::exchange(tells_full_, false);
    }
    has_kept_ = true;
  }
  if (is_full && parts_.log) {
    parts_.log(LogLevel::warning,
               fmt::format("{} runs wait for Redis already: further ones stay on this machine",
                           most_kept));
  }
}

void SharedState::write_here(const RunRecord& record, Durability durability, TimePoint deadline,
                             Callback<Done> done) {
  keep(record);
  parts_.local->write(record, durability, std::max(deadline, parts_.now() + longest_wait),
                      std::move(done));
}

void SharedState::write(const RunRecord& record, Durability durability, TimePoint deadline,
                        Callback<Done> done) {
  store_->write(record, durability, deadline,
                [this, record, durability, deadline,
                 done = std::move(done)](Result<Done, StoreError> written) {
                  if (!written && is_away(written.error()))
                    return write_here(record, durability, deadline, done);
                  if (written && has_kept_) hand_over();
                  done(std::move(written));
                });
}

void SharedState::claim(const RunRecord& record, std::vector<RunId> known, TimePoint deadline,
                        Callback<std::optional<RunId>> done) {
  store_->claim(record, std::move(known), deadline,
                [this, record, deadline,
                 done = std::move(done)](Result<std::optional<RunId>, StoreError> claimed) {
                  if (claimed || !is_away(claimed.error())) return done(std::move(claimed));
                  write_here(record, Durability::durable, deadline,
                             [done](const Result<Done, StoreError>& written) {
                               if (!written) return done(written.error());
                               done(std::optional<RunId>());
                             });
                });
}

void SharedState::erase(const RunId& id, TimePoint deadline, Callback<Done> done) {
  if (has_kept_) {
    {
      const std::lock_guard lock(mutex_);
      kept_.erase(id);
    }
    parts_.local->erase(id, deadline, ignore);
  }
  store_->erase(id, deadline, std::move(done));
}

void SharedState::find(const RunQuery& query, TimePoint deadline,
                       Callback<std::vector<RunRecord>> done) {
  using Found = Result<std::vector<RunRecord>, StoreError>;
  store_->find(query, deadline, [this, query, deadline, done = std::move(done)](Found found) {
    const bool away = !found && is_away(found.error());
    if (!away && (!found || !has_kept_)) return done(std::move(found));
    const TimePoint until = std::max(deadline, parts_.now() + longest_wait);
    parts_.local->find(query, until, [found = std::move(found), query, done](Found here) mutable {
      if (!found) return done(std::move(here));
      if (!here) return done(std::move(found));
      done(merged(*std::move(found), *std::move(here), query));
    });
  });
}

void SharedState::forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const auto& row) { return row.second.expires <= now; });
  }
  parts_.local->forget_expired(now, deadline, [](const Result<std::uint64_t, StoreError>&) {});
  store_->forget_expired(now, deadline, std::move(done));
}

StoreStatus SharedState::status() const {
  StoreStatus status = store_->status();
  if (status.degraded.empty()) return status;
  const std::string here = parts_.local->status().degraded;
  status.degraded += here.empty() ? " Meanwhile runs are noted on this machine only."
                                  : " They cannot be noted on this machine either: " + here;
  return status;
}

// Under the lock. A process that is killed has it still.
void SharedState::note_charges() {
  std::vector<Json> rows;
  for (const auto& [place, amount] : owed_) {
    rows.push_back(Json::object(
        {{"owner", place.first}, {"day", std::int64_t{place.second}}, {"nano", amount.nano}}));
  }
  const std::string text =
      rows.empty() ? std::string() : Json::object({{"owed", Json::array(rows)}}).dump();
  parts_.local_texts->put(owed_text, text, parts_.now() + longest_wait, ignore);
}

void SharedState::keep_charges(const std::vector<Charge>& charges) {
  const std::lock_guard lock(mutex_);
  for (const Charge& charge : charges) {
    Usd& owed = owed_[{charge.owner, charge.day}];
    owed = owed + charge.amount;
  }
  has_kept_ = true;
  note_charges();
}

void SharedState::charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
                         Callback<Done> done) {
  spending_->charge(
      charges, durability, deadline,
      [this, charges, done = std::move(done)](Result<Done, StoreError> charged) mutable {
        if (charged || !is_away(charged.error())) return done(std::move(charged));
        // If it may be done, what is owed counts twice rather than not at all; what is given back,
        // once.
        if (charged.error().may_be_done)
          std::erase_if(charges, [](const Charge& charge) { return charge.amount < Usd{}; });
        if (!charges.empty()) keep_charges(charges);
        done(Done{});
      });
}

void SharedState::charge_within(std::vector<Charge> charges, std::vector<SpendingBound> bounds,
                                Day today, TimePoint deadline, Callback<Charged> done) {
  spending_->charge_within(std::move(charges), std::move(bounds), today, deadline, std::move(done));
}

void SharedState::balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) {
  spending_->balances(today, deadline, std::move(done));
}

void SharedState::add(Spending spending, TimePoint deadline, Callback<Done> done) {
  spending_->add(spending, deadline,
                 [this, spending, done = std::move(done)](Result<Done, StoreError> added) {
                   if (!added && is_away(added.error()) && !added.error().may_be_done) {
                     const std::lock_guard lock(mutex_);
                     if (reports_.size() < most_reports) reports_.push_back(spending);
                     has_kept_ = true;
                   }
                   done(std::move(added));
                 });
}

void SharedState::sum(const SpendingQuery& query, TimePoint deadline,
                      Callback<std::vector<Spending>> done) {
  spending_->sum(query, deadline, std::move(done));
}

void SharedState::forget_spending(Day day, TimePoint deadline, Callback<Done> done) {
  spending_->forget_spending(day, deadline, std::move(done));
}

// For a start without Redis.
void SharedState::keep_text(const std::string& name, const std::string& text) {
  // Those of one process are no other's, and so no later one's.
  if (name.starts_with("bills.")) return;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t hash = std::hash<std::string>()(text);
    const auto known = texts_.find(name);
    if (known != texts_.end() && known->second == hash) return;
    texts_.insert_or_assign(name, hash);
  }
  parts_.local_texts->put(name, text, parts_.now() + longest_wait, ignore);
}

void SharedState::put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) {
  spending_->put(name, text, deadline,
                 [this, name, text, done = std::move(done)](Result<Done, StoreError> put) {
                   if (put) keep_text(name, text);
                   done(std::move(put));
                 });
}

void SharedState::get(std::string name, TimePoint deadline, Callback<std::string> done) {
  spending_->get(name, deadline,
                 [this, name, done = std::move(done)](Result<std::string, StoreError> text) {
                   if (text) {
                     keep_text(name, *text);
                     return done(std::move(text));
                   }
                   parts_.local_texts->get(name, parts_.now() + longest_wait, done);
                 });
}

void SharedState::get_newer(std::string name, std::optional<std::uint64_t> version,
                            TimePoint deadline, Callback<std::optional<KeptText>> done) {
  using Newer = Result<std::optional<KeptText>, StoreError>;
  spending_->get_newer(name, version, deadline, [this, name, done = std::move(done)](Newer kept) {
    if (kept) {
      if (kept->has_value()) keep_text(name, (*kept)->text);
      return done(std::move(kept));
    }
    parts_.local_texts->get(name, parts_.now() + longest_wait,
                            [done](Result<std::string, StoreError> text) {
                              if (!text) return done(std::move(text).error());
                              done(std::optional(KeptText{.text = *std::move(text)}));
                            });
  });
}

void SharedState::put_after(std::string name, std::uint64_t version, std::string text,
                            TimePoint deadline, Callback<bool> done) {
  spending_->put_after(name, version, text, deadline,
                       [this, name, text, done = std::move(done)](Result<bool, StoreError> put) {
                         if (put && *put) keep_text(name, text);
                         done(std::move(put));
                       });
}

void SharedState::note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) {
  media_->note(std::move(records), deadline, std::move(done));
}
void SharedState::change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) {
  media_->change(record, deadline, std::move(done));
}
void SharedState::forget(const RunId& id, TimePoint deadline, Callback<Done> done) {
  media_->forget(id, deadline, std::move(done));
}
void SharedState::look_up(const MediaQuery& query, TimePoint deadline,
                          Callback<std::vector<MediaRecord>> done) {
  media_->look_up(query, deadline, std::move(done));
}
void SharedState::totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) {
  media_->totals(deadline, std::move(done));
}

void SharedState::hand_over() {
  {
    const std::lock_guard lock(mutex_);
    has_kept_ = !kept_.empty() || !owed_.empty() || !reports_.empty();
  }
  if (!has_kept_ || !store_->status().degraded.empty()) return;
  hand_over_charges();
  hand_over_spending();
  for (std::size_t i = 0; i < handed_over_at_once; ++i) hand_over_next();
}

// One after another, so that the requests of the moment have their turn.
void SharedState::hand_over_next() {
  std::optional<RunRecord> next;
  {
    const std::lock_guard lock(mutex_);
    if (handing_over_ >= handed_over_at_once || kept_.size() <= handing_over_) return;
    // Those that are on their way are the first ones.
    const auto place = std::next(kept_.begin(), static_cast<std::ptrdiff_t>(handing_over_));
    next = place->second;
    ++handing_over_;
  }
  store_->write(*next, Durability::durable, parts_.now() + longest_wait,
                [this, id = next->id, fence = next->fence](const Result<Done, StoreError>& done) {
                  const bool is_over = done || !is_away(done.error());
                  {
                    const std::lock_guard lock(mutex_);
                    --handing_over_;
                    const auto kept = kept_.find(id);
                    if (is_over && kept != kept_.end() && kept->second.fence == fence)
                      kept_.erase(kept);
                  }
                  if (is_over) hand_over_next();
                });
}

void SharedState::hand_over_charges() {
  std::vector<Charge> charges;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [place, amount] : std::exchange(owed_, {}))
      charges.push_back({place.first, place.second, amount});
    if (charges.empty()) return;
    note_charges();
  }
  // If that fails, they are owed again.
  charge(std::move(charges), Durability::durable, parts_.now() + longest_wait, ignore);
}

void SharedState::hand_over_spending() {
  std::vector<Spending> reports;
  {
    const std::lock_guard lock(mutex_);
    reports.swap(reports_);
  }
  for (Spending& spending : reports) add(std::move(spending), parts_.now() + longest_wait, ignore);
}

}  // namespace falproxy::app
