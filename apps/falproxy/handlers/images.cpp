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
  [[nodiscard]] Feed::Write event_writer() const override {
    return [intent = intent_](const Product& product, std::optional<int> preview,
                              std::optional<Usd> cost) {
      openai::ImageEvent event = openai::image_event(product, intent, preview);
      event.usage.cost = cost;
      return openai::write(event);
    };
  }
  Body last_events(Feed& feed, const Facts& facts) override {
    return end_of_files(feed, facts, true);
  }
  Response answer_to(Outcome outcome) override;

  const Intent intent_;
};

Response ImageCall::answer() {
  Result<Wish> image = read_wish(intent_);
  if (!image) return failure(std::move(image).error());
  record_.model = image->model.value_or("");
  if (auto explained = take_up(*image)) return *std::move(explained);
  if (!callback_) return failure(callback_.error());
  if (prefers_async(request_.head()) && !image->stream)
    return begin_job(std::move(image).value(), surface_of(intent_));
  if (const auto fault = fault_of_callback()) return failure(*fault);
  const bool events = image->stream;
  if (events) image->response_format = ResponseFormat::b64_json;
  return answer_by_run(std::move(image).value(), events);
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
