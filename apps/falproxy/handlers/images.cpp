// Pictures: from the body of a request to its answer.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/form_reader.hpp"
#include "falproxy/plan.hpp"
#include "feed.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "later.hpp"
#include "serving/head.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Request;
using serving::Response;

namespace {

std::string surface_of(Intent intent) {
  switch (intent) {
    case Intent::generation:
      return "images.generations";
    case Intent::edit:
      return "images.edits";
    case Intent::variation:
      return "images.variations";
  }
  return "images";
}

// One picture request that was let in.
class ImageCall final : public WishCall {
 public:
  ImageCall(Call& call, Intent intent, Door::Admission admission, bool dry_run)
      : WishCall(call, Medium::image, std::move(admission), dry_run), intent_(intent) {}

  Response answer() override;

 private:
  Response begin_job(Wish image);
  Response while_it_runs(Wish image, Feed::Kind kind);
  Response events_at_once(Feed& feed);
  Body last_events(Feed& feed, const Facts& facts);
  Response answer_to(Outcome outcome);

  const Intent intent_;
};

Response ImageCall::answer() {
  Result<Wish> image = read_wish(intent_);
  if (!image) return failure(std::move(image).error());
  record_.model = image->model.value_or("");
  if (dry_run_) return explain(*image);
  note_user(*image);
  if (!callback_) return failure(callback_.error());
  if (prefers_async(request_.head()) && !image->stream) return begin_job(std::move(image).value());
  if (const auto fault = fault_of_callback()) return failure(*fault);
  request_.hold_when_client_leaves(repeat_hold);
  if (image->stream) {
    image->response_format = ResponseFormat::b64_json;
    return while_it_runs(std::move(image).value(), Feed::Kind::events);
  }
  if (rules_->settings.keepalive.count() > 0)
    return while_it_runs(std::move(image).value(), Feed::Kind::blanks);
  return answer_to(parts_.runner.handle(std::move(image).value(), context()));
}

// The answer is an address at which the run can be asked for.
Response ImageCall::begin_job(Wish image) {
  std::variant<Begun, Outcome> started = begin(std::move(image), surface_of(intent_));
  if (auto* outcome = std::get_if<Outcome>(&started)) return answer_to(std::move(*outcome));
  const Begun& begun = std::get<Begun>(started);
  const Result<RunStatus> status = status_of(begun);
  if (!status) return failure(status.error());
  Response response = begun_answer(begun, 202, job_json(*status));
  response.fields += fmt::format("Location: /v1/falproxy/jobs/{}\r\n", job_id(begun.id));
  append_field(response.fields, "Preference-Applied", "respond-async");
  return response;
}

Response ImageCall::answer_to(Outcome outcome) {
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(std::move(outcome.response).error());
  keep(*outcome.response);
  openai::ImageResponse made = openai::image_response(*std::move(outcome.response));
  made.usage.cost = cost_of(record_.receipt);
  Response response{.body = openai::write(made), .undelivered = std::move(outcome.undelivered)};
  append_facts(response.fields, facts());
  record_.answer_bytes = response.body.size();
  done(response.status, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return response;
}

// The jobs run on a fiber of their own, beside the one that writes what they tell.
Response ImageCall::while_it_runs(Wish image, Feed::Kind kind) {
  static serving::FiberClock clock;
  const bool events = kind == Feed::Kind::events;
  const auto feed = std::make_shared<Feed>(
      clock, kind, events ? Milliseconds(Feed::comment_interval) : rules_->settings.keepalive,
      [intent = intent_](const Product& product, std::optional<int> preview) {
        return openai::write(openai::image_event(product, intent, preview));
      });
  const auto asked = std::make_shared<Wish>(std::move(image));
  CallContext call = context();
  call.progress = feed.get();
  const bool runs = request_.run_beside([this, feed, asked, call = std::move(call)] {
    try {
      feed->end(parts_.runner.handle(std::move(*asked), call));
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

Response ImageCall::events_at_once(Feed& feed) {
  record_.receipt = std::move(feed.outcome().receipt);
  const Facts told = facts();
  Response response{.content_type = std::string(Feed::event_type),
                    .fields = event_fields,
                    .undelivered = feed.outcome().undelivered};
  append_facts(response.fields, told);
  response.body = last_events(feed, told);
  return response;
}

Body ImageCall::last_events(Feed& feed, const Facts& facts) {
  const Outcome& outcome = feed.outcome();
  // Programs stop reading at the last picture, and at an error.
  Body events(comment_of(facts));
  events.append(feed.rest());
  record_.answer_bytes = feed.picture_bytes();
  const std::optional<Error> failed =
      outcome.response ? outcome.shortfall : std::optional(outcome.response.error());
  if (!failed) {
    done(200, nullptr);
    return events;
  }
  const Error error = explained(*failed);
  events.append(openai::write_error_event(error, record_.model));
  done(outcome.response ? 200 : openai::describe(error.kind).status, &error);
  return events;
}

Response answer_images(Call& call, Intent intent) {
  const BodyKind takes = intent == Intent::generation ? BodyKind::json : BodyKind::json_or_form;
  return answer_wish(call, takes, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<ImageCall>(call, intent, std::move(admission), dry_run);
  });
}

}  // namespace

Response generate(Call& call) { return answer_images(call, Intent::generation); }
Response edit(Call& call) { return answer_images(call, Intent::edit); }
Response vary(Call& call) { return answer_images(call, Intent::variation); }

}  // namespace falproxy::app
