// metrics.hpp: counters and times since the start, in Prometheus' text format and for the status
// page.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/gateway.hpp"
#include "falproxy/key_ring.hpp"
#include "log.hpp"
#include "server/routes.hpp"

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
  std::size_t fibers = 0;
  std::size_t threads = 0;
  std::size_t idle_threads = 0;
  std::uint64_t upstream_connections = 0;
  std::uint64_t upstream_requests = 0;
  std::size_t upstream_idle = 0;
  std::uint64_t log_lines_dropped = 0;
  ImageGateway::Counters gateway;
  std::vector<AccountStatus> accounts;
  std::vector<DocumentStatus> documents;
};

/// "ready", "resting", "blocked" or "out".
[[nodiscard]] std::string_view name_of(AccountStatus::State state) noexcept;

/// Thread-safe.
class Metrics {
 public:
  /// An answer that needed no worker.
  void count_reply(RouteId route, int status) noexcept;
  /// `known_model`: a model's name becomes a label only where it is one of the operator's.
  void record(RouteId route, const RequestRecord& record, bool known_model);

  [[nodiscard]] std::string exposition(const Gauges& gauges) const;

  struct RecentError {
    WallTime time;
    std::string request_id;
    std::string model;
    int status = 0;
    std::string code;
    std::string message;
  };
  struct Totals {
    std::uint64_t requests = 0;  ///< for images
    std::uint64_t failures = 0;  ///< of those
    std::uint64_t images = 0;
    double queue_seconds = 0, inference_seconds = 0,
           other_seconds = 0;         ///< of the requests that brought images
    std::uint64_t timed = 0;          ///< how many those are
    std::vector<RecentError> errors;  ///< the last ones, newest first
  };
  [[nodiscard]] Totals totals() const;

 private:
  /// Cumulative counts are made when they are asked for.
  struct Histogram {
    static constexpr std::array<double, 16> bounds = {
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320};
    std::array<std::uint64_t, bounds.size() + 1> counts{};
    double sum = 0;
    void add(double seconds) noexcept;
  };
  static constexpr std::size_t phase_count = 8;
  static constexpr int first_status = 100, last_status = 599;

  std::array<std::array<std::atomic<std::uint64_t>, last_status - first_status + 1>, route_count>
      replies_{};

  mutable std::mutex mutex_;
  std::map<std::tuple<RouteId, std::string, int>, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> images_;
  std::map<std::string, double> billable_units_;
  std::array<Histogram, phase_count> phases_;
  std::deque<RecentError> errors_;
  Totals totals_;
};

}  // namespace falproxy::app
