// feed.hpp: answers that begin while their request runs: blanks before JSON, and server-sent events
// (WHATWG HTML, 9.2).
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bell.hpp"
#include "falproxy/runner.hpp"

namespace falproxy::app {

/// What a request's jobs tell while they run, kept until the fiber that writes the answer takes it.
/// How much is kept is bounded: comments and pictures that are not final give way to the next ones.
///
/// The answer begins once fal has all of the request's jobs and tells of them, or with a picture,
/// or after an interval: a request that fails before can still be told so with a status of its own.
/// From then on something is there at least every interval, so that no hop times out.
class Feed final : public Progress {
 public:
  enum class Kind {
    events,  ///< progress as comments, pictures as events
    blanks,  ///< nothing but a blank every interval
  };
  static constexpr Seconds comment_interval{10};
  static constexpr std::string_view event_type = "text/event-stream; charset=utf-8";

  /// The event that shows a product; with an index it is a preview. `cost`: of the whole request;
  /// none: it is not known, or not yet.
  using Write =
      std::function<Body(const Product&, std::optional<int> preview, std::optional<Usd> cost)>;

  Feed(Clock& clock, Kind kind, Milliseconds interval, Write write)
      : clock_(clock),
        kind_(kind),
        interval_(interval),
        write_(std::move(write)),
        silent_since_(clock.now()) {}

  // The jobs' side. Any thread.
  void accepted(const Underway& underway) override;
  void queued(std::optional<int> position) override;
  void running() override { comment("running"); }
  void preview(const Product& product, int index) override;
  void completed(const Product& product, bool more) override;
  void end(Outcome outcome);

  // The answer's side: one fiber.
  /// Waits until the answer is to begin. False: the request came to its end before.
  [[nodiscard]] bool wait_to_begin();
  /// What is to go out next; waits for it. Empty: the request came to its end.
  [[nodiscard]] Body next();

  /// What is known when the answer begins.
  [[nodiscard]] std::optional<Underway> underway();

  // After the end.
  [[nodiscard]] Outcome& outcome() noexcept { return *outcome_; }
  /// The pictures that did not go out on the way, in the order in which they came. The last one
  /// tells what the request cost; none: that is not known.
  [[nodiscard]] Body rest(std::optional<Usd> cost = {});
  /// Of all pictures, in bytes.
  [[nodiscard]] std::size_t picture_bytes() const noexcept { return picture_bytes_; }

 private:
  void comment(std::string text);
  void ring(std::unique_lock<std::mutex> lock);
  // The lock is held.
  [[nodiscard]] Body take();
  [[nodiscard]] Body due();

  Clock& clock_;
  const Kind kind_;
  const Milliseconds interval_;
  const Write write_;
  TimePoint silent_since_;  // the answer's side's

  std::mutex mutex_;
  Bell changed_;
  std::optional<Underway> underway_;
  std::optional<Outcome> outcome_;
  bool begin_ = false;      // there is something that is not to wait
  bool all_taken_ = false;  // by fal
  std::string comment_ = "waiting";
  bool comment_is_new_ = false;
  Body partial_;
  std::deque<Body> pictures_;
  std::deque<Product> last_;  // of the job that ended last
  std::size_t picture_bytes_ = 0;
};

}  // namespace falproxy::app
