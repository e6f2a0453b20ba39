#include "falproxy/redis_store.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "base/fmt.hpp"
#include "state/query.hpp"
#include "state/spending_sum.hpp"
#include "values.hpp"
#include "worker.hpp"

namespace falproxy::inline v0 {

using namespace redis;

namespace {

template <class T>
using Callback = StateStore::Callback<T>;

// An operation that only succeeds or fails.
Worker::Callback when_done(Callback<Done> done) {
  return [done = std::move(done)](const Result<Reply, StoreError>& reply) {
    if (!reply) return done(reply.error());
    done(Done{});
  };
}

// One that brings what `read` makes of the answer.
template <class T, class F>
Worker::Callback when_read(Callback<T> done, F read) {
  return [done = std::move(done), read = std::move(read)](Result<Reply, StoreError> reply) {
    if (!reply) return done(std::move(reply).error());
    done(read(*reply));
  };
}

StoreError damaged(const char* what) {
  return {StoreFault::damaged, fmt::format("What Redis keeps of {} cannot be read.", what)};
}

// The answer of `write`, `erase` and `forget`: a code, and how many records there are.
enum class Wrote : std::int64_t { done, outdated, other_run, claimed, not_there };

}  // namespace

struct RedisStore::Impl {
  Impl(Options options, std::shared_ptr<const TlsContext> tls)
      : worker(std::move(options), std::move(tls)) {}

  void note(const Reply& reply, std::uint64_t written) {
    worker.note_records(reply.at(2).number, reply.at(3).number, written);
  }
  /// The words of Script::write; an error if no store takes the record. `known`: of a claim.
  static Result<Call, StoreError> write_call(const RunRecord& record,
                                             const std::vector<RunId>* known = nullptr);
  void write(Call whole, bool is_new, std::uint64_t fence, Durability durability,
             TimePoint deadline, Callback<Done> done);

