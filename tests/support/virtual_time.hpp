// virtual_time.hpp: a clock that tests step, a transport that answers by script in its time, and
// small stand-ins.
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
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::testing {

using namespace std::chrono_literals;

/// Time passes only where somebody sleeps or a scripted answer takes its time. Thread-safe.
class VirtualClock final : public Clock {
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
  void advance(TimePoint::duration by) { move_to(now() + by); }

  /// `f` runs when the clock passes `then`: a client that leaves in the middle of a wait.
  void at(TimePoint then, std::function<void()> f) {
    const std::lock_guard lock(mutex_);
    planned_.emplace_back(then, std::move(f));
  }

  [[nodiscard]] static TimePoint epoch() { return TimePoint(1000h); }
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
  struct Chunk {
    std::chrono::milliseconds after{0};
    std::string bytes;
  };
  int status = 200;
  HttpHeaders headers = {};
  std::vector<Chunk> chunks = {};
  std::chrono::milliseconds after{0};  ///< until the head
  std::optional<TransportError> fault =
      std::nullopt;     ///< instead of the head, or after the chunks where there are any
  bool silent = false;  ///< after the chunks: the connection stays open and nothing comes
};

[[nodiscard]] inline Script answer(int status, std::string body, HttpHeaders headers = {}) {
  return {.status = status, .headers = std::move(headers), .chunks = {{0ms, std::move(body)}}};
}
[[nodiscard]] inline Script broken(TransportFault fault, bool nothing_sent = false) {
  return {.fault = TransportError{fault, "scripted", nothing_sent}};
}

/// Answers by calling `serve`, one call at a time; the answer takes its time on `clock`.
class ScriptedTransport final : public Transport {
 public:
  using Serve = std::function<Script(const HttpRequest&)>;
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

/// A linear congruential generator: the same numbers in every run. Thread-safe.
class FixedRandom {
 public:
  explicit FixedRandom(std::uint64_t seed = 1) : state_(seed) {}
  double operator()() {
    const std::uint64_t next = state_.fetch_add(0x9E3779B97F4A7C15ULL) + 0x9E3779B97F4A7C15ULL;
    std::uint64_t z = next;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) / 9007199254740992.0;
  }

 private:
  std::atomic<std::uint64_t> state_;
};

/// Base64 as RFC 4648 has it, and a digest that only tells texts apart.
class PlainCodecs final : public Codecs {
 public:
  void encode_base64(std::string_view bytes, std::string& out) const override {
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      const std::string_view group = bytes.substr(i, 3);
      std::uint32_t value = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        value = value << 8 | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
      }
      for (std::size_t k = 0; k < 4; ++k) {
        out += k <= group.size() ? alphabet[value >> (18 - 6 * k) & 63] : '=';
      }
    }
  }
  [[nodiscard]] std::optional<std::string> decode_base64(std::string_view text) const override {
    std::string bytes;
    if (text.size() % 4 != 0) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); i += 4) {
      std::uint32_t value = 0;
      int pads = 0;
      for (const char c : text.substr(i, 4)) {
        const std::size_t digit = c == '=' ? 0 : alphabet.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        pads += c == '=' ? 1 : 0;
        value = value << 6 | static_cast<std::uint32_t>(digit);
      }
      for (int k = 0; k < 3 - pads; ++k) bytes += static_cast<char>(value >> (16 - 8 * k) & 255);
    }
    return bytes;
  }
  [[nodiscard]] Digest sha256(std::string_view bytes) const override {
    Digest digest{};
    for (std::size_t lane = 0; lane < 4; ++lane) {
      std::uint64_t hash = 14695981039346656037ULL + lane * 0x9E3779B97F4A7C15ULL;
      for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
      for (std::size_t k = 0; k < 8; ++k)
        digest[lane * 8 + k] = static_cast<std::uint8_t>(hash >> (8 * k));
    }
    return digest;
  }

 private:
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
};

}  // namespace falproxy::testing
