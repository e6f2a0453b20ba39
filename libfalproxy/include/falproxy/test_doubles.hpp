// test_doubles.hpp: a clock that tests step, a transport that answers by script in its time, and
// small stand-ins for what the library needs from outside. Of falproxy::testing, but needs no more
// than this header and the pure library.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/plain_codecs.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0::testing {

using namespace std::chrono_literals;

/// Where something is to happen later.
class Timeline {
 public:
  virtual ~Timeline() = default;
  /// As Clock has it.
  [[nodiscard]] virtual TimePoint now() const = 0;
  /// As Clock has it.
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  /// Runs `call` once, not before `then`. There is no way to take it back.
  virtual void at(TimePoint then, std::function<void()> call) = 0;
};

/// Time passes only while somebody sleeps or a scripted answer takes its time. Thread-safe.
class VirtualClock final : public Clock, public Timeline {
 public:
  [[nodiscard]] TimePoint now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  [[nodiscard]] WallTime wall_now() const override {
    const std::lock_guard lock(mutex_);
    return wall_epoch() + std::chrono::duration_cast<WallTime::duration>(now_ - epoch());
  }
  bool sleep_until(TimePoint until, std::stop_token stop) override {
    move_to(until, stop);
    return !stop.stop_requested();
  }

  /// Runs what is due on the way (see at()). A stop that is requested there is where it ends.
  void move_to(TimePoint then, const std::stop_token& stop = {}) {
    while (!stop.stop_requested()) {
      std::function<void()> due;
      {
        const std::lock_guard lock(mutex_);
        const auto next =
            std::min_element(planned_.begin(), planned_.end(),
                             [](const auto& a, const auto& b) { return a.first < b.first; });
        if (next == planned_.end() || next->first > then) {
          now_ = std::max(now_, then);
          return;
        }
        now_ = std::max(now_, next->first);
        due = std::move(next->second);
        planned_.erase(next);
      }
      due();
    }
  }
  /// As move_to(), from now.
  void advance(TimePoint::duration by) { move_to(now() + by); }
  /// Moves to the next planned moment, or to `limit` if that comes first.
  void step(TimePoint limit, const std::stop_token& stop = {}) {
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [then, planned] : planned_) limit = std::min(limit, then);
    }
    move_to(limit, stop);
  }

  /// `f` runs when the clock passes `then`: a client that leaves in the middle of a wait.
  void at(TimePoint then, std::function<void()> f) override {
    const std::lock_guard lock(mutex_);
    planned_.emplace_back(then, std::move(f));
  }

  /// When every clock begins.
  [[nodiscard]] static TimePoint epoch() { return TimePoint(1000h); }
  /// What the calendar says then.
  [[nodiscard]] static WallTime wall_epoch() {
    return WallTime(std::chrono::seconds(1'760'000'000));
  }

 private:
  mutable std::mutex mutex_;
  TimePoint now_ = epoch();
  std::vector<std::pair<TimePoint, std::function<void()>>> planned_;
};

/// What a scripted server does with one request.
struct Script {
  /// A piece of the body.
  struct Chunk {
    std::chrono::milliseconds after{0};  ///< the piece before it
    std::string bytes;                   ///< handed on at once
  };
  int status = 200;                    ///< of HTTP
  HttpHeaders headers = {};            ///< as they are
  std::vector<Chunk> chunks = {};      ///< the body
  std::chrono::milliseconds after{0};  ///< until the head
  std::optional<TransportError> fault =
      std::nullopt;     ///< instead of the head, or after the chunks if there are any
  bool silent = false;  ///< after the chunks: the connection stays open and nothing comes
};

/// A whole answer, at once.
[[nodiscard]] inline Script answer(int status, std::string body, HttpHeaders headers = {}) {
  return {.status = status, .headers = std::move(headers), .chunks = {{0ms, std::move(body)}}};
}
/// No answer.
[[nodiscard]] inline Script broken(TransportFault fault, bool nothing_sent = false) {
  return {.fault = TransportError{fault, "scripted", nothing_sent}};
}

/// Answers by calling `serve`, one call at a time; the answer takes its time on `clock`.
class ScriptedTransport final : public Transport {
 public:
  /// What the server says to a request.
  using Serve = std::function<Script(const HttpRequest&)>;
  /// `clock` outlives it.
  ScriptedTransport(VirtualClock& clock, Serve serve) : clock_(clock), serve_(std::move(serve)) {}

  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override {
    Script script;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request.method + " " + request.url);
      script = serve_(request);
    }
    const TimePoint silence_limit =
        request.max_silence > 0ms ? clock_.now() + request.max_silence : deadline;
    if (auto end = pass(script.after, std::min(deadline, silence_limit), stop)) return *end;
    if (script.fault.has_value() && script.chunks.empty()) return *script.fault;
    if (!sink.head(HttpHead{script.status, script.headers})) return cancelled();
    for (const Script::Chunk& chunk : script.chunks) {
      const TimePoint limit = request.max_silence > 0ms
                                  ? std::min(deadline, clock_.now() + request.max_silence)
                                  : deadline;
      if (auto end = pass(chunk.after, limit, stop)) return *end;
      if (!chunk.bytes.empty() && !sink.data(chunk.bytes)) return cancelled();
    }
    if (script.silent) {
      const TimePoint limit = request.max_silence > 0ms
                                  ? std::min(deadline, clock_.now() + request.max_silence)
                                  : deadline;
      if (auto end = pass(std::chrono::hours(24), limit, stop)) return *end;
    }
    if (script.fault.has_value()) return *script.fault;
    return Done{};
  }

  /// "METHOD url" of every request so far.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Of those, how many begin so.
  [[nodiscard]] std::size_t count(std::string_view start) const {
    const std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const std::string& request : requests_) found += request.starts_with(start) ? 1U : 0U;
    return found;
  }

 private:
  static TransportError cancelled() { return {TransportFault::cancelled, "stopped"}; }

  std::optional<TransportError> pass(std::chrono::milliseconds time, TimePoint limit,
                                     const std::stop_token& stop) {
    const TimePoint then = clock_.now() + time;
    // Step by step, so that what is planned on the way (a stop) takes effect when it comes.
    while (true) {
      if (stop.stop_requested()) return cancelled();
      if (clock_.now() >= limit && clock_.now() < then)
        return TransportError{TransportFault::timed_out, "too late"};
      if (clock_.now() >= then) return std::nullopt;
      clock_.move_to(std::min({then, limit, clock_.now() + 10ms}));
    }
  }

  VirtualClock& clock_;
  Serve serve_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
};

/// SplitMix64: the same numbers in every run. Thread-safe.
class FixedRandom {
 public:
  /// Another seed, other numbers.
  explicit FixedRandom(std::uint64_t seed = 1) : state_(seed) {}
  /// The next one, from 0 up to 1.
  double operator()() {
    std::uint64_t z = state_.fetch_add(0x9E3779B97F4A7C15ULL) + 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) / 9007199254740992.0;
  }

 private:
  std::atomic<std::uint64_t> state_;
};

using falproxy::PlainCodecs;

}  // namespace falproxy::inline v0::testing
