#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/spending_store.hpp"
#include "state/spending_sum.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::string_view ways[] = {"day", "key", "model", "user"};

}  // namespace

std::string_view name_of(SpendingBy value) noexcept { return name_at(ways, value); }

std::ostream& operator<<(std::ostream& out, const Charge& charge) {
  return Printer(out, "Charge")("owner", charge.owner)("day", charge.day)("amount", charge.amount)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Balance& balance) {
  return Printer(out, "Balance")("owner", balance.owner)("day", balance.day)("week", balance.week)(
             "month", balance.month)("total", balance.total)
      .end();
}

std::ostream& operator<<(std::ostream& out, const SpendingBound& bound) {
  return Printer(out, "SpendingBound")("owner", bound.owner)("window", bound.window)("amount",
                                                                                     bound.amount)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Charged& charged) {
  return Printer(out, "Charged")("done", charged.done)("balances", charged.balances).end();
}

std::ostream& operator<<(std::ostream& out, const Posting& posting) {
  return Printer(out, "Posting")("once", posting.once)("charges", posting.charges)(
             "spending", posting.spending)("takes_back", posting.takes_back)
      .end();
}

void SpendingStore::post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                                TimePoint deadline, Callback<Charged> done) {
  charge_within(std::move(posting.charges), std::move(bounds), today, deadline, std::move(done));
}

void SpendingStore::post(Posting posting, TimePoint deadline, Callback<Done> done) {
  const Spending& spending = posting.spending;
  const bool is_reported =
      spending !=
      Spending{
          .day = spending.day, .key = spending.key, .model = spending.model, .user = spending.user};
  if (posting.takes_back) {
    for (Charge& charge : posting.charges) charge.amount = Usd{} - charge.amount;
  }
  if (posting.charges.empty() && !is_reported) return done(Done{});
  if (posting.charges.empty()) return add(std::move(posting.spending), deadline, std::move(done));
  if (!is_reported)
    return charge(std::move(posting.charges), Durability::lazy, deadline, std::move(done));
  charge(std::move(posting.charges), Durability::lazy, deadline,
         [this, spending = posting.spending, deadline,
          done = std::move(done)](const Result<Done, StoreError>& charged) {
           add(spending, deadline, [charged, done](const Result<Done, StoreError>& added) {
             done(charged ? added : charged);
           });
         });
}

void SpendingStore::put_first(std::string name, std::string text, TimePoint deadline,
                              Callback<KeptText> done) {
  get(name, deadline,
      [this, name, text = std::move(text), deadline,
       done = std::move(done)](Result<std::string, StoreError> there) {
        if (!there) return done(std::move(there).error());
        if (!there->empty()) return done(KeptText{.text = *std::move(there)});
        put(name, text, deadline, [text, done](const Result<Done, StoreError>& put) {
          if (!put) return done(put.error());
          done(KeptText{.text = text});
        });
      });
}

void SpendingStore::charge_within(std::vector<Charge> charges,
                                  std::vector<SpendingBound> /*bounds*/, Day /*today*/,
                                  TimePoint deadline, Callback<Charged> done) {
  charge(std::move(charges), Durability::durable, deadline,
         [done = std::move(done)](const Result<Done, StoreError>& charged) {
           if (!charged) return done(charged.error());
           done(Charged());
         });
}

void SpendingStore::get_newer(std::string name, std::optional<std::uint64_t> version,
                              TimePoint deadline, Callback<std::optional<KeptText>> done) {
  if (version) return done(std::optional<KeptText>());
  get(std::move(name), deadline, [done = std::move(done)](Result<std::string, StoreError> text) {
    if (!text) return done(std::move(text).error());
    done(std::optional(KeptText{.text = *std::move(text)}));
  });
}

void SpendingStore::put_after(std::string name, std::uint64_t /*version*/, std::string text,
                              TimePoint deadline, Callback<bool> done) {
  put(std::move(name), std::move(text), deadline,
      [done = std::move(done)](const Result<Done, StoreError>& put) {
        if (!put) return done(put.error());
        done(true);
      });
}