  Worker worker;
};

RedisStore::RedisStore(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

RedisStore::~RedisStore() { impl_->worker.end(); }

Result<std::unique_ptr<RedisStore>, StoreError> RedisStore::open(Options options) {
  std::shared_ptr<const TlsContext> tls;
  if (options.address.tls) {
    auto made = TlsContext::create(options.ca_file);
    if (!made) return StoreError{StoreFault::unavailable, made.error().message};
    tls = *std::move(made);
  }
  auto impl = std::make_unique<Impl>(std::move(options), std::move(tls));
  impl->worker.start();
  return std::unique_ptr<RedisStore>(new RedisStore(std::move(impl)));
}

RedisStore::Traffic RedisStore::traffic() const { return impl_->worker.traffic(); }

Result<Call, StoreError> RedisStore::Impl::write_call(const RunRecord& record,
                                                      const std::vector<RunId>* known) {
  Result<std::string, StoreError> packed = pack(record);
  if (!packed) return std::move(packed).error();
  std::string stay = stay_of(record);
  // Its length has four digits in what Redis keeps.
  if (stay.size() > 9'999)
    return StoreError{StoreFault::too_large,
                      "The names of a run's owner and surface are too long."};
  std::string flags;
  for (const bool flag : {record.promised, is_open(record), holds_key(record), false})
    flags += flag ? '1' : '0';
  Call call{Script::write,
            {bytes_of(record.id), std::to_string(record.fence), std::move(flags), std::move(stay),
             *std::move(packed), std::to_string(microseconds_up(record.expires))}};
  if (known == nullptr) return call;
  std::string& ids = call.words.emplace_back();
  for (const RunId& id : *known) ids += bytes_of(id);
  return call;
}

// What Redis should have already is told by its mark; if it has lost it, the whole follows.
void RedisStore::Impl::write(Call whole, bool is_new, std::uint64_t fence, Durability durability,
                             TimePoint deadline, Callback<Done> done) {
  Call call = whole;
  if (!is_new) call.words[3].resize(mark_size);
  worker.add(
      std::move(call), deadline,
      [this, whole = std::move(whole), fence, durability, deadline,
       done = std::move(done)](const Result<Reply, StoreError>& reply) {
        if (!reply) return done(reply.error());
        const auto wrote = static_cast<Wrote>(reply->at(0).number);
        note(*reply, wrote == Wrote::done ? 1 : 0);
        if (wrote == Wrote::not_there) return write(whole, true, fence, durability, deadline, done);
        if (wrote == Wrote::done) return done(Done{});
        done(wrote == Wrote::other_run ? other_run()
                                       : outdated(fence, number_in(reply->at(1).text)));
      },
      durability);
}

void RedisStore::write(const RunRecord& record, Durability durability, TimePoint deadline,
                       Callback<Done> done) {
  Result<Call, StoreError> call = Impl::write_call(record);
  if (!call) return done(std::move(call).error());
  impl_->write(*std::move(call), record.fence <= 1, record.fence, durability, deadline,
               std::move(done));
}

void RedisStore::claim(const RunRecord& record, std::vector<RunId> known, TimePoint deadline,
                       Callback<std::optional<RunId>> done) {
  Result<Call, StoreError> call = Impl::write_call(record, &known);
  if (!call) return done(std::move(call).error());
  using Claimed = Result<std::optional<RunId>, StoreError>;
  impl_->worker.add(
      *std::move(call), deadline,
      when_read(std::move(done),
                [impl = impl_.get(), fence = record.fence](const Reply& reply) -> Claimed {
                  const auto wrote = static_cast<Wrote>(reply.at(0).number);
                  impl->note(reply, wrote == Wrote::done ? 1 : 0);
                  if (wrote == Wrote::done) return std::optional<RunId>();
                  if (wrote == Wrote::claimed) return std::optional(id_in(reply.at(1).text));
                  if (wrote == Wrote::other_run) return other_run();
                  return outdated(fence, number_in(reply.at(1).text));
                }));
}

void RedisStore::erase(const RunId& id, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add({Script::erase, {bytes_of(id)}}, deadline,
                    when_read(std::move(done),
                              [impl = impl_.get()](const Reply& reply) -> Result<Done, StoreError> {
                                impl->note(reply, 1);
                                return Done{};
                              }));
}

void RedisStore::find(const RunQuery& query, TimePoint deadline,
                      Callback<std::vector<RunRecord>> done) {
  if (std::optional<StoreError> fault = fault_of(query)) return done(*std::move(fault));
  using Found = Result<std::vector<RunRecord>, StoreError>;
  if (query.by == RunQuery::By::id) {
    const auto read = [owner = query.owner, not_before = query.not_before](const Reply& reply) {
      std::vector<RunRecord> found;
      if (reply.kind == Reply::Kind::nothing) return Found(std::move(found));
      Result<RunRecord, StoreError> record = record_in(reply.text);
      if (!record) return Found(std::move(record).error());
      if (record->promised && (owner.empty() || owner == record->owner) &&
          (!not_before || record->created >= *not_before))
        found.push_back(*std::move(record));
      return Found(std::move(found));
    };
    return impl_->worker.add({.words = {"GET", "falproxy:r:" + bytes_of(query.id)}}, deadline,
                             when_read(std::move(done), read));
  }
  const bool newest_first = !query.oldest_first || query.by != RunQuery::By::owner;
  std::string least = "-", greatest = "+";
  if (query.not_before) least = "[" + created20(*query.not_before);
  if (query.after) {
    std::string place = "(" + created20(query.after->created) + bytes_of(query.after->id);
    if (newest_first) {
      greatest = std::move(place);
    } else {
      // Whichever begins later.
      least = std::max(place.substr(1), least == "-" ? std::string() : least.substr(1)) ==
                      place.substr(1)
                  ? place
                  : least;
    }
  }
  const auto read = [](const Reply& reply) {
    std::vector<RunRecord> found;
    for (const Reply& item : reply.items) {
      Result<RunRecord, StoreError> record = unpack(item.text);
      if (!record) return Found(std::move(record).error());
      found.push_back(*std::move(record));
    }
    return Found(std::move(found));
  };
  impl_->worker.add(
      {Script::find,
       {index_of(query), newest_first ? "1" : "0", std::move(least), std::move(greatest),
        std::to_string(query.limit), query.by == RunQuery::By::open ? query.owner : ""}},
      deadline, when_read(std::move(done), read));
}

namespace {

constexpr std::uint64_t forgotten_at_once = 200;

// In steps, so that nobody waits for all of it.
void forget_some(Worker& worker, const std::function<void(const Reply&)>& note, std::string now,
                 TimePoint deadline, std::uint64_t before, const Callback<std::uint64_t>& done) {
  Call call{Script::forget, {now, std::to_string(forgotten_at_once)}};
  worker.add(std::move(call), deadline, [=, &worker](const Result<Reply, StoreError>& reply) {
    if (!reply) return done(reply.error());
    note(*reply);
    const auto gone = static_cast<std::uint64_t>(reply->at(0).number);
    if (gone < forgotten_at_once) return done(before + gone);
    forget_some(worker, note, now, deadline, before + gone, done);
  });
}

}  // namespace

void RedisStore::forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) {
  forget_some(
      impl_->worker,
      [impl = impl_.get()](const Reply& reply) {
        impl->note(reply, static_cast<std::uint64_t>(reply.at(0).number));
      },
      std::to_string(microseconds_down(now)), deadline, 0, done);
}

StoreStatus RedisStore::status() const { return impl_->worker.status(); }

namespace {

constexpr BudgetWindow windows_of_charges[] = {BudgetWindow::day, BudgetWindow::week,
                                               BudgetWindow::month, BudgetWindow::total};
constexpr std::size_t owners_at_once = 200, figures_at_once = 1'000;

void append(Call& call, const Spending& spending) {
  call.words.push_back(std::to_string(spending.day));
  call.words.push_back(names_of(spending));
  const auto figures = figures_of(spending);
  std::size_t count = figures.size();
  while (count > 1 && figures[count - 1] == 0) --count;
  std::string& word = call.words.emplace_back();
  for (std::size_t i = 0; i < count; ++i) word += std::to_string(figures[i]) + ' ';
}

Call post_call(const Posting& posting, const std::vector<SpendingBound>& bounds, Day today) {
  static_assert(posting_life == std::chrono::seconds(21'600), "the script says so, too");
  Call call{Script::post,
            {posting.once, posting.takes_back ? "1" : "", std::to_string(bounds.size())}};
  for (const SpendingBound& bound : bounds) {
    call.words.push_back(bound.owner);
    call.words.push_back(window_name(bound.window, today));
    call.words.push_back(std::to_string(bound.amount.nano));
  }
  call.words.push_back(std::to_string(posting.charges.size()));
  for (const Charge& charge : posting.charges) {
    call.words.push_back(charge.owner);
    std::string windows;
    for (const BudgetWindow window : windows_of_charges)
      windows += window_name(window, charge.day) + " ";
    call.words.push_back(std::move(windows));
    call.words.push_back(std::to_string(charge.amount.nano));
  }
  const auto figures = figures_of(posting.spending);
  if (std::ranges::any_of(figures, [](std::int64_t figure) { return figure != 0; }))
    append(call, posting.spending);
  return call;
}

// From the second item on owners and their amounts, in turn.
std::vector<Balance> balances_in(const Reply& reply, Day today) {
  std::vector<Balance> all;
  for (std::size_t i = 1; i + 1 < reply.items.size(); i += 2)
    all.push_back(balance_in(reply.at(i).text, reply.at(i + 1), today));
  return all;
}

// Reads in steps, so that nobody waits for all of it.
class BalanceReader : public std::enable_shared_from_this<BalanceReader> {
 public:
  BalanceReader(Worker& worker, Day today, TimePoint deadline, Callback<std::vector<Balance>> done)
      : worker_(worker), today_(today), deadline_(deadline), done_(std::move(done)) {}
  void read(const std::string& cursor) {
    Call call{Script::balances, {cursor, std::to_string(owners_at_once)}};
    for (const BudgetWindow window : windows_of_charges)
      call.words.push_back(window_name(window, today_));
    worker_.add(std::move(call), deadline_,
                [self = shared_from_this()](const Result<Reply, StoreError>& reply) {
                  if (!reply) return self->done_(reply.error());
                  // A cursor may bring an owner twice.
                  for (Balance& balance : balances_in(*reply, self->today_))
                    self->all_.insert_or_assign(balance.owner, std::move(balance));
                  const std::string& next = reply->at(0).text;
                  if (!next.empty() && next != "0") return self->read(next);
                  std::vector<Balance> all;
                  for (auto& [owner, balance] : self->all_) all.push_back(std::move(balance));
                  self->done_(std::move(all));
                });
  }

 private:
  Worker& worker_;
  const Day today_;
  const TimePoint deadline_;
  const Callback<std::vector<Balance>> done_;
  std::map<std::string, Balance> all_;
};

// As MATCH takes it literally.
std::string escaped(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("*?[]^-\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// The same for reports, a day after another.
class SumReader : public std::enable_shared_from_this<SumReader> {
 public:
  SumReader(Worker& worker, SpendingQuery query, TimePoint deadline,
            Callback<std::vector<Spending>> done)
      : worker_(worker), query_(std::move(query)), deadline_(deadline), done_(std::move(done)) {}
  void read() {
    worker_.add({.words = {"ZRANGEBYSCORE", "falproxy:spdays", std::to_string(query_.first),
                           std::to_string(query_.last)}},
                deadline_, [self = shared_from_this()](const Result<Reply, StoreError>& reply) {
                  if (!reply) return self->done_(reply.error());
                  for (const Reply& day : reply->items) self->days_.push_back(day.text);
                  self->read_day("0");
                });
  }

 private:
  void read_day(const std::string& cursor) {
    if (day_ == days_.size()) return end();
    std::vector<std::string> words{"HSCAN", "falproxy:sp:" + days_[day_], cursor, "COUNT",
                                   std::to_string(figures_at_once)};
    if (query_.key) {
      words.emplace_back("MATCH");
      words.push_back(escaped(*query_.key) + std::string(1, '\0') + "*");
    }
    worker_.add({.words = std::move(words)}, deadline_,
                [self = shared_from_this()](const Result<Reply, StoreError>& reply) {
                  if (!reply) return self->done_(reply.error());
                  self->note(*reply);
                });
  }
  void note(const Reply& page) {
    const Reply& figures = page.at(1);
    // A cursor may bring a figure twice.
    for (std::size_t i = 0; i + 1 < figures.items.size(); i += 2)
      figures_.insert_or_assign(figures.at(i).text, figures.at(i + 1).text);
    const std::string& next = page.at(0).text;
    if (!next.empty() && next != "0") return read_day(next);
    for (const auto& [name, figure] : figures_) report_.add(spending_in(days_[day_], name, figure));
    ++day_;
    figures_.clear();
    read_day("0");
  }
  void end() { done_(std::move(report_).rows()); }

  Worker& worker_;
  const SpendingQuery query_;
  const TimePoint deadline_;
  const Callback<std::vector<Spending>> done_;
  std::vector<std::string> days_;
  std::size_t day_ = 0;
  std::map<std::string, std::string> figures_;  // of a day
  SpendingReport report_{query_};
};

}  // namespace

void RedisStore::charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
                        Callback<Done> done) {
  impl_->worker.add(post_call({.charges = std::move(charges)}, {}, 0), deadline,
                    when_done(std::move(done)), durability);
}

void RedisStore::post(Posting posting, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add(post_call(posting, {}, 0), deadline, when_done(std::move(done)),
                    Durability::lazy);
}

void RedisStore::charge_within(std::vector<Charge> charges, std::vector<SpendingBound> bounds,
                               Day today, TimePoint deadline, Callback<Charged> done) {
  post_within({.charges = std::move(charges)}, std::move(bounds), today, deadline, std::move(done));
}

void RedisStore::post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                             TimePoint deadline, Callback<Charged> done) {
  impl_->worker.add(
      post_call(posting, bounds, today), deadline,
      when_read(std::move(done), [today](const Reply& reply) -> Result<Charged, StoreError> {
        return Charged{.done = reply.at(0).number == 1, .balances = balances_in(reply, today)};
      }));
}

void RedisStore::balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) {
  std::make_shared<BalanceReader>(impl_->worker, today, deadline, std::move(done))->read("0");
}

void RedisStore::add(Spending spending, TimePoint deadline, Callback<Done> done) {
  Call call{Script::add, {}};
  append(call, spending);
  impl_->worker.add(std::move(call), deadline, when_done(std::move(done)), Durability::lazy);
}

void RedisStore::sum(const SpendingQuery& query, TimePoint deadline,
                     Callback<std::vector<Spending>> done) {
  std::make_shared<SumReader>(impl_->worker, query, deadline, std::move(done))->read();
}

void RedisStore::forget_spending(Day day, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add({Script::drop_spending, {std::to_string(day)}}, deadline,
                    when_done(std::move(done)));
}

void RedisStore::put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add({Script::put_text, {std::move(name), std::move(text), ""}}, deadline,
                    when_done(std::move(done)));
}

void RedisStore::put_after(std::string name, std::uint64_t version, std::string text,
                           TimePoint deadline, Callback<bool> done) {
  impl_->worker.add(
      {Script::put_text, {std::move(name), std::move(text), std::to_string(version)}}, deadline,
      when_read(std::move(done),
                [](const Reply& reply) -> Result<bool, StoreError> { return reply.number == 1; }));
}

void RedisStore::get_newer(std::string name, std::optional<std::uint64_t> version,
                           TimePoint deadline, Callback<std::optional<KeptText>> done) {
  using Newer = Result<std::optional<KeptText>, StoreError>;
  impl_->worker.add(
      {Script::newer_text, {std::move(name), version ? std::to_string(*version) : ""}}, deadline,
      when_read(std::move(done), [](const Reply& reply) -> Newer {
        if (reply.items.size() < 2) return std::optional<KeptText>();
        return std::optional(
            KeptText{.text = reply.at(1).text, .version = number_in(reply.at(0).text)});
      }));
}

void RedisStore::put_first(std::string name, std::string text, TimePoint deadline,
                           Callback<KeptText> done) {
  impl_->worker.add({Script::put_first, {std::move(name), std::move(text)}}, deadline,
                    when_read(std::move(done), [](const Reply& reply) {
                      return Result<KeptText, StoreError>(KeptText{
                          .text = reply.at(1).text, .version = number_in(reply.at(0).text)});
                    }));
}

void RedisStore::get(std::string name, TimePoint deadline, Callback<std::string> done) {
  impl_->worker.add({.words = {"GET", "falproxy:t:" + std::move(name)}}, deadline,
                    when_read(std::move(done), [](const Reply& reply) {
                      return Result<std::string, StoreError>(reply.text);
                    }));
}

void RedisStore::note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) {
  if (records.empty()) return done(Done{});
  Call call{Script::note_media, {}};
  for (const MediaRecord& record : records) {
    call.words.push_back(bytes_of(record.id));
    call.words.push_back(packed(record));
    call.words.push_back(record.owner);
    call.words.push_back(std::to_string(microseconds_up(record.expires)));
    call.words.push_back(std::to_string(static_cast<int>(record.state)));
    call.words.push_back(std::to_string(record.size));
  }
  impl_->worker.add(std::move(call), deadline, when_done(std::move(done)));
}

void RedisStore::change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add({Script::change_media,
                     {bytes_of(record.id), std::to_string(static_cast<int>(record.state)),
                      std::to_string(record.size), record.content_type}},
                    deadline, when_done(std::move(done)));
}

