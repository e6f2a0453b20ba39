#include "handlers/chat_passage.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/chat_router.hpp"
#include "passage.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

constexpr std::size_t longest_failure = 64u << 10;

// What is learned of a call on the fiber beside.
struct Bill {
  explicit Bill(bool is_stream) : reader(is_stream) {}
  router::CostReader reader;
  int status = 0;
  std::optional<Usd> cost;
};

bool is_event_stream(const HttpHead& head) {
  constexpr std::string_view type = "text/event-stream";
  return equal_ignoring_case(head.headers.find("content-type").value_or("").substr(0, type.size()),
                             type);
}

// What it cost becomes what was reserved for it.
Passage::Watch watch_of(const std::shared_ptr<std::optional<Bill>>& bill, Budgets& budgets,
                        Payer payer, Reservation reservation) {
  return {
      .head =
          [bill](const HttpHead& head) {
            bill->emplace(is_event_stream(head));
            (*bill)->status = head.status;
          },
      .data = [bill](std::string_view bytes) { (*bill)->reader.feed(bytes); },
      .end =
          [bill, &budgets, payer = std::move(payer),
           reservation = std::move(reservation)](const Result<Forwarded>& how) {
            const bool answered = bill->has_value();
            const std::optional<Usd> told =
                answered ? (*bill)->reader.cost() : std::optional<Usd>();
            constexpr double nano = 1e9;
            const bool refused = (answered && (*bill)->status >= 400) ||
                                 (!answered && !how && !how.error().submitted);
            const auto cost = budgets.settle(
                payer, reservation,
                {.endpoint = std::string(router::app),
                 .units = told ? std::optional(static_cast<double>(told->nano) / nano)
                               : std::optional<double>(),
                 .may_be_billed = !refused});
            if (answered) (*bill)->cost = cost;
          },
  };
}

HttpRequest request_for(const Call& call, std::string body, std::string_view operation) {
  const std::string_view accept = call.field("accept");
  return {
      .method = "POST",
      .url = call.rules->settings.fal_run_url + std::string(router::path) + std::string(operation),
      .headers = {{"Content-Type", "application/json"},
                  {"Accept", std::string(accept.empty() ? "*/*" : accept)}},
      .body = Body(std::move(body))};
}

void note_bill(RequestRecord& record, const std::optional<Bill>& bill) {
  if (bill && !record.receipt.jobs.empty()) record.receipt.jobs.front().cost = bill->cost;
}

// The one thing that may be other than it came.
Result<std::string> with_upstream(std::string body, const ChatModel& model) {
  const Result<std::optional<router::NamedModel>> found = router::find_model(body);
  if (!found) return found.error();
  if (found->has_value() && (*found)->name == model.upstream) return body;
  return router::with_model(body, *found, model.upstream);
}

}  // namespace

Result<Addressed> addressed_model(const Request& request, const Settings& settings,
                                  std::string_view body) {
  const Result<std::optional<router::NamedModel>> found = router::find_model(body);
  if (!found) return found.error();
  Addressed addressed;
  addressed.name = request.parameter(serving::deployment_parameter);
  if (addressed.name.empty() && found->has_value()) addressed.name = (*found)->name;
  addressed.chat = chat_model(settings, addressed.name);
  return addressed;
}

Response pass_to_router(Handover handover, std::string body, const ChatModel& model,
                        std::string_view operation) {
  Call& call = handover.call;
  const Door::Parts& parts = call.door.parts();
  RequestRecord& record = handover.record;
  if (!call.rules->access.may_use(call.caller.client, record.model)) {
    return handover.fail({.kind = ErrorKind::model_not_allowed,
                          .message = fmt::format("This access key may not use the model '{}'.",
                                                 record.model.substr(0, 200)),
                          .field = "model"});
  }
  Result<std::string> sent = with_upstream(std::move(body), model);
  if (!sent) return handover.fail(std::move(sent).error());
  const Payer payer{.client = record.client, .model = model.name, .user = record.user};
  Result<std::vector<Reservation>> reserved = parts.budgets.reserve(
      payer, {{.endpoint = std::string(router::app), .expected = {}, .by_tokens = true}});
  if (!reserved) return handover.fail(std::move(reserved).error());

  static serving::FiberClock clock;
  const auto bill = std::make_shared<std::optional<Bill>>();
  const auto passage =
      std::make_shared<Passage>(clock, handover.context.stop,
                                watch_of(bill, parts.budgets, payer, std::move(reserved->front())));
  if (!Passage::begin(passage, call, {.request = request_for(call, *std::move(sent), operation)},
                      handover.context)) {
    return handover.fail(
        {.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  }
  record.receipt.served_model = record.model;
  record.receipt.jobs.resize(1);
  record.receipt.jobs.front().endpoint = router::app;
  const Result<HttpHead> head = passage->head();
  if (!head) return handover.fail(head.error());
  record.receipt.jobs.front().accepted = true;
  record.receipt.jobs.front().fal_request_id = head->headers.find("x-fal-request-id").value_or("");
  Response response = passed_head(*head);
  if (head->status >= 400) {
    const Error error{.kind = ErrorKind::upstream_failed,
                      .message = fmt::format("The chat model answered {}.", head->status)};
    response.length.reset();
    response.content_type = "application/json";
    response.body = Body(router::write_error(head->status, passage->whole(longest_failure)));
    record.answer_bytes = response.body.size();
    note_bill(record, *bill);
    handover.done(head->status, &error);
    return response;
  }
  response.stream = [passage, bill, &record, status = head->status,
                     done = std::move(handover.done)](Request& out) {
    const bool whole = passage->write_to(out);
    note_bill(record, *bill);
    const Error cut{.kind = ErrorKind::upstream_failed, .message = "The answer broke off."};
    done(status, whole || out.client_left() ? nullptr : &cut);
  };
  return response;
}

}  // namespace falproxy::app
