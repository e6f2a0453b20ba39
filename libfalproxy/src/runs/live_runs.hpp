// live_runs.hpp: runs that somebody may ask for by their id while this process runs them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/state_store.hpp"
#include "runs/recorder.hpp"

namespace falproxy::inline v0::runs {

/// One of them. Thread-safe.
class LiveRun final : public Progress {
 public:
  LiveRun(const RunId& id, std::string owner, Clock& clock,
          std::function<void(const Underway&)> on_taken)
      : id_(id), owner_(std::move(owner)), clock_(clock), on_taken_(std::move(on_taken)) {}

  void accepted(const Underway& underway) override;
  void queued(std::optional<int> position) override;
  void running() override;

  [[nodiscard]] const RunId& id() const noexcept { return id_; }
  [[nodiscard]] const std::string& owner() const noexcept { return owner_; }
  /// Whether a runner of fal's works on it.
  [[nodiscard]] bool is_running() const;
  [[nodiscard]] std::optional<int> queue_position() const;
  /// `percent`, or what was told before if that is more.
  [[nodiscard]] int tell_progress(int percent);

  /// Asks it to end. See wait().
  void cancel() { cancel_.request_stop(); }
  [[nodiscard]] std::stop_token cancelled() const { return cancel_.get_token(); }
  /// The store has it.
  void note();
  /// False: it ended before it was noted.
  [[nodiscard]] bool wait_for_note();
  /// What it came to is noted.
  void end();
  /// False: it has not ended until then.
  [[nodiscard]] bool wait(TimePoint until);

 private:
  const RunId id_;
  const std::string owner_;
  Clock& clock_;
  const std::function<void(const Underway&)> on_taken_;
  std::stop_source cancel_;
  mutable std::mutex mutex_;
  std::optional<int> position_;
  int told_ = 0;
  bool running_ = false, noted_ = false, ended_ = false;
  Bell changed_;
};

/// Thread-safe.
class LiveRuns {
 public:
  /// As long as it lives, the run is found.
  using Place = std::unique_ptr<LiveRun, std::function<void(LiveRun*)>>;

  struct Entry {
    Place place = nullptr;  ///< null: it, or an equal one of the same owner, runs already
    std::shared_ptr<LiveRun> equal = nullptr;  ///< that one; null: its wish is another one
  };
  /// Equal are those with the same Idempotency-Key, and of a repeat those with the same digest.
  [[nodiscard]] Entry enter(const Asked& asked, const RunId& id, Clock& clock);
  [[nodiscard]] std::shared_ptr<LiveRun> find(const std::string& owner, const RunId& id) const;

  /// Whoever the owner is; nothing, if it is not here.
  void cancel(const RunId& id) const;

  /// How long fal worked on a job of that endpoint.
  void note_duration(const std::string& endpoint, std::chrono::microseconds time);
  /// As others took; none: nothing is known.
  [[nodiscard]] std::optional<double> usual_seconds(const std::string& endpoint) const;

 private:
  struct Kept {
    std::shared_ptr<LiveRun> run;
    std::vector<std::string> keys;  // of equal_
  };
  void leave(const RunId& id);

  mutable std::mutex mutex_;
  std::map<RunId, Kept> runs_;
  std::multimap<std::string, std::pair<RunId, Digest>> equal_;  // by owner, and key or digest
  std::map<std::string, double> durations_;                     // as many as there are endpoints
};

}  // namespace falproxy::inline v0::runs