void RedisStore::forget(const RunId& id, TimePoint deadline, Callback<Done> done) {
  impl_->worker.add({Script::forget_media, {bytes_of(id)}}, deadline, when_done(std::move(done)));
}

void RedisStore::look_up(const MediaQuery& query, TimePoint deadline,
                         Callback<std::vector<MediaRecord>> done) {
  using By = MediaQuery::By;
  std::string what;
  if (query.by == By::id) what = bytes_of(query.id);
  if (query.by == By::owner && query.after) what = bytes_of(*query.after);
  if (query.by == By::expired) what = std::to_string(microseconds_down(query.now));
  using Found = Result<std::vector<MediaRecord>, StoreError>;
  const auto read = [](const Reply& reply) {
    std::vector<MediaRecord> found;
    for (std::size_t i = 0; i + 4 < reply.items.size(); i += 5) {
      std::optional<MediaRecord> record = media_in(reply, i);
      if (!record) return Found(damaged("a file"));
      found.push_back(*std::move(record));
    }
    return Found(std::move(found));
  };
  impl_->worker.add(
      {Script::find_media,
       {std::string(name_of(query.by)), query.owner, std::move(what), std::to_string(query.limit)}},
      deadline, when_read(std::move(done), read));
}

void RedisStore::totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) {
  impl_->worker.add({Script::media_totals, {}}, deadline,
                    when_read(std::move(done), [](const Reply& reply) {
                      return Result<std::vector<MediaTotal>, StoreError>(totals_in(reply));
                    }));
}

