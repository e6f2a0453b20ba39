// driver.hpp: runs jobs over the transport, the clock and the key ring: does what a Job says and
// tells it what came of it.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string_view>
#include <vector>

#include "falproxy/executor.hpp"
#include "falproxy/runner.hpp"
#include "runs/job.hpp"

namespace falproxy::inline v0::runs {

/// What all requests count together. See Runner::Counters.
struct Tally {
  std::atomic<std::uint64_t> submits{0}, repeated{0}, accepted{0};
  std::atomic<std::uint64_t> results{0}, cancels{0}, failures{0}, abandoned{0};
  std::atomic<std::uint64_t> resumed{0}, recovered{0}, upstream_faults{0};
  std::atomic<int> streams_held{0}, polling{0};

  void add(const JobReceipt& receipt, Fate fate) noexcept;
  [[nodiscard]] Runner::Counters read() const noexcept;
};

/// How long somebody waits for a request, and whether anybody still does. Shared by the threads of
/// one request and those that repeat it.
class Patience {
 public:
  Patience(TimePoint deadline, std::stop_token stop, std::function<bool()> client_left = {},
           Milliseconds repeat_hold = {})
      : deadline_(deadline),
        stop_(std::move(stop)),
        client_left_(std::move(client_left)),
        repeat_hold_(repeat_hold) {}

  /// Of the thread that runs the request, and those that it starts.
  [[nodiscard]] TimePoint deadline() const {
    const TimePoint given = deadline_.load();
    return client_left_ && client_left_() ? given + repeat_hold_ : given;
  }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }
  void extend(TimePoint deadline) noexcept;
  /// When it is stopped, fal is to go on with the jobs.
  void leave() noexcept { leaves_.store(true); }
  [[nodiscard]] bool leaves() const noexcept { return leaves_.load(); }

 private:
  std::atomic<TimePoint> deadline_;
  std::stop_token stop_;
  const std::function<bool()> client_left_;
  const Milliseconds repeat_hold_;
  std::atomic<bool> leaves_{false};
};

/// The world as jobs meet it.
struct World {
  const Runner::Parts& parts;
  const Runner::Options& options;
  Tally& tally;

  /// Unix time in seconds.
  [[nodiscard]] std::int64_t unix_seconds() const {
    const auto since = parts.clock.wall_now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(since).count();
  }

  /// For jitter.
  [[nodiscard]] double random() const { return parts.random ? parts.random() : 0.5; }

  /// See RunObserver::begin(); null: nobody wants to hear of it.
  [[nodiscard]] std::unique_ptr<StageObserver> begin_stage(
      std::string_view name, std::string_view endpoint = {}) const noexcept;

  /// `line()` is only made where somebody reads it.
  void debug(std::invocable auto&& line) const {
    if (options.debug) options.debug(line());
  }
};

/// Tells the key ring what fal said of a key, and the operator where that makes a difference.
void report_key(const World& world, KeyLease& lease, const KeyReport& report);

/// One exchange whose answer has at most `max_bytes`, which count as they come. Faults are counted,
/// and told to the debug log.
[[nodiscard]] Result<event::Answered, event::NoAnswer> exchange(const World& world,
                                                                const HttpRequest& request,
                                                                TimePoint deadline,
                                                                std::stop_token stop,
                                                                std::size_t max_bytes);

/// A partial picture of a model's own stream: one of its events, as JSON.
using OnPartial = std::function<void(std::shared_ptr<const std::string>)>;

/// Hears of the jobs of one request, on the thread of each; whatever is empty hears nothing.
struct JobWatch {
  /// fal's request id, as soon as it is known.
  std::function<void(std::string_view)> accepted = {};
  /// The queue has taken the job of one of the inputs, with the key of that fingerprint.
  std::function<void(std::size_t, const fal::Submitted&, const std::string&)> taken = {};
  /// The model prints that so many percent of the job of one of the inputs are done, more than the
  /// last time; see JobPolicy::reads_logs.
  std::function<void(std::size_t, int)> worked = {};
  /// Before the job's result is asked for, or it is cancelled.
  std::function<void()> before_end = {};
  /// Of the first job alone: the indexes of partial pictures count through one picture.
  OnPartial partial = {};
  std::function<void(std::size_t, Job&)> ended = {};  ///< which of the inputs was its own
};

/// What a job begins with.
struct JobStart {
  Body input;                                    ///< nothing if it is taken
  std::optional<TakenJob> taken = std::nullopt;  ///< fal has it already
};

/// Runs one job for each input: one on the calling thread, several side by side. One that fails
/// does not disturb the others; when `patience` ends all are cancelled. Whatever throws meanwhile
/// ends its job, and is told in its end. A job may go on for half a minute after `patience` has
/// ended, with a submit that may have arrived or a result that is paid for. An input is let go as
/// soon as fal has it. `progress` is called from several threads at once.
void run_jobs(const World& world, const JobPolicy& policy, std::vector<JobStart> starts,
              const Patience& patience, Progress* progress, const JobWatch& watch);

}  // namespace falproxy::inline v0::runs
