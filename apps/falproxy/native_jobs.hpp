// native_jobs.hpp: jobs that clients submit by fal's own API, from when fal has them until what
// they cost is known.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "background.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/http.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/state_store.hpp"
#include "keepsakes.hpp"

namespace falproxy::app {

/// fal takes nothing for what it has not taken, nor for what fails on its side: as of jobs that are
/// run here (runs/tab.cpp). `status`: of the job's answer; 0: there is none.
[[nodiscard]] constexpr bool may_be_billed(bool taken, int status) noexcept {
  return taken && status < 500;
}

/// What fal says that it bills; none: it says nothing.
[[nodiscard]] std::optional<double> units_in(const HttpHead& head);

/// Each job has a record in the state store, which is open until the job is settled, so that the
/// next process goes on with it. Thread-safe; waits for the store.
class NativeJobs {
 public:
  /// A job is known for so long; one that has not ended then is settled as it was estimated.
  static constexpr Seconds kept_for{24 * 3600};

  struct Parts {
    Runner& runner;
    StateStore& store;
    Budgets& budgets;
    Background& background;
    const Codecs& codecs;
    std::function<std::string()> queue_url;  ///< FAL_QUEUE_URL, as it is now
    const Peers* peers = nullptr;            ///< who shares the store; null: nobody
  };
  explicit NativeJobs(Parts parts) : parts_(std::move(parts)), keepsakes_(parts_.store, kind) {}

  /// Notes whose job it is, and follows it to its end: then `place` is given back, and what was
  /// reserved is settled by what fal says of its result. `record` names the job, its account and
  /// what is held for it. False: it cannot be noted, and is not followed.
  bool begin(const std::string& client, RunRecord record, std::shared_ptr<const KeyLease> place);
  /// None: nobody has it, or it is another client's. Errors: overloaded.
  [[nodiscard]] Result<std::optional<RunRecord>> find(const std::string& client,
                                                      const std::string& fal_request_id) const;
  /// It ended, or was cancelled, as somebody else has heard: fal is asked at once.
  void look_now(const std::string& fal_request_id);

  /// What became of a job.
  struct End {
    std::optional<double> units = std::nullopt;  ///< as fal told them
    bool may_be_billed = true;
  };
  /// By the answer to who asks for its result; none: it does not tell.
  [[nodiscard]] static std::optional<End> end_told_by(const HttpHead& result);
  /// Once for each job, whoever hears of its end; `record` as it was found.
  void settle(const std::string& client, RunRecord record, const End& end);

  /// Goes on with what other processes have left; returns when each has its fiber. On a fiber.
  void resume(const std::stop_token& stop);

 private:
  static constexpr std::string_view kind = native_surface;

  [[nodiscard]] RunId id_of(const std::string& fal_request_id) const {
    return run_id_of("fal request " + fal_request_id, parts_.codecs);
  }
  void follow(const std::string& client, RunRecord record, std::shared_ptr<const KeyLease> place);
  enum class Standing { runs, ended, cancelled, unknown };
  [[nodiscard]] Standing look(const RunRecord& record, const std::stop_token& stop) const;
  [[nodiscard]] std::stop_source waker_of(const RunId& id);
  [[nodiscard]] Standing wait_for_end(const RunRecord& record, const std::stop_token& stop);
  [[nodiscard]] std::optional<End> end_of(const RunRecord& record,
                                          const std::stop_token& stop) const;
  void settle_when_known(const std::string& client, const RunRecord& followed, Standing standing,
                         const std::stop_token& stop);
  [[nodiscard]] bool take_over(RunRecord& record) const;
  [[nodiscard]] std::size_t followed() const;

  const Parts parts_;
  const Keepsakes keepsakes_;
  mutable std::mutex mutex_;
  std::map<RunId, std::stop_source> followed_;  // wakes who follows it
  std::set<RunId> settling_;
};

}  // namespace falproxy::app