const RunId& RedisStore::self() const noexcept { return impl_->worker.self(); }
bool RedisStore::is_gone(const RunId& process) const { return impl_->worker.is_gone(process); }
std::size_t RedisStore::count() const { return impl_->worker.count(); }
std::uint64_t RedisStore::departures() const { return impl_->worker.departures(); }

namespace {

// A place is renewed until it is given back, also if no answer came, unless Redis refused it.
void note_place(Worker& worker, const std::string& ticket, bool is_refused) {
  if (is_refused) {
    static_cast<void>(worker.drop_place(ticket));
  } else {
    worker.keep_place(ticket);
  }
}

}  // namespace

void RedisStore::take_place(const std::string& account, const std::string& ticket, int limit,
                            TimePoint deadline, Callback<bool> done) {
  Worker& worker = impl_->worker;
  worker.ask_for_place(account, ticket);
  worker.add(
      {Script::take_place,
       {account, ticket, std::to_string(limit), std::to_string(worker.options().lease.count())}},
      deadline, [&worker, ticket, done = std::move(done)](const Result<Reply, StoreError>& reply) {
        const bool is_refused = reply.has_value() && reply->number != 1;
        note_place(worker, ticket, is_refused);
        if (!reply) return done(reply.error());
        done(!is_refused);
      });
}

