#include "worker.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "state/query.hpp"
#include "values.hpp"

namespace falproxy::inline v0::redis {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t most_at_once = 1'000;
constexpr std::size_t most_bytes_at_once = 4u << 20;
constexpr int failures_to_open = 5;
constexpr Seconds between_probes{1};
constexpr Milliseconds before_another_try{2};
constexpr Milliseconds longest_lazy_wait{20};
constexpr std::size_t places_a_command = 1'000;
constexpr std::size_t most_missed = 10'000;
// Between two beats that come before their time.
constexpr Milliseconds between_news{250};
// Bans, and cancels, that wait to be told.
constexpr std::size_t most_to_tell = 1'000;

StoreError closed() { return {StoreFault::closed, "The store is closing."}; }

// Redis has not begun with what it answers so.
bool is_refused_for_now(const Reply& reply) {
  if (reply.kind != Reply::Kind::error) return false;
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"LOADING", "MASTERDOWN", "READONLY", "NOSCRIPT"},
      [&](std::string_view word) { return reply.text.starts_with(word); });
}

StoreError error_of(const Reply& reply) {
  for (const char* word : {"MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT"}) {
    if (reply.text.starts_with(word)) {
      return {StoreFault::unavailable,
              "STATE_URL names a Redis Cluster, which is not supported; name a single node or "
              "Sentinels."};
    }
  }
  return {StoreFault::unavailable, refusal_of(reply)};
}

RunId process_in(std::string_view text) { return RunId::parse(text).value_or(RunId()); }

}  // namespace

Worker::Worker(RedisStore::Options options, std::shared_ptr<const TlsContext> tls)
    : options_(std::move(options)), link_(options_.address, std::move(tls)) {}

void Worker::start() {
  {
    Guard guard(mutex_);
    probe_at_ = beat_at_ = Steady::now();
    if (open_link(guard, Steady::now() + options_.connect_bound)) {
      beat(guard);
    } else {
      is_down_ = true;
      probe_at_ = Steady::now() + between_probes;
    }
  }
  thread_ = std::thread([this] { run(); });
}

