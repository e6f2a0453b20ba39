// worker.hpp: the thread that talks with Redis: what waits goes at once, each call has a bound, and
// after failures nobody waits at all.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/redis_store.hpp"
#include "link.hpp"

namespace falproxy::inline v0::redis {

/// A command, or a script with its arguments.
struct Call {
  std::optional<Script> script = {};
  std::vector<std::string> words = {};
};

/// Thread-safe.
class Worker {
 public:
  using Callback = std::function<void(Result<Reply, StoreError>)>;

  Worker(RedisStore::Options options, std::shared_ptr<const TlsContext> tls);
  /// Tries once, for at most RedisStore::Options::connect_bound, and begins.
  void start();
  /// No call comes any more.
  void end();

  /// `done` is called once, with an answer that is no error, or with why there is none. What is
  /// lazy goes with what comes next, after 20 ms at the latest; in its turn in any case.
  void add(Call call, TimePoint deadline, Callback done,
           Durability durability = Durability::durable);

  [[nodiscard]] StoreStatus status() const;
  [[nodiscard]] RedisStore::Traffic traffic() const;
  /// For status(): what Redis said of records.
  void note_records(std::int64_t records, std::int64_t open, std::uint64_t written);

  [[nodiscard]] const RunId& self() const noexcept { return options_.self; }
  [[nodiscard]] const RedisStore::Options& options() const noexcept { return options_; }
  [[nodiscard]] bool is_gone(const RunId& process) const;
  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::uint64_t departures() const;
  [[nodiscard]] std::uint64_t absences() const;
  [[nodiscard]] std::vector<RunId> members() const;
  /// @{
  /// As Peers says.
  void tell(const KeyBan& ban);
  void lift(KeyBan::Kind kind, const std::string& name);
  [[nodiscard]] std::vector<KeyBan> bans() const;
  [[nodiscard]] std::uint64_t news() const noexcept { return news_; }
  void cancel(const RunId& run);
  void on_cancel(std::function<void(const RunId&)> heard);
  /// @}
  /// A ban, or its end, that waits for a beat is told before the next command.
  void tell_first(KeyBan::Kind kind, const std::string& name);
  /// Another one each time.
  [[nodiscard]] std::string new_stamp();
  /// A place that is asked for: it is kept alive if it is given.
  void ask_for_place(const std::string& account, const std::string& ticket);
  /// It is given, or nobody knows: a Redis that has lost it gets it again. Nothing if it was
  /// dropped.
  void keep_place(const std::string& ticket);
  /// No longer; false: it was not.
  bool drop_place(const std::string& ticket);

 private:
  struct Operation {
    Call call;
    TimePoint deadline;
    Callback done;
  };
  using Guard = std::unique_lock<std::mutex>;
  using Batch = std::deque<Operation>;

  void run();
  void serve(Guard& guard);
  void put_back(Batch& batch);
  [[nodiscard]] Batch take_batch(Guard& guard);
  [[nodiscard]] bool open_link(Guard& guard, TimePoint deadline);
  void send(Guard& guard, Batch& batch);
  void finish(const Operation& operation, Result<Reply, StoreError> result);
  void beat(Guard& guard);
  struct News;
  [[nodiscard]] std::string beat_bytes(const News& news, std::size_t& count) const;
  void hear(Guard& guard, const Reply& answer, const News& told);
  void hurry();
  void probe(Guard& guard);
  void say_goodbye(Guard& guard);
  void failed(Guard& guard, const std::string& why);
  void worked(Guard& guard);
  void fail_all(Guard& guard, const StoreError& error);
  [[nodiscard]] StoreError down() const;
  [[nodiscard]] std::string formatted(const Call& call) const;

  const RedisStore::Options options_;
  Link link_;  // the thread's, and start()'s before

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Batch queue_;
  TimePoint go_at_ = TimePoint::max();    // when all of it is sent
  std::atomic<std::size_t> running_ = 0;  // that are no longer in the queue, and not done
  bool closing_ = false;
  int failures_ = 0;  // in a row
  bool is_down_ = false;
  TimePoint probe_at_, beat_at_;
  bool takes_places_again_ = true;  // the next beat
  std::string trouble_;
  RedisStore::Traffic traffic_;
  std::int64_t records_ = -1, open_ = 0;
  std::uint64_t written_ = 0;
  struct Place {
    std::string account;
    bool is_held = false;
  };
  std::map<std::string, Place> places_;  // by ticket
  std::set<RunId> members_;
  std::uint64_t departures_ = 0, absences_ = 0;
  std::optional<TimePoint> beaten_at_;   // when the last beat that was answered was sent
  std::map<std::string, KeyBan> bans_;   // by kind and name; a copy of all, this one's included
  std::map<std::string, bool> to_tell_;  // of those: is it still on?
  std::atomic<std::uint64_t> news_ = 0;
  std::uint64_t stamps_ = 0;
  std::set<RunId> to_cancel_;
  std::mutex hearing_;  // taken before mutex_
  std::function<void(const RunId&)> on_cancel_;
  TimePoint heard_since_;                          // without a pause
  std::uint64_t beats_ = 0;                        // that were answered
  mutable std::map<RunId, std::uint64_t> missed_;  // not among the members, since which beat
  std::thread thread_;
};

}  // namespace falproxy::inline v0::redis
