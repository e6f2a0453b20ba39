#include "shared_state.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "local_records.hpp"

namespace falproxy::app {
namespace {

constexpr const char* brought_text = "shared.brought";
constexpr Seconds longest_wait{5}, between_tries{1};
constexpr Milliseconds longest_copy{250};
constexpr std::size_t handed_over_at_once = 64, page = 200;

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

// So that each window of today has what it had.
std::vector<Charge> charges_of(const Balance& balance, Day today) {
  const Day week = first_day(BudgetWindow::week, today),
            month = first_day(BudgetWindow::month, today);
  const bool month_first = month <= week;
  const std::pair<Day, Usd> windows[] = {
      {today, balance.day},
      {std::max(week, month), month_first ? balance.week : balance.month},
      {std::min(week, month), month_first ? balance.month : balance.week},
      {Day{0}, balance.total}};
  std::vector<Charge> charges;
  Usd before;
  for (const auto& [day, amount] : windows) {
    if (amount != before) charges.push_back({balance.owner, day, amount - before});
    before = amount;
  }
  return charges;
}

}  // namespace

SharedState::SharedState(Parts parts) : parts_(std::move(parts)) {}
// What they call back with needs the rest.
SharedState::~SharedState() {
  {
    std::unique_lock lock(mutex_);
    is_ending_ = true;
    page_.clear();
    idle_.wait_for(lock, longest_wait, [this] { return handing_over_ == 0 && !is_looking_; });
  }
  owned_.reset();
  parts_.local.reset();
}

// What an earlier process could not hand over.
void SharedState::begin() {
  has_kept_ = true;
  hand_over();
  parts_.local_texts->get(brought_text, parts_.now() + longest_wait,
                          [this](const Result<std::string, StoreError>& text) {
                            if (text && text->empty()) bring_charges();
                          });
}

// Of a server that was alone: each owner's under one id, so that nothing is brought twice.
void SharedState::bring_charges() {
  const Day today = day_of(std::chrono::system_clock::now());
  parts_.local_texts->balances(
      today, parts_.now() + longest_wait,
      [this, today](const Result<std::vector<Balance>, StoreError>& balances) {
        if (!balances) return;
        // How many are to be noted yet; if one fails, all are tried again by the next process.
        const auto left = std::make_shared<std::atomic<std::size_t>>(balances->size() + 1);
        const auto noted = when_kept([this, left](const Result<Done, StoreError>& done) {
          const bool is_there = done || done.error().fault == StoreFault::outdated;
          if (is_there && --*left == 0)
            parts_.local_texts->put(brought_text, "1", parts_.now() + longest_wait, ignore);
        });
        for (const Balance& balance : *balances) {
          const std::uint64_t hash = std::hash<std::string>()(balance.owner);
          RunId id{{'b', 'r', 'o', 'u', 'g', 'h', 't', ' '}};
          for (std::size_t i = 0; i < 8; ++i)
            id.bytes[8 + i] = static_cast<std::uint8_t>(hash >> (8 * i));
          const Posting posting{.once = self_.to_string() + " " + id.to_string(),
                                .charges = charges_of(balance, today)};
          parts_.local->write(record_of(posting, id, WallTime()), Durability::durable,
                              parts_.now() + longest_wait, noted);
        }
        noted(Done{});
      });
}

// Notes that something is kept here, and hands it over if Redis can be used.
StateStore::Callback<Done> SharedState::when_kept(Callback<Done> done) {
  return [this, done = std::move(done)](Result<Done, StoreError> written) {
    {
      const std::lock_guard lock(mutex_);
      ++kept_;
      has_kept_ = true;
    }
    hand_over();
    done(std::move(written));
  };
}

std::size_t SharedState::kept_here() const {
  return static_cast<std::size_t>(parts_.local->status().open);
}

RunId SharedState::new_id() {
  const std::lock_guard lock(mutex_);
  RunId id = self_;
  const std::uint64_t number = ++names_;
  for (std::size_t i = 0; i < 8; ++i)
    id.bytes[8 + i] ^= static_cast<std::uint8_t>(number >> (8 * i));
  return id;
}

void SharedState::write_here(const RunRecord& record, Durability durability, TimePoint deadline,
                             Callback<Done> done) {
  parts_.local->write(as_noted(record, Stage::kept), durability,
                      std::max(deadline, parts_.now() + longest_wait), when_kept(std::move(done)));
}

// A process that starts while Redis is away must recognise repeats: so a copy stays here. If the
// disk fails, or takes too long, there may be none, and the write succeeds all the same.
void SharedState::copy_here(const RunRecord& record, Durability durability, TimePoint deadline,
                            std::function<void()> done) {
  if (!record.promised) return done();
  const TimePoint until = std::min(deadline, parts_.now() + longest_copy);
  const RunRecord copy = as_noted(record, Stage::copied);
  if (durability == Durability::durable) {
    return parts_.local->write(
        copy, durability, until,
        [done = std::move(done)](const Result<Done, StoreError>&) { done(); });
  }
  parts_.local->write(copy, durability, until, ignore);
  done();
}

// It has a name: so what may be done already is not done twice.
void SharedState::keep(const Posting& posting, Callback<Done> done) {
  const TimePoint now = parts_.now();
  // A time that is there for the order alone.
  const WallTime created{std::chrono::duration_cast<WallTime::duration>(now.time_since_epoch())};
  parts_.local->write(record_of(posting, new_id(), created), Durability::lazy, now + longest_wait,
                      when_kept(std::move(done)));
}

void SharedState::write(const RunRecord& record, Durability durability, TimePoint deadline,
                        Callback<Done> done) {
  store_->write(record, durability, deadline,
                [this, record, durability, deadline,
                 done = std::move(done)](Result<Done, StoreError> written) {
                  if (!written && is_away(written.error()))
                    return write_here(record, durability, deadline, done);
                  if (!written) return done(std::move(written));
                  if (has_kept_) hand_over();
                  copy_here(record, durability, deadline, [done] { done(Done{}); });
                });
}

void SharedState::claim(const RunRecord& record, std::vector<RunId> known, TimePoint deadline,
                        Callback<std::optional<RunId>> done) {
  store_->claim(record, std::move(known), deadline,
                [this, record, deadline,
                 done = std::move(done)](Result<std::optional<RunId>, StoreError> claimed) {
                  const bool is_its_own = claimed && !claimed->has_value();
                  if (is_its_own) {
                    return copy_here(record, Durability::durable, deadline,
                                     [done] { done(std::optional<RunId>()); });
                  }
                  if (claimed || !is_away(claimed.error())) return done(std::move(claimed));
                  write_here(record, Durability::durable, deadline,
                             [done](const Result<Done, StoreError>& written) {
                               if (!written) return done(written.error());
                               done(std::optional<RunId>());
                             });
                });
}

void SharedState::erase(const RunId& id, TimePoint deadline, Callback<Done> done) {
  parts_.local->erase(id, deadline, ignore);
  store_->erase(id, deadline, std::move(done));
}

void SharedState::find(const RunQuery& query, TimePoint deadline,
                       Callback<std::vector<RunRecord>> done) {
  using Found = Result<std::vector<RunRecord>, StoreError>;
  store_->find(query, deadline, [this, query, deadline, done = std::move(done)](Found found) {
    const bool away = !found && is_away(found.error());
    if (!away && (!found || !has_kept_)) return done(std::move(found));
    const TimePoint until = std::max(deadline, parts_.now() + longest_wait);
    parts_.local->find(query, until,
                       [found = std::move(found), query, away, done](Found here) mutable {
                         if (here) here = runs_of(*std::move(here), query, away);
                         if (!found) return done(std::move(here));
                         if (!here) return done(std::move(found));
                         done(merged(*std::move(found), *std::move(here), query));
                       });
  });
}

void SharedState::forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) {
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

void SharedState::charge(std::vector<Charge> charges, Durability /*durability*/, TimePoint deadline,
                         Callback<Done> done) {
  post({.charges = std::move(charges)}, deadline, std::move(done));
}

void SharedState::post(Posting posting, TimePoint deadline, Callback<Done> done) {
  if (posting.once.empty()) posting.once = new_id().to_string();
  spending_->post(posting, deadline,
                  [this, posting, done = std::move(done)](Result<Done, StoreError> posted) {
                    if (posted || !is_away(posted.error())) return done(std::move(posted));
                    keep(posting, done);
                  });
}

void SharedState::charge_within(std::vector<Charge> charges, std::vector<SpendingBound> bounds,
                                Day today, TimePoint deadline, Callback<Charged> done) {
  post_within({.charges = std::move(charges)}, std::move(bounds), today, deadline, std::move(done));
}

void SharedState::post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                              TimePoint deadline, Callback<Charged> done) {
  if (posting.once.empty()) posting.once = new_id().to_string();
  spending_->post_within(
      posting, std::move(bounds), today, deadline,
      [this, posting, done = std::move(done)](Result<Charged, StoreError> charged) mutable {
        if (charged || !charged.error().may_be_done) return done(std::move(charged));
        // Nobody knows: it is taken back, and so it was not done.
        posting.takes_back = true;
        keep(posting,
             [error = charged.error(), done](const Result<Done, StoreError>& kept) mutable {
               error.may_be_done = !kept.has_value();
               done(std::move(error));
             });
      });
}

