// observer.hpp: tells a program what a Runner does while it does it; for traces.
#pragma once

#include <memory>
#include <string_view>

namespace falproxy::inline v0 {

struct JobReceipt;

/// Hears of one stage while it runs. Called on the thread that does the work, and destroyed there
/// once the stage is over. Whatever it throws is dropped.
class StageObserver {
 public:
  virtual ~StageObserver() = default;
  /// Of a job: its next part begins, and the one before has ended. A literal: "submit" (until fal
  /// has taken it, waiting for a key included), "queue", "inference" (as far as fal tells when it
  /// begins), "result" (from its end to its result in hand), "cancel".
  virtual void part([[maybe_unused]] std::string_view name) {}
  /// Of a job, at its end: what became of it.
  virtual void ended([[maybe_unused]] const JobReceipt& receipt) {}
};

/// Hears of the stages of all runs. Thread-safe.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  /// A stage begins on this thread. `name`, a literal: "map" (waiting for the model's document, and
  /// making the plan), "upload" (giving addresses to the files of the request), "job" (one for each
  /// job, several side by side), "media" (fetching and wrapping the files of a job). `endpoint`:
  /// fal's, of a job; else empty. Null: nobody wants to hear of this one.
  [[nodiscard]] virtual std::unique_ptr<StageObserver> begin(std::string_view name,
                                                             std::string_view endpoint) = 0;
};

}  // namespace falproxy::inline v0
