// driver.hpp: runs jobs over the transport, the clock and the key ring: does what a Job says and
// tells it what came of it.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string_view>
#include <vector>

#include "falproxy/executor.hpp"
#include "falproxy/gateway.hpp"
#include "gateway/job.hpp"

namespace falproxy::gateway {

/// What all requests count together. See ImageGateway::Counters.
struct Tally {
  std::atomic<std::uint64_t> submits{0}, repeated{0}, accepted{0};
  std::atomic<std::uint64_t> results{0}, cancels{0}, failures{0}, abandoned{0};
  std::atomic<std::uint64_t> recovered{0}, upstream_faults{0};
  std::atomic<int> streams_held{0}, polling{0};

  void add(const JobReceipt& receipt, Fate fate) noexcept;
  [[nodiscard]] ImageGateway::Counters read() const noexcept;
};

/// How long somebody waits for a request, and whether anybody still does. Shared by the threads of
/// one request and those that repeat it.
class Patience {
 public:
  Patience(TimePoint deadline, std::stop_token stop, std::function<bool()> client_left = {},
           Milliseconds repeat_hold = {})
      : deadline_(deadline),
        stop_(std::move(stop)),
        client_left_(std::move(client_left)),
        repeat_hold_(repeat_hold) {}

  /// Of the thread that runs the request, and those that it starts.
  [[nodiscard]] TimePoint deadline() const {
    const TimePoint given = deadline_.load();
    return client_left_ && client_left_() ? given + repeat_hold_ : given;
  }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }
  void extend(TimePoint deadline) noexcept;

 private:
  std::atomic<TimePoint> deadline_;
  std::stop_token stop_;
  const std::function<bool()> client_left_;
  const Milliseconds repeat_hold_;
};

/// The world as jobs meet it.
struct World {
  const ImageGateway::Parts& parts;
  const ImageGateway::Options& options;
  Tally& tally;

  /// `line()` is only made where somebody reads it.
  void debug(std::invocable auto&& line) const {
    if (options.debug) options.debug(line());
  }
};

/// Tells the key ring what fal said of a key, and the operator where that makes a difference.
void report_key(const World& world, KeyLease& lease, const KeyReport& report);

/// One exchange whose answer is small or bounded by `max_bytes`; faults are counted, and told to
/// the debug log.
[[nodiscard]] Result<HttpResponse, TransportError> exchange(const World& world,
                                                            const HttpRequest& request,
                                                            TimePoint deadline,
                                                            std::stop_token stop,
                                                            std::size_t max_bytes);

/// A partial picture of a model's own stream: one of its events, as JSON.
using OnPartial = std::function<void(std::shared_ptr<const std::string>)>;

/// Runs `job` to its end on the calling thread. `input` is let go as soon as fal has it.
void run_job(const World& world, Job& job, Body input, const Patience& patience,
             std::stop_token stop, Progress* progress, const OnPartial& on_partial);

/// Runs one job for each input: one on the calling thread, several side by side. When one fails for
/// good, or `patience` ends, the others are cancelled. The jobs come back ended, in order.
[[nodiscard]] std::vector<std::unique_ptr<Job>> run_jobs(
    const World& world, const JobPolicy& policy, std::vector<Body> inputs, const Patience& patience,
    Progress* progress, const OnPartial& on_partial);

}  // namespace falproxy::gateway
