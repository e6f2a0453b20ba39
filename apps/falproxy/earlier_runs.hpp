// earlier_runs.hpp: runs at fal that another process, or a request that has ended, has begun and no
// longer follows.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "background.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/state_store.hpp"
#include "media_store/media_keeper.hpp"
#include "native_jobs.hpp"
#include "rate_limit.hpp"

namespace falproxy::app {

class EarlierRuns {
 public:
  struct Parts {
    Runner& runner;
    StateStore& store;
    const Peers* peers;  ///< who shares the store; null: nobody
    Clock& clock;
    Background& background;
    NativeJobs& native_jobs;  ///< are gone on with, too
    MediaKeeper* media;       ///< null: files are not kept
    /// Counts a run of that owner as one that goes on without its request.
    std::function<Place(const std::string& owner)> count;
    LogLine log;
  };
  explicit EarlierRuns(Parts parts);

  /// On a fiber. Follows what an earlier process has left, to its end; if several share the store,
  /// also what one of them leaves meanwhile, until `stop`.
  void run(const std::stop_token& stop);
  /// On a fiber; does not wait. Follows a run that Runner::Parts::unfollowed tells of, in the
  /// background.
  void take_up(RunRecord record);

 private:
  // So many at once; the others wait for their turn.
  static constexpr std::size_t most_followed = 1'000, most_waiting = 10'000;
  struct Left {
    RunRecord record;
    Place place;
    bool is_untold = false;  // it has given its place among those that are followed to another one
  };

  [[nodiscard]] bool begin_with(const std::shared_ptr<Left>& first);
  void follow(Left& left, const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<Left> next_left();
  void give_back_place();
  // False: there is no room for it.
  [[nodiscard]] bool resume_native_jobs();
  void follow(const std::stop_token& stop);
  [[nodiscard]] std::vector<RunRecord> open_runs() const;
  void keep_files_of(const std::vector<RunRecord>& records) const;
  void tell(const Recovered& runs) const;

  const Parts parts_;
  std::atomic<bool> is_resuming_ = false;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Left>> waiting_;
  std::size_t followed_ = 0;
};

}  // namespace falproxy::app
