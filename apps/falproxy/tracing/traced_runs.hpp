// traced_runs.hpp: the stages of runs as spans of the trace of the request that they belong to.
#pragma once

#include <memory>
#include <string_view>

#include "falproxy/observer.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

class TracedRuns final : public RunObserver {
 public:
  /// `tracer` outlives it.
  explicit TracedRuns(Tracer& tracer) : tracer_(tracer) {}
  [[nodiscard]] std::unique_ptr<StageObserver> begin(std::string_view name,
                                                     std::string_view endpoint) override;

 private:
  Tracer& tracer_;
};

}  // namespace falproxy::app
