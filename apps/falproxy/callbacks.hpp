// callbacks.hpp: tells clients of the end of their asynchronous requests, as Standard Webhooks
// (standardwebhooks.com) says.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "background.hpp"
#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/http.hpp"
#include "falproxy/log.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"
#include "later.hpp"
#include "media_store/media_keeper.hpp"

namespace falproxy::app {

/// What is sent for the end of a run. `seconds`: Unix time, of this attempt.
[[nodiscard]] HttpRequest callback_request(const RunStatus& status, const Callback& callback,
                                           const Codecs& codecs, std::int64_t seconds);

/// Thread-safe.
class Callbacks {
 public:
  struct Parts {
    Runner& runner;
    Transport& transport;
    Clock& clock;
    const Codecs& codecs;
    Background& background;
    MediaKeeper* media;  ///< null: no files are kept
    LogLine log;
  };
  Callbacks(Parts parts, const Settings& settings) : parts_(std::move(parts)) { reload(settings); }
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  void reload(const Settings& settings);
  /// A run has ended whose end is to be told.
  void wake();
  /// On a fiber, until `stop`. What an earlier process did not tell is told, too.
  void run(const std::stop_token& stop);

 private:
  struct Attempts {
    std::size_t made = 0;
    TimePoint next = {};
  };

  /// Until when nothing is to be done.
  [[nodiscard]] TimePoint tell_due();
  void tell(const RunStatus& status, const std::stop_token& stop);
  /// Why it is to be told another time; empty: it is told, or never will be.
  [[nodiscard]] std::string attempt(RunStatus status, const std::stop_token& stop);

  const Parts parts_;
  std::mutex mutex_;
  Bell woken_;
  bool is_woken_ = true;
  fal::MediaHosts hosts_;
  std::string origin_;  // of kept files; empty: not known
  bool calls_anybody_ = false;
  std::map<RunId, Attempts> attempts_;  // of what is not told yet
  std::set<RunId> under_way_;
};

}  // namespace falproxy::app
