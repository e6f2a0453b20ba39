// recorder.hpp: notes a run in the store, step by step, so that a restart finds what fal has of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "falproxy/state_store.hpp"
#include "runs/driver.hpp"
#include "runs/harvest.hpp"
#include "runs/memo.hpp"
#include "state/awaited.hpp"

namespace falproxy::inline v0::runs {

class LiveRuns;

/// A run that nobody ends is forgotten after this; fal keeps no job longer. One that goes on
/// without its request can be asked for as long after its end.
inline constexpr std::chrono::hours longest_run{7 * 24};

/// Who asks for what.
struct Asked {
  std::string owner;                              ///< the access key's name
  Digest digest{};                                ///< of the wish
  std::optional<Digest> key_hash = std::nullopt;  ///< of its Idempotency-Key
  int retry_count = 0;                            ///< x-stainless-retry-count
  std::string user = {};                          ///< whom it is for
  /// See CallContext::may_use.
  std::function<bool(std::string_view)> may_use = {};
  /// Null: the run goes with its request.
  const LaterRun* later = nullptr;
  /// Records with its key, or digest, that do not stand in its way.
  std::vector<RunId> known = {};
};

/// Its Idempotency-Key finds what becomes of it, for a while.
[[nodiscard]] bool may_be_asked_for(const World& world, const Asked& asked) noexcept;

/// Whether a run may be submitted.
enum class Noted {
  yes,        ///< it is noted, or need not be
  no,         ///< who asks for it later would not find it
  elsewhere,  ///< another process has begun the same one
};

/// Makes `process` the one that looks after a run. If another one did so before, whatever that one
/// writes from now on is outdated, however often it writes.
void take_hold(RunRecord& record, const RunId& process) noexcept;

/// What is about to be submitted.
struct Intention {
  const Wish& wish;
  const std::string& requested_model;
  const std::string& served_model;
  const fal::EndpointId& endpoint;
  std::optional<double> chance;  ///< what the plan was made with, see plan::make_plan()
  const plan::Plan& plan;
  ResponseFormat wanted;            ///< the plan's before Recorder::is_later() changed it
  const std::vector<Body>& inputs;  ///< of each job
};

/// One run. Thread-safe. Without a store it does nothing. If the store fails, the run goes on
/// without it; the store's status tells so.
class Recorder {
 public:
  /// Goes on with `earlier`, the record of the same wish, if there is one. `watches`: another
  /// process notes what becomes of it.
  Recorder(const World& world, const Asked& asked, std::optional<RunRecord> earlier = std::nullopt,
           bool watches = false);

  /// It goes on without the request that began it.
  [[nodiscard]] bool is_later() const noexcept { return asked_.later != nullptr; }
  [[nodiscard]] const Asked& asked() const noexcept { return asked_; }
  /// Somebody may ask for the run later.
  [[nodiscard]] bool is_promised() const noexcept { return store_ != nullptr && promised_; }

  /// Before any job is submitted: it returns once the disk has it, or the store has failed. The
  /// jobs that are open in `outputs`, and that fal does not have, are about to be submitted.
  [[nodiscard]] Noted intend(const Intention& intention, const std::vector<JobOutput>& outputs);
  /// fal has taken the job of that place. Does not wait.
  void taken(std::size_t place, const fal::Submitted& submitted, const std::string& key);
  /// fal works on it; the first call counts, of a run that goes on without its request. Does not
  /// wait.
  void running(const LiveRuns& others);
  /// The model says that so many percent of the job of that place are done. It is noted rarely: at
  /// the first word, and then at each ten percent more, a second apart. Does not wait.
  void worked(std::size_t place, int percent);
  /// Waits until all that was taken is on the disk.
  void settle();
  /// The job of that place is about to be settled with who pays: a restart does not do it again.
  /// False: another process has taken the run up meanwhile, and settles it.
  [[nodiscard]] bool paid(std::size_t place);
  /// Waits for what end() writes, and writes it again if that failed, for some minutes or until
  /// `stop` is requested. False: somebody else has written the record meanwhile.
  bool insist(const std::stop_token& stop);
  /// As it was written last.
  [[nodiscard]] RunRecord record();
  /// Once the request has ended: what fal goes on with, and somebody may ask for. None: nothing, or
  /// another process looks after it.
  [[nodiscard]] std::optional<RunRecord> left();
  /// The jobs have ended.
  void end(const std::vector<JobOutput>& outputs, const Result<std::vector<Product>>& response);

 private:
  // The lock is held.
  void stamp();
  void write(Durability durability);
  // Of a process that was silent for so long that others may have its runs.
  [[nodiscard]] bool is_still_held();
  // Of the first write of a run with an Idempotency-Key.
  [[nodiscard]] Noted claim();
  // With an id of its own.
  void begin_anew();
  void note(RunJob& job, const TakenJob& taken) const;
  /// The first failure of what was waited for.
  std::optional<StoreError> settled();

  const World& world_;
  StateStore* const store_;
  const Asked asked_;
  const bool watches_;
  bool promised_ = false;
  bool told_ = false;           // LaterRun::noted
  std::uint64_t absences_ = 0;  // Peers::absences() when it was held last
  bool is_lost_ = false;        // another process has it
  std::optional<Pace> pace_ = std::nullopt;
  std::vector<int> worked_;  // percent of each job; 0: its model has said nothing
  TimePoint worked_noted_{};
  std::mutex mutex_;
  RunRecord record_;
  std::vector<Awaited<Done>> unsettled_;
};

}  // namespace falproxy::inline v0::runs