void RedisStore::take_turn(const Turn& turn, TimePoint deadline, Callback<TurnAnswer> done) {
  Worker& worker = impl_->worker;
  if (turn.places > 0) worker.ask_for_place(place_of(turn.client), turn.ticket);
  worker.add({Script::take_turn,
              {turn.client, turn.ticket, std::to_string(turn.places),
               std::to_string(worker.options().lease.count()), std::to_string(turn.requests),
               std::to_string(turn.period.count())}},
             deadline,
             [&worker, ticket = turn.ticket,
              done = std::move(done)](const Result<Reply, StoreError>& reply) {
               const TurnAnswer answer =
                   reply ? TurnAnswer{.kind = static_cast<TurnAnswer::Kind>(reply->at(0).number),
                                      .remaining = static_cast<int>(reply->at(1).number),
                                      .until_next = Milliseconds(reply->at(2).number),
                                      .until_full = Milliseconds(reply->at(3).number)}
                         : TurnAnswer();
               note_place(worker, ticket, answer.kind != TurnAnswer::Kind::yes);
               if (!reply) return done(reply.error());
               done(answer);
             });
}

void RedisStore::take_probe(KeyBan::Kind kind, const std::string& name, TimePoint deadline,
                            Callback<Milliseconds> done) {
  Worker& worker = impl_->worker;
  // So that Redis answers by it.
  worker.tell_first(kind, name);
  worker.add({Script::take_probe,
              {std::to_string(static_cast<int>(kind)) + name, worker.new_stamp(),
               std::to_string(worker.options().lease.count())}},
             deadline, when_read(std::move(done), [](const Reply& reply) {
               return Result<Milliseconds, StoreError>(Milliseconds(reply.number));
             }));
}

