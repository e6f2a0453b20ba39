// job.hpp: one fal job as a pure state machine: step(event, now) -> action. No I/O, no clock, no
// key inside.
//
// All policy stands here: completion, what is repeated and when, when another key is taken,
// deadlines, cancelling. Whoever runs a job (driver.hpp, or a test in virtual time) does what the
// action says and steps again with what came of it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/retry.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/http.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0::runs {

/// How a job reaches fal and how its end is learned of.
enum class Route {
  queue_stream,  ///< the queue; its status/stream is held
  queue_poll,    ///< the queue; its status is asked
  run,           ///< fal.run: one exchange, no cancel
  model_stream,  ///< the model's own /stream: one exchange, no cancel, partial pictures
};

/// A job that fal has taken, submitted by an earlier process.
struct TakenJob {
  fal::Submitted submitted;
  std::string key;  ///< KeyLease::fingerprint() of the one it was submitted with
};

struct JobPolicy {
  fal::EndpointId endpoint;
  std::string queue;  ///< base address that fal's own addresses are checked against
  Route route = Route::queue_stream;
  FalPreferences preferences = {};  ///< said with the submit, by whichever route
  /// As one of its account's jobs: fal counts neither those of the account's own apps nor what has
  /// ended.
  bool counted = true;
  int max_submit_attempts = 4;
  TimePoint deadline;
  std::optional<TakenJob> taken = std::nullopt;  ///< nothing is submitted: it is followed
  Milliseconds longest_missing{10'000};  ///< then fal no longer has what it is asked for, if taken
  /// Somebody may ask for it later: fal goes on with it if it is given up.
  bool promised = false;
  bool reads_logs = false;  ///< of the model, for how far the job has come
};

namespace event {
struct Started {};
struct KeyGranted {
  std::size_t slot;
};
struct KeyDenied {
  Error error;
};
/// An answer to a submit, a look, a fetch or a cancel. Of a model's own stream: its head and its
/// last event.
struct Answered {
  HttpHead head;
  std::shared_ptr<const std::string> body;
};
struct NoAnswer {
  TransportError error;
  HttpHead head = {};  ///< of an answer that broke off behind it; status 0: there was none
};
/// One event of the status stream that is held.
struct StatusSaid {
  fal::QueueStatus status;
  std::optional<int> percent = std::nullopt;  ///< see fal::LoggedStatus
};
/// The status stream was refused, ended, or fell silent.
struct HoldEnded {};
/// As many status streams are held as may be.
struct HoldDenied {};
/// A wait is over.
struct Woken {};
/// What the last action said threw something: whether it was done is not known.
struct Threw {
  std::string what;
};
/// The caller asks to stop: comes instead of doing what the last action said. From then on actions
/// are done to their end.
struct Stopped {
  bool leave = false;  ///< fal is to go on with the job, which somebody else will follow
};
}  // namespace event
using Event = std::variant<event::Started, event::KeyGranted, event::KeyDenied, event::Answered,
                           event::NoAnswer, event::StatusSaid, event::HoldEnded, event::HoldDenied,
                           event::Woken, event::Threw, event::Stopped>;

/// What fal said of the key that is held.
struct KeyReport {
  KeyOutcome outcome;
  std::optional<Milliseconds> retry_after = std::nullopt;
  std::string words = {};  ///< fal's, with the status: "403: Exhausted balance"
};

struct Action {
  enum class Kind {
    acquire_key,   ///< give back the key that is held, if any, and take one
    submit,        ///< by the route
    hold,          ///< the status stream
    keep_holding,  ///< only after StatusSaid: go on with the stream that is held
    look,          ///< ask for the status once
    fetch,         ///< the result
    wait,          ///< until `until`
    cancel,        ///< PUT cancel_url
    finished,      ///< see Job::end()
  };
  Kind kind = Kind::finished;
  TimePoint until = {};  ///< of a wait: its end; of an exchange: its deadline
  /// To be told to the key ring before anything else.
  std::optional<KeyReport> report = std::nullopt;
  /// Of acquire_key: positions of keys that are not to be taken.
  std::vector<std::size_t> except = {};
};

/// What became of the last attempt to submit. Every attempt has one: those before the last were
/// repeated.
enum class Fate { none, result, cancelled, failed, abandoned };

struct JobEnd {
  Fate fate = Fate::none;
  /// What fal made; null unless the fate is `result`. It is also fetched for a job that was given
  /// up once fal had completed it: that is paid for, and whoever repeats the request may have it.
  std::shared_ptr<const std::string> result;
  Error error;                      ///< why there is no result
  std::optional<fal::Fault> fault;  ///< fal's own account of the failure, where there is one
  /// Why nobody waited until the job had ended: the caller stopped, its time ran out, or fal no
  /// longer told of the job.
  std::optional<Error> given_up;
};

class Job {
 public:
  /// `random` gives numbers in [0, 1) and outlives the job.
  Job(JobPolicy policy, const std::function<double()>& random)
      : policy_(std::move(policy)), random_(random) {}

