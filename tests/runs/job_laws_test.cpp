// What holds of jobs whatever fal does: many at once, stepped in virtual time, over one key ring.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/key_ring.hpp"
#include "runs/story.hpp"

namespace falproxy::inline v0::runs {
namespace {

bool may_have_arrived(const Event& event) {
  if (const auto* no_answer = std::get_if<event::NoAnswer>(&event)) {
    return !no_answer->error.nothing_sent && no_answer->error.fault != TransportFault::unreachable;
  }
  const auto* answer = std::get_if<event::Answered>(&event);
  return answer == nullptr || answer->head.status < 400;
}

bool says(const Event& event, std::string_view word) {
  if (const auto* said = std::get_if<event::StatusSaid>(&event))
    return said->status.state == fal::QueueState::completed && word == "COMPLETED";
  const auto* answer = std::get_if<event::Answered>(&event);
  return answer != nullptr && *answer->body == R"({"status":")" + std::string(word) + R"("})";
}

// One job, a fal that does anything at all by the dice, and what was seen of the two.
class Walk {
 public:
  Walk(std::uint64_t seed, Route route, KeyRing& keys, TimePoint begin)
      : random_(seed),
        deadline_(begin + 60s),
        keys_(keys),
        job_({.endpoint = *fal::EndpointId::parse("fal-ai/flux/dev"),
              .queue = "https://queue.fal.run",
              .route = route,
              .max_submit_attempts = 4,
              .deadline = deadline_},
             half_) {
    if (one_in(3)) leaves_ = begin + some_time(90s);
    repeats_ = one_in(5);
    step(event::Started{}, begin);
  }

  [[nodiscard]] bool over() const { return action_.kind == Kind::finished; }
  /// When something happens next.
  [[nodiscard]] TimePoint next() const { return due_; }
  void go_on() {
    const TimePoint now = due_;
    if (repeats_ && one_in(40)) {
      deadline_ = std::max(deadline_, now + 20s);
      job_.extend(deadline_);
    }
    const Event event = std::move(*coming_);
    if (action_.kind == Kind::submit) perhaps_there_ = perhaps_there_ || may_have_arrived(event);
    note(event, now);
    step(event, now);
  }
  Job& job() { return job_; }

  void check_end() {
    const JobReceipt& receipt = job_.receipt();
    const JobEnd& end = job_.end();
    REQUIRE(receipt.submits == submits_);
    REQUIRE((end.fate == Fate::none) == (submits_ == 0));
    REQUIRE((end.fate == Fate::result) == (end.result != nullptr));
    REQUIRE(cancels_ <= 2);
    switch (end.fate) {
      case Fate::result:
        if (job_.submitted().has_value()) REQUIRE(fetches_ >= 1);
        break;
      case Fate::cancelled:
        REQUIRE(cancels_ >= 1);
        REQUIRE_FALSE(completed_.has_value());
        break;
      case Fate::abandoned:
        REQUIRE(end.error.submitted);
        REQUIRE_FALSE((end.error.message.empty() && receipt.fault.empty()));
        // What fal completed was asked for until the time was over, and longer.
        if (completed_.has_value()) {
          REQUIRE(gave_up_.has_value());
          REQUIRE(due_ >= std::max(*gave_up_, *completed_) + 29s);
          REQUIRE(fetched_last_ >= due_ - 31s);
        }
        break;
      case Fate::failed:
      case Fate::none:
        break;
    }
    if (end.fate != Fate::result) {
      REQUIRE_FALSE(end.error.message.empty());
      REQUIRE((end.error.submitted || !receipt.accepted));
    }
  }

