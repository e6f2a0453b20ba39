// metrics.hpp: counters and times since the start, in Prometheus' text format and for the status
// page.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/state_store.hpp"
#include "log.hpp"
#include "media_store/media_status.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

/// What is true now, and what others count; gathered when somebody asks.
struct Gauges {
  WallTime now;
  Seconds uptime{0};
  int in_flight = 0;
  std::size_t body_memory = 0;
  std::size_t connections_open = 0;
  std::size_t connections_busy = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_not_accepted = 0;
  std::size_t fibers = 0;
  std::size_t pool_waiting = 0;
  std::uint64_t upstream_connections = 0;
  std::uint64_t upstream_requests = 0;
  std::size_t upstream_idle = 0;
  std::uint64_t log_lines_dropped = 0;
  Runner::Counters runs;
  std::vector<AccountStatus> accounts;
  std::vector<DocumentStatus> documents;
  StoreStatus state;
  std::optional<std::size_t> replicas;  ///< that share it, with this one; none: nobody shares it
  std::size_t spooled_bytes = 0;        ///< of files of requests, on the disk
  std::optional<MediaStatus> media;     ///< none: no files are kept
  std::optional<Usd> balance;           ///< of fal's account; none: not known
  std::optional<TraceStatus> traces;    ///< none: there are no traces
};

/// Thread-safe.
class Metrics {
 public:
  /// An answer in which no model has a part. `route`: a literal.
  void count_reply(std::string_view route, int status);
  /// `known_model`: a model's name becomes a label only where it is one of the operator's. What its
  /// jobs cost is not counted: see add_cost().
  void record(const RequestRecord& record, bool known_model);

  [[nodiscard]] std::string exposition(const Gauges& gauges) const;

  struct RecentError {
    WallTime time;
    std::string request_id;
    std::string model;
    int status = 0;
    std::string code;
    std::string message;
  };
  /// Of all clients, or of one.
  struct Totals {
    std::uint64_t requests = 0;  ///< for images
    std::uint64_t failures = 0;  ///< of those
    std::uint64_t images = 0;
    Usd cost = {};  ///< of all jobs, as far as it is known
    double queue_seconds = 0, inference_seconds = 0,
           other_seconds = 0;        ///< of the requests that brought images
    std::uint64_t timed = 0;         ///< how many those are
    std::deque<RecentError> errors;  ///< the last ones, newest first
    void add(const RequestRecord& record, std::size_t most_errors);
  };
  /// Of a job that was settled, whatever becomes of its request. `model`: as it is configured.
  void add_cost(const std::string& client, const std::string& model, Usd cost);
  /// fal has billed so much more for a job than it was settled with; may be negative.
  void add_correction(const std::string& client, const std::string& model, Usd difference);
  [[nodiscard]] Totals totals() const;
  /// Of the access key of that name.
  [[nodiscard]] Totals totals_of(std::string_view client) const;

 private:
  /// Cumulative counts are made when they are asked for.
  struct Histogram {
    static constexpr std::array<double, 16> bounds = {
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320};
    std::array<std::uint64_t, bounds.size() + 1> counts{};
    double sum = 0;
    void add(double seconds) noexcept;
  };

  mutable std::mutex mutex_;
  std::map<std::tuple<std::string_view, std::string, int>, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> images_;
  std::map<std::string, double> billable_units_;
  std::map<std::pair<std::string, std::string>, Usd> costs_, corrections_;  // by client and model
  std::array<Histogram, std::tuple_size_v<Phases>> phases_;
  Totals totals_;
  std::map<std::string, Totals, std::less<>> of_clients_;
};

}  // namespace falproxy::app