void edit_text(SpendingStore& store, const std::string& name,
               std::function<std::string(const std::string&)> change, TimePoint deadline,
               SpendingStore::Callback<Done> done) {
  store.get_newer(name, std::nullopt, deadline,
                  [=, &store](Result<std::optional<KeptText>, StoreError> kept) {
                    if (!kept) return done(std::move(kept).error());
                    const KeptText old = kept->value_or(KeptText());
                    store.put_after(name, old.version, change(old.text), deadline,
                                    [=, &store](const Result<bool, StoreError>& put) {
                                      if (!put) return done(put.error());
                                      if (*put) return done(Done{});
                                      edit_text(store, name, change, deadline, done);
                                    });
                  });
}

std::ostream& operator<<(std::ostream& out, const KeptText& kept) {
  return Printer(out, "KeptText")("text", kept.text)("version", kept.version).end();
}

std::ostream& operator<<(std::ostream& out, const Spending& spending) {
  return Printer(out, "Spending")("day", spending.day)("key", spending.key)(
             "model", spending.model)("user", spending.user)("requests", spending.requests)(
             "failures", spending.failures)("artifacts", spending.artifacts)(
             "unpriced", spending.unpriced)("units", spending.units)("cost", spending.cost)(
             "corrected", spending.corrected)
      .end();
}

std::ostream& operator<<(std::ostream& out, const SpendingQuery& query) {
  return Printer(out, "SpendingQuery")("first", query.first)("last", query.last)("by", query.by)(
             "key", query.key)
      .end();
}

struct MemorySpending::Impl {
  using Names = std::tuple<Day, std::string, std::string, std::string>;
  std::mutex mutex;
  std::map<std::pair<std::string, Day>, Usd> charges;
  std::map<Names, Spending> spending;
  std::map<std::string, std::string> texts;
};

MemorySpending::MemorySpending() : impl_(std::make_unique<Impl>()) {}
MemorySpending::~MemorySpending() = default;

void MemorySpending::charge(std::vector<Charge> charges, Durability, TimePoint,
                            Callback<Done> done) {
  {
    const std::lock_guard lock(impl_->mutex);
    for (const Charge& charge : charges) {
      Usd& kept = impl_->charges[{charge.owner, charge.day}];
      kept = kept + charge.amount;
    }
  }
  done(Done());
}

void MemorySpending::balances(Day today, TimePoint, Callback<std::vector<Balance>> done) {
  std::vector<Balance> all;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [place, amount] : impl_->charges) {
      const auto& [owner, day] = place;
      if (all.empty() || all.back().owner != owner) all.push_back({.owner = owner});
      Balance& sum = all.back();
      const auto add = [&, on = day, spent = amount](BudgetWindow window, Usd& into) {
        if (on >= first_day(window, today)) into = into + spent;
      };
      add(BudgetWindow::day, sum.day);
      add(BudgetWindow::week, sum.week);
      add(BudgetWindow::month, sum.month);
      add(BudgetWindow::total, sum.total);
    }
  }
  done(std::move(all));
}

void MemorySpending::add(Spending spending, TimePoint, Callback<Done> done) {
  {
    const std::lock_guard lock(impl_->mutex);
    Spending& kept = impl_->spending[{spending.day, spending.key, spending.model, spending.user}];
    add_to(kept, spending);
  }
  done(Done());
}

void MemorySpending::sum(const SpendingQuery& query, TimePoint,
                         Callback<std::vector<Spending>> done) {
  SpendingReport report(query);
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [names, spending] : impl_->spending) {
      Spending row = spending;
      std::tie(row.day, row.key, row.model, row.user) = names;
      report.add(row);
    }
  }
  done(std::move(report).rows());
}

void MemorySpending::forget_spending(Day day, TimePoint, Callback<Done> done) {
  {
    const std::lock_guard lock(impl_->mutex);
    auto& spending = impl_->spending;
    spending.erase(spending.begin(), spending.lower_bound(Impl::Names(day, {}, {}, {})));
  }
  done(Done());
}

void MemorySpending::put(std::string name, std::string text, TimePoint, Callback<Done> done) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (text.empty()) {
      impl_->texts.erase(name);
    } else {
      impl_->texts.insert_or_assign(std::move(name), std::move(text));
    }
  }
  done(Done());
}

void MemorySpending::get(std::string name, TimePoint, Callback<std::string> done) {
  std::string text;
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto found = impl_->texts.find(name); found != impl_->texts.end())
      text = found->second;
  }
  done(std::move(text));
}

}  // namespace falproxy::inline v0
