// queue.hpp: the jobs of falsim, from submit to end, as functions of time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "documents.hpp"
#include "falproxy/fal_desk.hpp"

namespace falproxy::inline v0::testing {

enum class JobState { in_queue, in_progress, completed };

/// How a job ended.
struct Outcome {
  int status = 200;        ///< what fetching the result is answered with
  std::string body = {};   ///< of a failure
  std::string error = {};  ///< in the status, where the failure shows there
  std::string error_type = {};
  bool invalid_input = false;  ///< fal bills nothing
  bool user_timeout = false;   ///< X-Fal-Request-Timeout passed
};

struct Job {
  std::string id;
  const Model* model = nullptr;
  std::string app;  ///< [namespace/]owner/alias
  std::string key;
  nlohmann::json input;
  std::string prompt;
  std::int64_t seed = 0;
  JobChange change;
  Milliseconds queue_time{0};
  Milliseconds job_time{0};
  std::string access = {};  ///< to its files: "forbid", "hide", or empty: anybody's
  bool direct = false;      ///< of fal.run: not in the queue, and not to be found by its id

  JobState state = JobState::in_queue;
  std::uint64_t place = 0;  ///< among all jobs that ever waited for this app
  TimePoint started{};
  TimePoint ended{};
  std::chrono::system_clock::time_point calendar_started{};
  std::optional<Outcome> outcome;
  bool cancelled = false;
  bool fetched = false;

  /// Of a job that has ended, the whole; else what has passed by `now`.
  [[nodiscard]] double inference_seconds(TimePoint now) const {
    return std::chrono::duration<double>((state == JobState::completed ? ended : now) - started)
        .count();
  }
};

/// `[namespace/]owner/alias` of an endpoint id.
[[nodiscard]] std::string_view app_of(std::string_view endpoint);

class Queue {
 public:
  using Observer = std::function<void(const std::shared_ptr<Job>&)>;

  /// `changed` is called after each change of a job's state, and never from within submit().
  Queue(Timeline& timeline, DeskStats& stats, int slots_per_key, Observer changed)
      : timeline_(timeline),
        stats_(stats),
        slots_per_key_(slots_per_key),
        changed_(std::move(changed)) {}

  /// Takes a job in; id and place are given here. A job without queue and job time is completed on
  /// return.
  void submit(const std::shared_ptr<Job>& job, std::optional<double> start_timeout_seconds);
  /// None where the id is unknown or belongs to another app.
  [[nodiscard]] std::shared_ptr<Job> find(std::string_view id, std::string_view app) const;
  /// The same of whatever app.
  [[nodiscard]] std::shared_ptr<Job> find(std::string_view id) const;
  /// False: there is none.
  bool forget(std::string_view id);
  /// False: the job has ended already.
  [[nodiscard]] bool cancel(const std::shared_ptr<Job>& job);
  /// How many jobs of the app are before this one, about.
  [[nodiscard]] std::size_t position(const Job& job) const;
  /// Jobs of the app that wait.
  [[nodiscard]] std::size_t waiting(std::string_view app) const;
  /// A job of fal.run may start now.
  [[nodiscard]] bool has_slot(const std::string& key) const;

 private:
  struct Account {
    int running = 0;
    std::deque<std::shared_ptr<Job>> waiting;
  };
  struct Line {
    std::uint64_t joined = 0;
    std::uint64_t left = 0;
  };

  void ready(const std::shared_ptr<Job>& job);
  void start(const std::shared_ptr<Job>& job);
  void finish(const std::shared_ptr<Job>& job);
  void end(const std::shared_ptr<Job>& job, Outcome outcome);
  void leave_line(const Job& job);
  void start_next(const std::string& key);
  void tell(const std::shared_ptr<Job>& job) {
    if (!submitting_) changed_(job);
  }
  [[nodiscard]] std::string new_id();

  Timeline& timeline_;
  DeskStats& stats_;
  int slots_per_key_;
  Observer changed_;
  bool submitting_ = false;
  bool starting_ = false;
  std::mt19937_64 random_{std::random_device{}()};
  std::unordered_map<std::string, std::shared_ptr<Job>> jobs_;
  std::deque<std::string> ended_;  // ids in order of their end: the oldest are forgotten first
  std::map<std::string, Account, std::less<>> accounts_;
  std::map<std::string, Line, std::less<>> lines_;  // by app
};

}  // namespace falproxy::inline v0::testing