std::uint64_t RedisStore::absences() const { return impl_->worker.absences(); }
std::vector<RunId> RedisStore::members() const { return impl_->worker.members(); }
std::string RedisStore::tell(const KeyBan& ban) {
  KeyBan told = ban;
  told.stamp = impl_->worker.new_stamp();
  impl_->worker.tell(told);
  return told.stamp;
}
void RedisStore::lift(KeyBan::Kind kind, const std::string& name) {
  impl_->worker.lift(kind, name);
}
std::vector<KeyBan> RedisStore::bans() const { return impl_->worker.bans(); }
std::uint64_t RedisStore::news() const { return impl_->worker.news(); }
void RedisStore::cancel(const RunId& run) { impl_->worker.cancel(run); }
void RedisStore::on_cancel(const std::function<void(const RunId&)>& heard) {
  impl_->worker.on_cancel(heard);
}

// Who waits for a place at an account waits on; but a client whose turn is not back yet is refused.
void RedisStore::give_back(const std::string& account, const std::string& ticket) {
  if (!impl_->worker.drop_place(ticket)) return;
  const bool is_turn = account.starts_with(place_of(""));
  impl_->worker.add(
      {.words = {"ZREM", "falproxy:places:" + account, ticket}}, no_deadline,
      [](const Result<Reply, StoreError>&) {}, is_turn ? Durability::durable : Durability::lazy);
}

}  // namespace falproxy::inline v0