void Worker::end() {
  {
    const std::lock_guard guard(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::add(Call call, TimePoint deadline, Callback done, Durability durability) {
  StoreError refused;
  {
    const std::lock_guard guard(mutex_);
    const TimePoint now = Steady::now();
    if (!closing_ && deadline > now && !is_down_ &&
        queue_.size() + running_ < options_.max_waiting) {
      const TimePoint go = durability == Durability::lazy ? now + longest_lazy_wait : now;
      queue_.push_back(
          {std::move(call), std::min(deadline, go + options_.address.bound), std::move(done)});
      if (go >= go_at_) return;
      go_at_ = go;
      changed_.notify_one();
      return;
    }
    if (closing_) {
      refused = closed();
    } else if (deadline <= now) {
      refused = too_late();
    } else if (is_down_) {
      refused = down();
    } else {
      refused = {StoreFault::overloaded,
                 fmt::format("{} operations wait for Redis already.", queue_.size() + running_)};
    }
  }
  done(std::move(refused));
}

StoreError Worker::down() const {
  return {StoreFault::unavailable, trouble_.empty() ? "Redis cannot be used now." : trouble_};
}

std::string Worker::formatted(const Call& call) const {
  if (!call.script) return command_of(call.words);
  std::vector<std::string> words{"EVALSHA", link_.name_of(*call.script), "0"};
  std::ranges::copy(call.words, std::back_inserter(words));
  return command_of(words);
}

void Worker::run() {
  Guard guard(mutex_);
  while (!closing_) {
    const TimePoint now = Steady::now();
    if (is_down_) {
      if (now >= probe_at_) {
        probe(guard);
      } else {
        changed_.wait_until(guard, probe_at_, [this] { return closing_; });
      }
    } else if (now >= beat_at_) {
      beat(guard);
    } else if (now >= go_at_) {
      serve(guard);
    } else {
      const TimePoint until = std::min(beat_at_, go_at_);
      changed_.wait_until(guard, until,
                          [this, until] { return closing_ || std::min(beat_at_, go_at_) < until; });
    }
  }
  const TimePoint end = Steady::now() + 2 * options_.address.bound;
  while (!queue_.empty() && !is_down_ && Steady::now() < end) serve(guard);
  fail_all(guard, closed());
  say_goodbye(guard);
}

Worker::Batch Worker::take_batch(Guard& guard) {
  Batch batch, late;
  const TimePoint now = Steady::now();
  while (!queue_.empty() && batch.size() < most_at_once) {
    (queue_.front().deadline > now ? batch : late).push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  running_ = batch.size();
  if (queue_.empty()) go_at_ = TimePoint::max();
  if (late.empty()) return batch;
  guard.unlock();
  for (const Operation& operation : late) operation.done(too_late());
  guard.lock();
  return batch;
}

void Worker::serve(Guard& guard) {
  Batch batch = take_batch(guard);
  if (batch.empty()) return;
  if (!link_.is_open() || link_.is_stale()) {
    if (!open_link(guard, Steady::now() + options_.address.bound)) {
      // Nothing was sent: it is tried again for as long as it may take.
      running_ = 0;
      put_back(batch);
      if (is_down_) return fail_all(guard, down());
      changed_.wait_for(guard, before_another_try, [this] { return closing_; });
      return;
    }
  }
  send(guard, batch);
}

// In front of what came meanwhile, and in its order.
void Worker::put_back(Batch& batch) {
  if (batch.empty()) return;
  std::move(batch.rbegin(), batch.rend(), std::front_inserter(queue_));
  go_at_ = Steady::now();
}

bool Worker::open_link(Guard& guard, TimePoint deadline) {
  guard.unlock();
  const Result<Done, LinkError> opened = link_.open(deadline);
  guard.lock();
  traffic_ = link_.traffic();
  if (!opened) {
    failed(guard, opened.error().message);
    return false;
  }
  // Places may be lost, and the others be heard of only later.
  takes_places_again_ = true;
  heard_since_ = beat_at_ = Steady::now();
  return true;
}

// It no longer waits when its callback hears of it.
void Worker::finish(const Operation& operation, Result<Reply, StoreError> result) {
  --running_;
  operation.done(std::move(result));
}

void Worker::send(Guard& guard, Batch& batch) {
  std::vector<Reply> answers;
  std::size_t count = 0;
  guard.unlock();
  std::string bytes;
  while (count < batch.size() && bytes.size() < most_bytes_at_once)
    bytes += formatted(batch[count++].call);
  const Result<Done, LinkError> said =
      link_.exchange(bytes, count, Steady::now() + options_.address.bound, answers);
  std::string refused;
  Batch again;
  for (std::size_t i = 0; i < count; ++i) {
    Operation& operation = batch[i];
    if (i >= answers.size()) {
      finish(operation,
             StoreError{said.error().timed_out ? StoreFault::timed_out : StoreFault::unavailable,
                        said.error().message, true});
    } else if (is_refused_for_now(answers[i])) {
      refused = refusal_of(answers[i]);
      again.push_back(std::move(operation));
    } else if (answers[i].kind == Reply::Kind::error) {
      finish(operation, error_of(answers[i]));
    } else {
      finish(operation, std::move(answers[i]));
    }
  }
  if (!refused.empty()) link_.close();
  std::move(batch.begin() + static_cast<std::ptrdiff_t>(count), batch.end(),
            std::back_inserter(again));
  guard.lock();
  running_ = 0;
  traffic_ = link_.traffic();
  put_back(again);
  if (!said) return failed(guard, said.error().message);
  if (refused.empty()) return worked(guard);
  failed(guard, refused);
  changed_.wait_for(guard, before_another_try, [this] { return closing_; });
}

// What a beat has to say beside that this process is there.
struct Worker::News {
  bool again = false;
  std::vector<std::pair<std::string, KeyBan>> bans = {};  // by kind and name
  std::set<std::string> lifted = {};
  std::vector<RunId> cancels = {};
  std::vector<std::pair<std::string, std::string>> places = {};
};

std::string Worker::beat_bytes(const News& news, std::size_t& count) const {
  std::string bytes;
  std::size_t at = 0;
  do {
    Call call{
        Script::beat,
        {options_.self.to_string(), std::to_string(options_.lease.count()), news.again ? "1" : ""}};
    std::vector<std::string>& words = call.words;
    const bool is_first = count == 0;
    words.push_back(std::to_string(is_first ? news.bans.size() + news.lifted.size() : 0));
    for (std::size_t i = 0; is_first && i < news.bans.size(); ++i) {
      const auto& [name, ban] = news.bans[i];
      const TimePoint now = Steady::now();
      const auto left = std::chrono::ceil<Milliseconds>(std::max(ban.until, now) - now);
      words.insert(words.end(), {name, ban.stamp, std::to_string(left.count())});
    }
    for (const std::string& name : is_first ? news.lifted : std::set<std::string>())
      words.insert(words.end(), {name, "", ""});
    words.push_back(std::to_string(is_first ? news.cancels.size() : 0));
    for (std::size_t i = 0; is_first && i < news.cancels.size(); ++i)
      words.push_back(bytes_of(news.cancels[i]));
    for (std::size_t i = 0; i < places_a_command && at < news.places.size(); ++i, ++at)
      words.insert(words.end(), {news.places[at].second, news.places[at].first});
    bytes += formatted(call);
    ++count;
  } while (at < news.places.size());
  return bytes;
}

void Worker::beat(Guard& guard) {
  const TimePoint began = Steady::now();
  beat_at_ = began + options_.beat;
  News news{.again = std::exchange(takes_places_again_, false)};
  for (const auto& [name, is_on] : to_tell_) {
    if (is_on) {
      news.bans.emplace_back(name, bans_.at(name));
    } else {
      news.lifted.insert(name);
    }
  }
  news.cancels.assign(to_cancel_.begin(), to_cancel_.end());
  for (const auto& [ticket, place] : places_) {
    // What is only asked for is not taken again.
    if (place.is_held || !news.again) news.places.emplace_back(ticket, place.account);
  }
  guard.unlock();
  std::size_t count = 0;
  const std::string bytes = beat_bytes(news, count);
  std::vector<Reply> answers;
  Result<Done, LinkError> said = LinkError{"Redis is not connected."};
  if (link_.is_open() && !link_.is_stale())
    said = link_.exchange(bytes, count, Steady::now() + options_.address.bound, answers);
  const auto refused = std::ranges::find_if(
      answers, [](const Reply& reply) { return reply.kind != Reply::Kind::list; });
  const bool is_refused = said && refused != answers.end();
  // Over a new connection the master is found, and scripts are loaded again.
  if (is_refused) link_.close();
  guard.lock();
  traffic_ = link_.traffic();
  if (!said || is_refused) {
    takes_places_again_ = true;
    // What broke may be open again a moment later.
    beat_at_ = Steady::now() + before_another_try;
    failed(guard, is_refused ? refusal_of(*refused) : said.error().message);
    if (!is_down_ && !link_.is_open())
      static_cast<void>(open_link(guard, Steady::now() + options_.address.bound));
    return;
  }
  if (beaten_at_ && began > *beaten_at_ + options_.lease) ++absences_;
  beaten_at_ = began;
  hear(guard, answers.back(), news);
  worked(guard);
}

// What came while the beat was under way is told with the next one.
void Worker::hear(Guard& guard, const Reply& answer, const News& told) {
  const std::set<RunId> before = std::exchange(members_, {});
  for (const Reply& member : answer.at(0).items) members_.insert(process_in(member.text));
  if (!std::ranges::includes(members_, before)) ++departures_;
  ++beats_;

  for (const auto& [name, ban] : told.bans) {
    const auto now = bans_.find(name);
    if (now != bans_.end() && now->second == ban) to_tell_.erase(name);
  }
  for (const std::string& name : told.lifted) {
    if (!bans_.contains(name)) to_tell_.erase(name);
  }
  std::map<std::string, KeyBan> bans;
  const std::vector<Reply>& words = answer.at(1).items;
  for (std::size_t i = 0; i + 2 < words.size(); i += 3) {
    const std::string& name = words[i].text;
    const int kind = name.empty() ? -1 : name.front() - '0';
    if (kind < 0 || kind > static_cast<int>(KeyBan::Kind::blocked) || to_tell_.contains(name))
      continue;
    std::int64_t left = 0;
    std::from_chars(words[i + 2].text.data(), words[i + 2].text.data() + words[i + 2].text.size(),
                    left);
    bans[name] = {static_cast<KeyBan::Kind>(kind), name.substr(1),
                  Steady::now() + Milliseconds(left), words[i + 1].text};
  }
  for (const auto& [name, is_on] : to_tell_) {
    if (is_on) bans[name] = bans_.at(name);
  }
  // That there are none is news, too, at first.
  if (std::exchange(bans_, std::move(bans)) != bans_ || beats_ == 1) ++news_;

  for (const RunId& run : told.cancels) to_cancel_.erase(run);
  if (answer.at(2).items.empty()) return;
  guard.unlock();
  {
    const std::lock_guard hearing(hearing_);
    for (const Reply& run : answer.at(2).items) {
      if (on_cancel_) on_cancel_(id_in(run.text));
    }
  }
  guard.lock();
}

// The next beat comes soon.
void Worker::hurry() {
  const TimePoint now = Steady::now();
  beat_at_ = std::min(beat_at_, beaten_at_ ? std::max(now, *beaten_at_ + between_news) : now);
  changed_.notify_all();
}

void Worker::probe(Guard& guard) {
  probe_at_ = Steady::now() + between_probes;
  if (!open_link(guard, Steady::now() + options_.connect_bound)) return;
  beat(guard);
  if (is_down_) return;
  guard.unlock();
  if (options_.on_return) options_.on_return();
  guard.lock();
}

void Worker::worked(Guard& guard) {
  failures_ = 0;
  if (!is_down_ && trouble_.empty()) return;
  is_down_ = false;
  trouble_.clear();
  guard.unlock();
  if (options_.log) options_.log(LogLevel::info, "Redis is used again.");
  guard.lock();
}

void Worker::failed(Guard& guard, const std::string& why) {
  ++failures_;
  const bool is_news = trouble_.empty();
  if (failures_ >= failures_to_open || is_news) trouble_ = why;
  if (failures_ >= failures_to_open && !is_down_) {
    is_down_ = true;
    probe_at_ = Steady::now() + between_probes;
    fail_all(guard, down());
  }
  guard.unlock();
  if (is_news && options_.log) options_.log(LogLevel::error, why);
  guard.lock();
}

void Worker::fail_all(Guard& guard, const StoreError& error) {
  const Batch all = std::exchange(queue_, {});
  go_at_ = TimePoint::max();
  guard.unlock();
  for (const Operation& operation : all) operation.done(error);
  guard.lock();
}

// Others need not wait until this process is gone.
void Worker::say_goodbye(Guard& guard) {
  if (is_down_ || !link_.is_open()) return;
  std::string bytes = command_of({"ZREM", "falproxy:members", options_.self.to_string()});
  std::size_t count = 1;
  for (const auto& [ticket, place] : places_) {
    bytes += command_of({"ZREM", "falproxy:places:" + place.account, ticket});
    ++count;
  }
  guard.unlock();
  std::vector<Reply> answers;
  static_cast<void>(link_.exchange(bytes, count, Steady::now() + options_.address.bound, answers));
  link_.close();
  guard.lock();
}

StoreStatus Worker::status() const {
  const std::lock_guard guard(mutex_);
  StoreStatus status{.name = "redis",
                     .open = static_cast<std::uint64_t>(std::max<std::int64_t>(open_, 0)),
                     .waiting = queue_.size() + running_,
                     .written = written_,
                     .commits = traffic_.trips};
  if (records_ >= 0) status.records = static_cast<std::uint64_t>(records_);
  if (is_down_) status.degraded = down().message;
  return status;
}

RedisStore::Traffic Worker::traffic() const {
  const std::lock_guard guard(mutex_);
  return traffic_;
}

void Worker::note_records(std::int64_t records, std::int64_t open, std::uint64_t written) {
  const std::lock_guard guard(mutex_);
  records_ = records;
  open_ = open;
  written_ += written;
}

bool Worker::is_gone(const RunId& process) const {
  if (process == RunId() || process == options_.self) return false;
  const std::lock_guard guard(mutex_);
  if (members_.contains(process)) {
    missed_.erase(process);
    return false;
  }
  // After an outage the others come back one by one.
  if (is_down_ || beats_ == 0 || Steady::now() < heard_since_ + options_.lease) return false;
  // It may have begun since the last beat.
  if (missed_.size() >= most_missed) missed_.clear();
  return beats_ > missed_.try_emplace(process, beats_).first->second;
}

std::size_t Worker::count() const {
  const std::lock_guard guard(mutex_);
  return std::max<std::size_t>(members_.size(), 1);
}

std::uint64_t Worker::departures() const {
  const std::lock_guard guard(mutex_);
  return departures_;
}

std::uint64_t Worker::absences() const {
  const std::lock_guard guard(mutex_);
  const bool is_absent = beaten_at_ && Steady::now() > *beaten_at_ + options_.lease;
  return absences_ + (is_absent ? 1 : 0);
}

std::vector<RunId> Worker::members() const {
  const std::lock_guard guard(mutex_);
  return {members_.begin(), members_.end()};
}

namespace {

std::string name_of_ban(KeyBan::Kind kind, const std::string& name) {
  return std::to_string(static_cast<int>(kind)) + name;
}

}  // namespace

std::string Worker::new_stamp() {
  const std::lock_guard guard(mutex_);
  return fmt::format("{}:{}", options_.self.to_string(), ++stamps_);
}

void Worker::tell(const KeyBan& ban) {
  const std::string name = name_of_ban(ban.kind, ban.name);
  const std::lock_guard guard(mutex_);
  if (to_tell_.size() >= most_to_tell && !to_tell_.contains(name)) return;
  bans_.insert_or_assign(name, ban);
  to_tell_.insert_or_assign(name, true);
  ++news_;
  hurry();
}

void Worker::lift(KeyBan::Kind kind, const std::string& name) {
  const std::string of = name_of_ban(kind, name);
  const std::lock_guard guard(mutex_);
  if (to_tell_.size() >= most_to_tell && !to_tell_.contains(of)) return;
  bans_.erase(of);
  to_tell_.insert_or_assign(of, false);
  ++news_;
  hurry();
}

void Worker::tell_first(KeyBan::Kind kind, const std::string& name) {
  const std::lock_guard guard(mutex_);
  if (to_tell_.contains(name_of_ban(kind, name))) beat_at_ = Steady::now();
}

std::vector<KeyBan> Worker::bans() const {
  const std::lock_guard guard(mutex_);
  std::vector<KeyBan> all;
  all.reserve(bans_.size());
  for (const auto& [name, ban] : bans_) all.push_back(ban);
  return all;
}

void Worker::cancel(const RunId& run) {
  const std::lock_guard guard(mutex_);
  if (is_down_ || to_cancel_.size() >= most_to_tell) return;
  to_cancel_.insert(run);
  hurry();
}

void Worker::on_cancel(std::function<void(const RunId&)> heard) {
  const std::lock_guard hearing(hearing_);
  on_cancel_ = std::move(heard);
}

void Worker::ask_for_place(const std::string& account, const std::string& ticket) {
  const std::lock_guard guard(mutex_);
  places_.try_emplace(ticket, Place{account});
}

void Worker::keep_place(const std::string& ticket) {
  const std::lock_guard guard(mutex_);
  if (const auto place = places_.find(ticket); place != places_.end()) place->second.is_held = true;
}

bool Worker::drop_place(const std::string& ticket) {
  const std::lock_guard guard(mutex_);
  return places_.erase(ticket) > 0;
}

}  // namespace falproxy::inline v0::redis
