#include "runs/forward.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/json.hpp"
#include "runs/faults.hpp"

namespace falproxy::inline v0::runs {
namespace {

constexpr std::size_t longest_failure = 64u << 10;

// Hands an answer on, but for a failure, which is judged before.
class ForwardSink final : public ResponseSink {
 public:
  ForwardSink(ResponseSink& to, std::function<void()> taken) : to_(to), taken_(std::move(taken)) {}

  bool head(HttpHead head) override {
    head_ = std::move(head);
    if (is_failure()) return true;
    taken_();
    begun_ = true;
    return to_.head(*head_);
  }
  bool data(std::string_view bytes) override {
    if (!is_failure()) return to_.data(bytes);
    failure_.append(bytes.substr(0, longest_failure - std::min(longest_failure, failure_.size())));
    return failure_.size() < longest_failure;
  }

  [[nodiscard]] bool is_failure() const noexcept { return head_ && head_->status >= 400; }
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  [[nodiscard]] const HttpHead& seen() const noexcept { return *head_; }
  [[nodiscard]] bool has_head() const noexcept { return head_.has_value(); }
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  /// A failure that is the request's own.
  Result<Done> hand_on(const Secret& key) {
    const std::string said = without_secret(failure_, key);
    HttpHead head = *head_;
    // Of a long failure this is the beginning alone.
    if (head.headers.find("content-length"))
      head.headers.set("content-length", std::to_string(said.size()));
    if (to_.head(std::move(head)) && (said.empty() || to_.data(said))) return Done{};
    return cancelled_error();
  }

 private:
  ResponseSink& to_;
  const std::function<void()> taken_;
  std::optional<HttpHead> head_;
  std::string failure_;
  bool begun_ = false;
};

// A provider behind fal's router asks to slow down, and not fal: that says nothing of the key.
bool is_of_the_model(const HttpHead& head, std::string_view body) {
  if (head.status != 429) return false;
  const Result<Json> said = Json::parse(body);
  return said && said->find("error").has_value() && !said->find("detail").has_value();
}

Error refused(const fal::Fault& fault, const Verdict& verdict) {
  if (verdict.outcome == KeyOutcome::rate_limited) {
    return {.kind = ErrorKind::keys_resting,
            .message = "fal takes no more requests at the moment.",
            .retry_after = fault.retry_after};
  }
  return {.kind = ErrorKind::keys_out, .message = "No configured fal key may be used for this."};
}

Error no_answer(const TransportError& error, const CallContext& context, Clock& clock) {
  if (error.nothing_sent || error.fault == TransportFault::unreachable)
    return {.kind = ErrorKind::upstream_unreachable, .message = "fal could not be reached."};
  Error lost{.kind = ErrorKind::upstream_failed, .message = "fal did not answer the request."};
  if (error.fault == TransportFault::timed_out || clock.now() >= context.deadline)
    lost = {.kind = ErrorKind::timed_out, .message = "fal did not answer in time."};
  if (error.fault == TransportFault::cancelled) lost = cancelled_error();
  lost.submitted = true;
  return lost;
}

Result<KeyLease> acquire(const World& world, const ForwardedRequest& request,
                         const CallContext& context, const std::vector<std::size_t>& except) {
  if (!request.account.empty()) return world.parts.keys.acquire_again(request.account, false);
  return world.parts.keys.acquire_or_wait(world.parts.clock, context.deadline, context.stop,
                                          {.except = except, .counted = request.counted});
}

}  // namespace

Result<Forwarded> forward(const World& world, const ForwardedRequest& request,
                          const CallContext& context, ResponseSink& sink) {
  Clock& clock = world.parts.clock;
  std::vector<std::size_t> refused_by;
  std::optional<Error> refusal;
  while (true) {
    Result<KeyLease> lease = acquire(world, request, context, refused_by);
    if (!lease) return refusal.value_or(lease.error());
    HttpRequest sent = request.request;
    sent.headers.set("Authorization", "Key " + std::string(lease->key().reveal()));
    // Only what was submitted shows that fal takes more from a key.
    ForwardSink way(sink, [&] {
      if (request.account.empty()) report_key(world, *lease, {KeyOutcome::accepted});
    });
    const Result<Done, TransportError> end =
        world.parts.transport.send(sent, context.deadline, context.stop, way);
    const bool is_failure = way.is_failure();
    if (!end || is_failure) world.tally.upstream_faults.fetch_add(1);
    world.debug([&] {
      return fmt::format("{} {} -> {}", sent.method, sent.url,
                         way.has_head() ? std::to_string(way.seen().status) : end.error().message);
    });
    Forwarded done{.account = lease->fingerprint()};
    if (!is_failure) {
      if (request.counted) done.place = std::make_shared<const KeyLease>(*std::move(lease));
      if (end) return done;
      return no_answer(end.error(), context, clock);
    }
    const fal::Fault fault = fal::read_fault(way.seen(), way.failure());
    const Verdict verdict = verdict_on(fault);
    if (!verdict.another_key || is_of_the_model(way.seen(), way.failure())) {
      if (Result<Done> handed = way.hand_on(lease->key()); !handed) return handed.error();
      return done;
    }
    if (verdict.outcome.has_value())
      report_key(world, *lease, {*verdict.outcome, fault.retry_after, words_of(fault)});
    refused_by.push_back(lease->slot());
    refusal = refused(fault, verdict);
    if (!request.account.empty()) return *std::move(refusal);
  }
}

}  // namespace falproxy::inline v0::runs
