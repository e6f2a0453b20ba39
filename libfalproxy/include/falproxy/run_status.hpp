// run_status.hpp: runs that are asked for by their id, while they run and afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/plan.hpp"
#include "falproxy/print.hpp"
#include "falproxy/product.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {

/// What is known of a request once fal has taken a job of it.
struct Underway {
  std::string model;                              ///< that serves
  std::vector<plan::Note> notes = {};             ///< of the mapping
  std::vector<std::string> fal_request_ids = {};  ///< of the jobs that fal has taken so far
  std::size_t jobs = 1;                           ///< that the request has in all
  bool operator==(const Underway&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Underway& underway);

/// A run that goes on without the request that began it, and is asked for later by its id.
struct LaterRun {
  /// 128 bits that nobody can guess.
  RunId id = {};
  std::string surface = {};  ///< what was asked: "images.generations"
  std::string details =
      {};  ///< what the surface wants to remember: JSON text of at most 4,096 bytes
  bool keeps_prompt = false;  ///< the record has the prompt
  bool tells_end = false;     ///< once it has ended it is among Runner::untold()
  /// Called once, as soon as the store has the run, with its id: from then on Runner::find() finds
  /// it. That of an earlier run if this request repeats one. If it is never called, nothing was
  /// paid for. From the thread of the call.
  std::function<void(const RunId&)> noted = {};
  /// Called after `noted`, once fal has taken a job of the run. From whatever thread.
  std::function<void(const Underway&)> taken = {};
};

/// How far a run has come.
enum class RunPhase {
  queued,       ///< nothing works on it yet, here or at fal
  in_progress,  ///< a runner of fal's works on it
  completed,    ///< what it made is there
  failed,       ///< it will make nothing
  cancelled,    ///< it was stopped before it made anything
};
/// As written above.
[[nodiscard]] std::string_view name_of(RunPhase value) noexcept;

/// A run as who asks for it sees it.
struct RunStatus {
  RunRecord record = {};                             ///< as it was noted last
  RunPhase phase = RunPhase::queued;                 ///< how far it has come
  std::optional<int> queue_position = std::nullopt;  ///< at fal, 0-based; none: not known
  /// Percent; 100 if it is completed, and only then. As the model's log tells it, else by how long
  /// others took. It does not fall, whichever process is asked, also after a restart.
  int progress = 0;
  /// An earlier process began it. Of several that share a store: no longer told once another one
  /// follows it.
  bool is_left = false;
  /// As the plan has them, and of a completed run as its first file has them; none: not known.
  std::optional<std::string> size = std::nullopt;  ///< "1280x720"
  std::optional<double> seconds = std::nullopt;    ///< how long it plays
  /// How the request wanted the files: RunStatus has addresses in either case.
  ResponseFormat response_format = ResponseFormat::url;
  std::string details = {};  ///< LaterRun::details
  std::vector<Product> products =
      {};  ///< if it is completed: addresses, in the order of the answer
  /// Files that are not among them: the record has no room for their addresses. Runner::find() asks
  /// fal for the result again, so that there are none as long as fal has it.
  std::size_t left_out = 0;
  std::optional<Error> error = std::nullopt;  ///< why it failed, or was cancelled
  bool operator==(const RunStatus&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunStatus& status);

}  // namespace falproxy::inline v0
