// span_exporter.hpp: sends spans to a collector, beside all requests.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/log.hpp"
#include "falproxy/transport.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

class SpanExporter {
 public:
  struct Parts {
    Tracer& tracer;
    Transport& transport;  ///< one that is not traced itself
    Clock& clock;
    Executor& executor;
    LogLine log;
  };
  /// A collector that takes nothing is told of so often.
  static constexpr Seconds between_warnings{60};

  explicit SpanExporter(Parts parts) : parts_(std::move(parts)) {}

  /// Sends what comes, until it is stopped. Blocks; once.
  void run(const std::stop_token& stop);

 private:
  void send(const std::vector<SpanRecord>& batch, const std::stop_token& stop);
  /// Why the batch was not taken; empty: it was.
  [[nodiscard]] std::string attempt(const HttpRequest& request, TimePoint deadline,
                                    const std::stop_token& stop);
  void warn(const std::string& why);

  const Parts parts_;
  TimePoint warned_until_{};
  std::size_t refused_ = 0;            // of the last batch that was taken
  std::optional<Milliseconds> pause_;  // before another attempt is worth it; none: it is not
};

}  // namespace falproxy::app
