#include "handlers/run_call.hpp"

#include <utility>

#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

Response RunCall::answer_by_run(Wish wish, bool events) {
  request_.hold_when_client_leaves(repeat_hold);
  if (events) return while_it_runs(std::move(wish), Feed::Kind::events);
  if (rules_->settings.keepalive.count() > 0)
    return while_it_runs(std::move(wish), Feed::Kind::blanks);
  return answer_to(run(std::move(wish), context()));
}

// The jobs run on a fiber of their own, beside the one that writes what they tell.
Response RunCall::while_it_runs(Wish wish, Feed::Kind kind) {
  static serving::FiberClock clock;
  const bool events = kind == Feed::Kind::events;
  const auto feed = std::make_shared<Feed>(
      clock, kind, events ? Milliseconds(Feed::comment_interval) : rules_->settings.keepalive,
      event_writer());
  const auto asked = std::make_shared<Wish>(std::move(wish));
  CallContext call = context();
  call.progress = feed.get();
  const bool runs = request_.run_beside([this, feed, asked, call = std::move(call)] {
    try {
      feed->end(run(std::move(*asked), call));
    } catch (...) {
      feed->end({.response = Error{.kind = ErrorKind::internal, .message = "falproxy failed."},
                 .receipt = {}});
    }
  });
  if (!runs)
    return failure({.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  if (!feed->wait_to_begin()) {
    // Nothing is out: a failure has a status of its own, which SDKs act on.
    return events && feed->outcome().response ? events_at_once(*feed)
                                              : answer_to(std::move(feed->outcome()));
  }
  Response response;
  if (events) {
    response.content_type = Feed::event_type;
    response.fields = event_fields;
  }
  if (const auto underway = feed->underway()) append_underway(response.fields, *underway);
  response.stream = [this, feed, events](Request& out) {
    streams_ = true;
    if (events) {
      if (const Body first = first_events(); !first.empty()) static_cast<void>(out.write(first));
    }
    // Also for a client that has left: it may come back for what its jobs bring.
    for (Body part = feed->next(); !part.empty(); part = feed->next())
      static_cast<void>(out.write(part));
    if (!events) {
      const Response last = answer_to(std::move(feed->outcome()));
      if (!out.write(last.body) && last.undelivered) last.undelivered();
      return;
    }
    record_.receipt = std::move(feed->outcome().receipt);
    const bool sent = out.write(last_events(*feed, facts()));
    if (!sent && feed->outcome().undelivered) feed->outcome().undelivered();
  };
  return response;
}

Body RunCall::end_of_files(Feed& feed, const Facts& facts, bool tells_shortfall) {
  const Outcome& outcome = feed.outcome();
  // Programs stop reading at the last file, and at an error.
  Body events(comment_of(facts));
  events.append(feed.rest(cost_of(record_.receipt)));
  record_.answer_bytes = feed.picture_bytes();
  const std::optional<Error> failed =
      outcome.response ? outcome.shortfall : std::optional(outcome.response.error());
  if (!failed) {
    done(200, nullptr);
    return events;
  }
  const Error error = explained(*failed);
  if (!outcome.response || tells_shortfall)
    events.append(openai::write_error_event(error, record_.model));
  done(outcome.response ? 200 : openai::describe(error.kind).status, &error);
  return events;
}

Response RunCall::events_at_once(Feed& feed) {
  record_.receipt = std::move(feed.outcome().receipt);
  const Facts told = facts();
  Response response{.content_type = std::string(Feed::event_type),
                    .fields = event_fields,
                    .body = first_events(),
                    .undelivered = feed.outcome().undelivered};
  append_facts(response.fields, told);
  response.body.append(last_events(feed, told));
  return response;
}

}  // namespace falproxy::app
