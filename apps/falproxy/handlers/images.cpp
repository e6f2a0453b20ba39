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
#include "handlers/handlers.hpp"
#include "handlers/run_call.hpp"
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
class ImageCall final : public RunCall {
 public:
  ImageCall(Call& call, Intent intent, Door::Admission admission, bool dry_run)
      : RunCall(call, Medium::image, std::move(admission), dry_run), intent_(intent) {}

  Response answer() override;

 private:
  Response begin_job(Wish image);
  [[nodiscard]] Feed::Write event_writer() const override {
    return [intent = intent_](const Product& product, std::optional<int> preview,
                              std::optional<Usd> cost) {
      openai::ImageEvent event = openai::image_event(product, intent, preview);
      event.usage.cost = cost;
      return openai::write(event);
    };
  }
  Body last_events(Feed& feed, const Facts& facts) override;
  Response answer_to(Outcome outcome) override;

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
  const bool events = image->stream;
  if (events) image->response_format = ResponseFormat::b64_json;
  return answer_by_run(std::move(image).value(), events);
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

Body ImageCall::last_events(Feed& feed, const Facts& facts) {
  const Outcome& outcome = feed.outcome();
  // Programs stop reading at the last picture, and at an error.
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