void SharedState::balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) {
  spending_->balances(today, deadline, std::move(done));
}

void SharedState::add(Spending spending, TimePoint deadline, Callback<Done> done) {
  post({.spending = std::move(spending)}, deadline, std::move(done));
}

void SharedState::sum(const SpendingQuery& query, TimePoint deadline,
                      Callback<std::vector<Spending>> done) {
  spending_->sum(query, deadline, std::move(done));
}

void SharedState::forget_spending(Day day, TimePoint deadline, Callback<Done> done) {
  spending_->forget_spending(day, deadline, std::move(done));
}

// For a start without Redis, and for a Redis that has lost it.
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

void SharedState::put_first(std::string name, std::string text, TimePoint deadline,
                            Callback<KeptText> done) {
  spending_->put_first(name, std::move(text), deadline,
                       [this, name, done = std::move(done)](Result<KeptText, StoreError> there) {
                         if (there) keep_text(name, there->text);
                         done(std::move(there));
                       });
}

void SharedState::get(std::string name, TimePoint deadline, Callback<std::string> done) {
  get_newer(std::move(name), std::nullopt, deadline,
            [done = std::move(done)](Result<std::optional<KeptText>, StoreError> kept) {
              if (!kept) return done(std::move(kept).error());
              done(kept->has_value() ? (*kept)->text : std::string());
            });
}