 private:
  void step(const Event& event, TimePoint now) {
    REQUIRE(++steps_ < 5000);
    action_ = job_.step(event, now);
    if (action_.report.has_value() && lease_.has_value())
      lease_->report(action_.report->outcome, now, action_.report->retry_after);
    due_ = now;
    if (job_.end().given_up.has_value() && !gave_up_.has_value()) gave_up_ = now;
    if (over()) {
      lease_.reset();
      return;
    }
    if (leaves_.has_value() && !told_.has_value() && *leaves_ <= now) {
      told_ = now;
      return step(event::Stopped{}, now);
    }
    check_action(now);
    plan(now);
  }

  void check_action(TimePoint now) {
    const Kind kind = action_.kind;
    REQUIRE_FALSE((kind == Kind::submit && (perhaps_there_ || told_.has_value())));
    REQUIRE_FALSE((kind == Kind::cancel && completed_.has_value()));
    const bool of_the_queue = kind == Kind::hold || kind == Kind::keep_holding ||
                              kind == Kind::look || kind == Kind::fetch || kind == Kind::cancel;
    REQUIRE((job_.submitted().has_value() || !of_the_queue));
    if (kind == Kind::wait) REQUIRE(action_.until > now);
    const TimePoint end = std::max(deadline_, told_.value_or(deadline_));
    REQUIRE(now <= end + 125s);  // a late submit, and then a late result
    submits_ += kind == Kind::submit ? 1 : 0;
    fetches_ += kind == Kind::fetch ? 1 : 0;
    cancels_ += kind == Kind::cancel ? 1 : 0;
    if (kind == Kind::fetch) fetched_last_ = now;
  }

  // What comes of the action, and when.
  void plan(TimePoint now) {
    due_ = now + some_time(one_in(20) ? 70s : 300ms);
    coming_ = respond(now);
    if (action_.kind == Kind::wait) due_ = std::max(now, action_.until);
    const bool exchange = action_.kind != Kind::wait && action_.kind != Kind::acquire_key;
    if (exchange && due_ > action_.until) {
      due_ = action_.until;
      coming_ = action_.kind == Kind::hold || action_.kind == Kind::keep_holding
                    ? Event(event::HoldEnded{})
                    : lost(TransportFault::timed_out);
    }
    // The driver breaks off what a stop may break off.
    const bool to_its_end =
        action_.kind == Kind::submit || action_.kind == Kind::fetch || action_.kind == Kind::cancel;
    if (leaves_.has_value() && !told_.has_value() && !to_its_end && *leaves_ < due_) {
      due_ = std::max(now, *leaves_);
      told_ = due_;
      coming_ = event::Stopped{};
    }
  }

  void note(const Event& event, TimePoint now) {
    const bool asked_status = action_.kind == Kind::look || action_.kind == Kind::hold ||
                              action_.kind == Kind::keep_holding;
    const bool is_success = !std::holds_alternative<event::Answered>(event) ||
                            std::get<event::Answered>(event).head.status < 300;
    if (asked_status && is_success && says(event, "COMPLETED")) completed_ = now;
    if (action_.kind == Kind::cancel && says(event, "ALREADY_COMPLETED")) completed_ = now;
  }

  Event respond(TimePoint now) {
    switch (action_.kind) {
      case Kind::acquire_key: {
        lease_.reset();
        Result<KeyLease> lease = keys_.acquire(now);
        if (!lease) return event::KeyDenied{std::move(lease).error()};
        lease_.emplace(std::move(*lease));
        return event::KeyGranted{lease_->slot()};
      }
      case Kind::hold:
      case Kind::keep_holding:
        if (action_.kind == Kind::hold && one_in(4)) return event::HoldDenied{};
        if (one_in(4)) return event::HoldEnded{};
        return one_in(3) ? completed : one_in(2) ? in_queue : in_progress;
      case Kind::wait:
      case Kind::finished:
        return event::Woken{};
      case Kind::submit:
      case Kind::look:
      case Kind::fetch:
      case Kind::cancel:
        break;
    }
    if (one_in(100)) return event::Threw{"no memory"};
    if (one_in(5)) return lost(static_cast<TransportFault>(below(5)), one_in(2));
    const HttpHeaders headers = one_in(2) ? HttpHeaders{{"x-fal-request-id", "r1"}} : HttpHeaders{};
    return answered(
        pick<int>({200, 200, 200, 202, 302, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504}),
        pick<std::string>({accepted_body, accepted_body, R"({"status":"COMPLETED"})",
                           R"({"status":"IN_PROGRESS"})", R"({"images":[]})", R"({"images":[)",
                           "<html>", "", R"({"status":"ALREADY_COMPLETED"})",
                           R"({"status":"NOT_FOUND"})", R"({"detail":"User is locked."})",
                           R"({"detail":"Request is still in progress"})",
                           R"({"detail":[{"loc":["body"],"msg":"m","type":"t"}]})"}),
        headers);
  }

