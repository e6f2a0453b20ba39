// A model of what replicas do with a shared store, in virtual time: random histories with delays,
// lost messages, crashes and failovers that forget the last writes. The model has the steps of a
// claim, a charge and a place, and none of their code: it shows what the protocol promises. It has
// no replica that is cut off alone, no taking over, no settlement and no handing over.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace falproxy {
namespace {

using Time = std::int64_t;  // milliseconds

constexpr Time bound = 25, lease = 30'000, heartbeat = 5'000, ask_again = 25;
constexpr int limit = 4, price = 7, budget = 50;

// What the store keeps; a failover goes back to an older copy.
struct Store {
  std::map<int, int> claims;   // key to replica
  std::map<int, Time> places;  // ticket to expiry
  std::map<int, int> whose;    // ticket to replica
  int spent = 0;

  bool claim(int key, int replica) { return claims.try_emplace(key, replica).second; }
  bool take(int ticket, int replica, Time now) {
    std::erase_if(places, [&](const auto& place) { return place.second <= now; });
    if (!places.contains(ticket) && places.size() >= static_cast<std::size_t>(limit)) return false;
    places[ticket] = now + lease;
    whose[ticket] = replica;
    return true;
  }
  bool charge() {
    if (spent + price > budget) return false;
    spent += price;
    return true;
  }
};

// How wild a history is.
struct Weather {
  int lost_percent = 0;  // of messages, each way
  int slow_percent = 0;  // of messages, that come after the bound
  int crashes = 0;
  int failovers = 0;
};

class World {
 public:
  World(unsigned seed, const Weather& weather) : random_(seed), weather_(weather) {
    for (int i = 0; i < weather_.crashes; ++i)
      at(below(20'000), [this] { crash(below(replicas)); });
    for (int i = 0; i < weather_.failovers; ++i) {
      const Time when = below(20'000);
      at(when, [this] { older_ = store_; });
      at(when + 1 + below(500), [this] { fail_over(); });
    }
    for (int job = 0; job < jobs; ++job)
      at(below(10'000), [this] { arrive(below(keys), below(replicas)); });
    for (int replica = 0; replica < replicas; ++replica) {
      alive_[replica] = true;
      for (Time when = heartbeat; when < 120'000; when += heartbeat)
        at(when, [this, replica] { beat(replica); });
    }
  }

  void run() {
    while (!events_.empty()) {
      const auto [when, number] = events_.top();
      events_.pop();
      now_ = when;
      const auto event = std::move(actions_.at(number));
      actions_.erase(number);
      event();
    }
  }

  static constexpr int replicas = 3, keys = 8, jobs = 24;

  std::map<int, int> submits;  // by key
  std::set<int> begun_alone;   // keys, while the store could not be asked
  std::set<int> forgotten;     // keys whose claim a failover lost
  int most_running = 0;        // by the rules, at once
  int most_excused = 0;        // beside them: see excused()
  int submitted_within_budget = 0, lost_charges = 0, unknown_charges = 0;

 private:
  using Event = std::function<void()>;
  struct Job {
    int key, replica, ticket;
    bool alone = false;  // it has no place that the store knows of
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool happens(int percent) { return below(100) < percent; }
  void at(Time when, Event event) {
    events_.emplace(when, next_);
    actions_.emplace(next_++, std::move(event));
  }

  // A call of the store: `step` is done there, unless the call is lost; `hear` has its answer, or
  // none after the bound.
  template <class Answer>
  void ask(int replica, std::function<Answer()> step,
           std::function<void(std::optional<Answer>)> hear) {
    const Time there = happens(weather_.slow_percent) ? bound + below(2'000) : below(4);
    const Time back = happens(weather_.slow_percent) ? bound + below(2'000) : below(4);
    const bool arrives = !happens(weather_.lost_percent), returns = !happens(weather_.lost_percent);
    const bool in_time = arrives && returns && there + back < bound;
    const Time asked = now_;
    if (arrives) {
      at(asked + there, [this, replica, back, in_time, step, hear] {
        const Answer answer = step();
        if (!in_time) return;
        at(now_ + back, [this, replica, answer, hear] {
          if (alive_[replica]) hear(answer);
        });
      });
    }
    if (in_time) return;
    at(asked + bound, [this, replica, hear] {
      if (alive_[replica]) hear(std::nullopt);
    });
  }

  void arrive(int key, int replica) {
    if (!alive_[replica] || known_[replica].contains(key)) return;
    ask<bool>(
        replica, [this, key, replica] { return store_.claim(key, replica); },
        [this, key, replica](std::optional<bool> claimed) {
          if (claimed && !*claimed) return;  // another one's: its job is followed
          if (known_[replica].contains(key)) return;
          if (!claimed) begun_alone.insert(key);
          known_[replica].insert(key);
          pay({key, replica, ++tickets_});
        });
  }

  void pay(const Job& job) {
    ask<bool>(
        job.replica, [this] { return store_.charge(); },
        [this, job](std::optional<bool> paid) {
          if (!paid) ++unknown_charges;  // the key's row refuses
          if (paid && *paid) seek_place(job);
        });
  }

  void seek_place(Job job) {
    held_[job.replica].insert(job.ticket);
    ask<bool>(
        job.replica, [this, job] { return store_.take(job.ticket, job.replica, now_); },
        [this, job](std::optional<bool> taken) mutable {
          if (taken && !*taken) held_[job.replica].erase(job.ticket);
          job.alone = !taken;
          const int share = std::max(1, limit / replicas);
          if ((taken && *taken) || (!taken && running_of(job.replica) < share)) return begin(job);
          if (!taken) give_back(job);
          at(now_ + ask_again, [this, job] {
            if (!alive_[job.replica]) return;
            Job again = job;
            again.ticket = ++tickets_;
            seek_place(again);
          });
        });
  }

  void begin(const Job& job) {
    ++submits[job.key];
    ++submitted_within_budget;
    running_.push_back(job);
    count();
    at(now_ + 200 + below(3'000), [this, job] {
      std::erase_if(running_, [&](const Job& other) { return other.ticket == job.ticket; });
      if (alive_[job.replica]) give_back(job);
    });
  }

  void give_back(const Job& job) {
    held_[job.replica].erase(job.ticket);
    ask<bool>(
        job.replica, [this, job] { return store_.places.erase(job.ticket) > 0; },
        [](std::optional<bool>) {});
  }

  void beat(int replica) {
    if (!alive_[replica]) return;
    const std::set<int> tickets = held_[replica];
    ask<bool>(
        replica,
        [this, tickets] {
          for (const int ticket : tickets) {
            const auto place = store_.places.find(ticket);
            if (place != store_.places.end() && place->second > now_) place->second = now_ + lease;
          }
          return true;
        },
        [](std::optional<bool>) {});
  }

  void crash(int replica) { alive_[replica] = false; }

  void fail_over() {
    for (const auto& [key, replica] : store_.claims) {
      if (!older_.claims.contains(key)) forgotten.insert(key);
    }
    for (const auto& [ticket, expiry] : store_.places) {
      if (!older_.places.contains(ticket)) lost_tickets_.insert(ticket);
    }
    lost_charges += std::max(0, store_.spent - older_.spent) / price;
    store_ = older_;
  }

  int running_of(int replica) const {
    return static_cast<int>(std::ranges::count(running_, replica, &Job::replica));
  }
  // What the rules leave out: begun while the store was silent, of a replica that is dead, or with
  // a ticket that a failover lost.
  bool is_excused(const Job& job) const {
    return job.alone || !alive_.at(job.replica) || lost_tickets_.contains(job.ticket);
  }
  void count() {
    const auto excused = static_cast<int>(
        std::ranges::count_if(running_, [this](const Job& job) { return is_excused(job); }));
    most_excused = std::max(most_excused, excused);
    most_running = std::max(most_running, static_cast<int>(running_.size()) - excused);
  }

  std::mt19937 random_;
  const Weather weather_;
  Time now_ = 0;
  int next_ = 0, tickets_ = 0;
  std::priority_queue<std::pair<Time, int>, std::vector<std::pair<Time, int>>, std::greater<>>
      events_;
  std::map<int, Event> actions_;
  Store store_, older_;
  std::map<int, bool> alive_;
  std::map<int, std::set<int>> known_, held_;
  std::set<int> lost_tickets_;
  std::vector<Job> running_;
};

int histories() {
  const char* const wanted = std::getenv("FALPROXY_HISTORIES");
  return wanted != nullptr ? std::atoi(wanted) : 2'000;
}

}  // namespace

TEST_CASE("whatever happens, the protocol keeps what docs/cluster.md promises") {
  const std::vector<Weather> weathers = {
      {},
      {.slow_percent = 5},
      {.lost_percent = 5, .slow_percent = 5},
      {.lost_percent = 40, .slow_percent = 20},
      {.crashes = 2},
      {.failovers = 2},
      {.lost_percent = 10, .slow_percent = 10, .crashes = 1, .failovers = 2},
  };
  for (int history = 0; history < histories(); ++history) {
    const Weather& weather = weathers[static_cast<std::size_t>(history) % weathers.size()];
    World world(static_cast<unsigned>(history), weather);
    world.run();
    CAPTURE(history);
    for (const auto& [key, count] : world.submits) {
      const bool is_certain = !world.begun_alone.contains(key) && !world.forgotten.contains(key);
      if (is_certain) REQUIRE(count <= 1);
      REQUIRE(count <= World::replicas);
    }
    REQUIRE(world.most_running <= limit);
    const bool is_calm =
        weather.lost_percent + weather.slow_percent + weather.crashes + weather.failovers == 0;
    if (is_calm) {
      REQUIRE(world.most_excused == 0);
      REQUIRE(world.begun_alone.empty());
    }
    // What a failover has lost of the budget may be spent again, and nothing else.
    REQUIRE(world.submitted_within_budget <= budget / price + world.lost_charges);
  }
}

}  // namespace falproxy
