// earlier_runs.hpp: runs at fal that another process, or a request that has ended, has begun and no
// longer follows.
#pragma once

#include <atomic>
#include <stop_token>
#include <vector>

#include "background.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/state_store.hpp"
#include "media_store/media_keeper.hpp"
#include "native_jobs.hpp"

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
  // False: there is no room for it.
  [[nodiscard]] bool resume_native_jobs();
  void follow(const std::stop_token& stop);
  [[nodiscard]] std::vector<RunRecord> open_runs() const;
  void keep_files_of(const std::vector<RunRecord>& records) const;
  void tell(const Recovered& runs) const;

  const Parts parts_;
  std::atomic<bool> is_resuming_ = false;
};

}  // namespace falproxy::app