  int below(int n) { return static_cast<int>(random_() * n); }
  bool one_in(int n) { return below(n) == 0; }
  Milliseconds some_time(Milliseconds most) {
    return Milliseconds(1 + below(static_cast<int>(most.count())));
  }
  template <class T>
  T pick(std::vector<T> values) {
    return values[static_cast<std::size_t>(below(static_cast<int>(values.size())))];
  }

  testing::FixedRandom random_;
  const std::function<double()> half_ = [] { return 0.5; };
  TimePoint deadline_;
  KeyRing& keys_;
  Job job_;
  std::optional<KeyLease> lease_;
  Action action_;
  TimePoint due_{};
  std::optional<Event> coming_;
  std::optional<TimePoint> leaves_, told_, gave_up_, completed_;
  TimePoint fetched_last_{};
  bool repeats_ = false, perhaps_there_ = false;
  int steps_ = 0, submits_ = 0, fetches_ = 0, cancels_ = 0;
};

}  // namespace

TEST_CASE(
    "whatever fal does, each of many jobs ends in time, is submitted once, is fetched where fal "
    "completed it, and is not left running untold") {
  std::map<Fate, int> fates;
  int late_results = 0;
  for (const Route route :
       {Route::queue_stream, Route::queue_poll, Route::run, Route::model_stream}) {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
      CAPTURE(seed);
      CAPTURE(static_cast<int>(route));
      KeyRing keys({{Secret("a")}, {Secret("b"), Secret("c")}, {Secret("d")}}, {},
                   [] { return 0.5; });
      std::vector<std::unique_ptr<Walk>> walks;
      TimePoint now = testing::VirtualClock::epoch();
      for (std::uint64_t i = 0; i < 20; ++i)
        walks.push_back(
            std::make_unique<Walk>(seed * 1000 + i, route, keys, now + Milliseconds(700 * i)));
      const auto sooner = [](const auto& walk, const auto& other) {
        return std::pair(walk->over(), walk->next()) < std::pair(other->over(), other->next());
      };
      while (true) {
        Walk& next = **std::ranges::min_element(walks, sooner);
        if (next.over()) break;
        now = std::max(now, next.next());
        next.go_on();
      }
      for (const std::unique_ptr<Walk>& walk : walks) {
        walk->check_end();
        ++fates[walk->job().end().fate];
        late_results +=
            walk->job().end().given_up.has_value() && walk->job().end().result != nullptr ? 1 : 0;
      }
      for (const AccountStatus& account : keys.status(now)) REQUIRE(account.leases == 0);
    }
  }
  MESSAGE("results ", fates[Fate::result], ", of them late ", late_results, ", cancelled ",
          fates[Fate::cancelled], ", failed ", fates[Fate::failed], ", abandoned ",
          fates[Fate::abandoned], ", never submitted ", fates[Fate::none]);
  CHECK(late_results > 0);
  for (const Fate fate : {Fate::result, Fate::cancelled, Fate::failed, Fate::abandoned, Fate::none})
    CHECK(fates[fate] > 0);
}

}  // namespace falproxy::inline v0::runs