void SharedState::get_newer(std::string name, std::optional<std::uint64_t> version,
                            TimePoint deadline, Callback<std::optional<KeptText>> done) {
  using Newer = Result<std::optional<KeptText>, StoreError>;
  spending_->get_newer(
      name, version, deadline, [this, name, deadline, done = std::move(done)](Newer kept) {
        if (kept && has_kept_) hand_over();
        if (kept && (!kept->has_value() || (*kept)->version != 0)) {
          if (kept->has_value()) keep_text(name, (*kept)->text);
          return done(std::move(kept));
        }
        // Redis is away, or nobody has put that text there yet.
        const bool is_away = !kept;
        parts_.local_texts->get(
            name, parts_.now() + longest_wait,
            [this, name, deadline, is_away, done](Result<std::string, StoreError> text) {
              if (!text) return done(std::move(text).error());
              if (is_away || text->empty())
                return done(std::optional(KeptText{.text = *std::move(text)}));
              put_first(name, *std::move(text), deadline,
                        [done](Result<KeptText, StoreError> there) {
                          if (!there) return done(std::move(there).error());
                          done(std::optional(*std::move(there)));
                        });
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
  if (!has_kept_) return;
  {
    const std::lock_guard lock(mutex_);
    if (is_ending_ || is_looking_ || handing_over_ > 0 || parts_.now() < not_before_) return;
    if (!store_->status().degraded.empty()) return;
    is_looking_ = true;
    has_failed_ = false;
  }
  look_for_kept();
}

// One page after another, until there is none.
void SharedState::look_for_kept() {
  {
    const std::lock_guard lock(mutex_);
    kept_before_ = kept_;
  }
  parts_.local->find(RunQuery::of_open(page), parts_.now() + longest_wait,
                     [this](Result<std::vector<RunRecord>, StoreError> found) {
                       {
                         const std::lock_guard lock(mutex_);
                         is_looking_ = false;
                         idle_.notify_all();
                         if (!found || is_ending_) return;
                         if (found->empty() && kept_ == kept_before_) has_kept_ = false;
                         page_.assign(found->begin(), found->end());
                       }
                       for (std::size_t i = 0; i < handed_over_at_once; ++i) hand_over_next();
                     });
}

void SharedState::hand_over_next() {
  RunRecord next;
  {
    const std::lock_guard lock(mutex_);
    if (page_.empty() || has_failed_ || handing_over_ >= handed_over_at_once) return;
    next = std::move(page_.front());
    page_.pop_front();
    ++handing_over_;
  }
  hand_over_one(next);
}

void SharedState::hand_over_one(const RunRecord& kept) {
  const auto told = [this, kept](const Result<Done, StoreError>& done) {
    if (!done && is_away(done.error())) return handed_over(false);
    parts_.local->write(as_handed_over(kept), Durability::lazy, parts_.now() + longest_wait,
                        [this](const Result<Done, StoreError>& noted) {
                          // Outdated: it was changed meanwhile, and is handed over again.
                          handed_over(noted || noted.error().fault == StoreFault::outdated);
                        });
  };
  const TimePoint until = parts_.now() + longest_wait;
  if (!is_posting(kept)) return store_->write(as_written(kept), Durability::durable, until, told);
  const Result<Posting> posting = posting_of(kept);
  if (!posting) return told(StoreError{StoreFault::damaged});
  spending_->post(*posting, until, told);
}

void SharedState::handed_over(bool is_over) {
  bool is_page_over = false;
  {
    const std::lock_guard lock(mutex_);
    --handing_over_;
    if (!is_over) {
      has_failed_ = true;
      page_.clear();
      not_before_ = parts_.now() + between_tries;
    }
    if (handing_over_ == 0) idle_.notify_all();
    is_page_over =
        !has_failed_ && page_.empty() && handing_over_ == 0 && !is_looking_ && !is_ending_;
    is_looking_ = is_looking_ || is_page_over;
  }
  if (is_page_over) return look_for_kept();
  hand_over_next();
}

}  // namespace falproxy::app