  /// After `finished` no more events may come.
  [[nodiscard]] Action step(const Event& event, TimePoint now);
  /// Something threw that no step can mend: the job ends here, and fal may go on with it.
  void abandon();

  /// Somebody waits for this job longer than it was started for.
  void extend(TimePoint deadline) noexcept;

  /// fal's addresses; none before the queue has taken the job.
  [[nodiscard]] const std::optional<fal::Submitted>& submitted() const noexcept {
    return submitted_;
  }
  /// What fal said last.
  [[nodiscard]] const fal::QueueStatus& status() const noexcept { return status_; }
  /// What its model has printed of how far it is, the most of all; 0: nothing.
  [[nodiscard]] int percent() const noexcept { return percent_; }
  [[nodiscard]] const JobPolicy& policy() const noexcept { return policy_; }
  [[nodiscard]] const JobReceipt& receipt() const noexcept { return receipt_; }
  [[nodiscard]] JobEnd& end() noexcept { return end_; }

 private:
  enum class Phase {
    fresh,
    acquiring,
    submitting,
    resting_for_key,
    backing_off,
    holding,
    looking,
    pausing,
    fetching,
    pausing_to_fetch,
    cancelling,
    over,
  };

  Action react(const Event& event, TimePoint now);
  Action on_key_denied(const Error& error, TimePoint now);
  Action on_key_granted(std::size_t slot, TimePoint now);
  Action on_submit_answer(const event::Answered& answer, TimePoint now);
  Action on_submit_refused(fal::Fault fault, TimePoint now);
  Action on_submit_lost(const event::NoAnswer& lost_answer, TimePoint now);
  Action on_submit_unreadable(const HttpHead& head, Error error, TimePoint now);
  Action on_submit_unknown(Error error, TimePoint now);
  Action on_threw(TimePoint now);
  Action on_accepted(fal::Submitted submitted, TimePoint now);
  Action follow(TimePoint now);
  Action on_status(const fal::QueueStatus& status, std::optional<int> percent, TimePoint now);
  Action on_look(const Event& event, TimePoint now);
  Action on_fetch(const Event& event, TimePoint now);
  Action on_cancel(const Event& event, TimePoint now);
  [[nodiscard]] bool is_followed_in_vain(TimePoint now);
  Action on_unreadable(fal::Fault fault, TimePoint now);

  Action acquire_key(TimePoint now, std::optional<KeyReport> report = std::nullopt);
  Action submit(TimePoint now);
  Action back_off(TimePoint now, Error if_out_of_attempts, std::optional<fal::Fault> fault);
  Action hold_or_look();
  Action look();
  Action pause(TimePoint now);
  void note_trouble(const TransportError& error);
  Action fetch();
  Action cancel(TimePoint now);
  Action give_up(Error error, TimePoint now);
  [[nodiscard]] bool somebody_waits() const noexcept;
  Action fetch_late(TimePoint now);
  Action finish_with_result(std::shared_ptr<const std::string> body, const HttpHead& head,
                            TimePoint now);
  Action finish_with(Fate fate, Error error, TimePoint now,
                     std::optional<fal::Fault> fault = std::nullopt);
  Action finish_with_fault(fal::Fault fault, TimePoint now);
  void note_units(const HttpHead& head);
  void note_times(TimePoint now);

  JobPolicy policy_;
  const std::function<double()>& random_;
  Phase phase_ = Phase::fresh;
  std::optional<fal::Submitted> submitted_;
  fal::QueueStatus status_;
  int percent_ = 0;
  JobReceipt receipt_;
  std::string trouble_;  // with fal since it last did as it should: what the receipt may tell
  JobEnd end_;

  std::vector<std::size_t> forbidden_slots_;  // refused for a reason that the ring is not told
  std::vector<std::size_t> busy_slots_;       // keys that were pushed back since the last wait
  std::optional<fal::Fault> refusal_;         // of the last of either
  std::optional<Retry> submits_;              // attempts that may be repeated with the same key
  std::optional<Retry> reads_;                // of the status, then of the result
  std::optional<Retry> cancels_;
  std::optional<Error> doubt_;           // fal has only perhaps taken the job that it named
  std::optional<TimePoint> late_until_;  // who gave up no longer waits for the result after that
  bool hold_ended_ = false;              // from then on the status is asked
  int refused_looks_ = 0;                // 403, in a row
  bool probing_ = false;  // the result is fetched although the status could not be read
  std::optional<TimePoint> unreadable_since_;
  TimePoint started_{}, accepted_{};
  std::optional<TimePoint> asked_for_key_, running_, completed_;
  std::chrono::microseconds waited_for_key_{0};
};

}  // namespace falproxy::inline v0::runs
