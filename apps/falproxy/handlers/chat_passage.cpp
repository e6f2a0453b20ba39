#include "handlers/chat_passage.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/chat_router.hpp"
#include "falproxy/executor.hpp"
#include "passage.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

constexpr std::size_t longest_failure = 64u << 10;

// What is learned of a call on the fiber beside.
struct Bill {
  std::optional<Reservation> reservation;  // none: not yet
  std::optional<router::CostReader> reader;
  int status = 0;
  std::optional<Usd> cost;
};

bool is_event_stream(const HttpHead& head) {
  constexpr std::string_view type = "text/event-stream";
  return equal_ignoring_case(head.headers.find("content-type").value_or("").substr(0, type.size()),
                             type);
}

// What it cost becomes what was reserved for it.
Passage::Watch watch_of(const std::shared_ptr<Bill>& bill, Budgets& budgets, Payer payer) {
  return {
      .head =
          [bill](const HttpHead& head) {
            bill->reader.emplace(is_event_stream(head));
            bill->status = head.status;
          },
      .data = [bill](std::string_view bytes) { bill->reader->feed(bytes); },
      .end =
          [bill, &budgets, payer = std::move(payer)](const Result<Forwarded>& how) {
            if (!bill->reservation) return;
            const bool answered = bill->reader.has_value();
            const std::optional<Usd> told = answered ? bill->reader->cost() : std::optional<Usd>();
            constexpr double nano = 1e9;
            const bool refused =
                (answered && bill->status >= 400) || (!answered && !how && !how.error().submitted);
            bill->cost = budgets.settle(
                payer, *bill->reservation,
                {.endpoint = std::string(router::app),
                 .units = told ? std::optional(static_cast<double>(told->nano) / nano)
                               : std::optional<double>(),
                 .may_be_billed = !refused});
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

// The one thing that may be other than it came.
std::string with_upstream(std::string body, const ChatModel& model,
                          const std::optional<router::NamedModel>& named, Executor& executor) {
  if (named.has_value() && named->name == model.upstream) return body;
  return run_by_size(executor, body.size(),
                     [&] { return router::with_model(body, named, model.upstream); });
}

}  // namespace

Result<Addressed> addressed_model(const Call& call, std::string_view body) {
  Result<std::optional<router::NamedModel>> found = run_by_size(
      call.door.parts().executor, body.size(), [&] { return router::find_model(body); });
  if (!found) return std::move(found).error();
  Addressed addressed{.named = *std::move(found)};
  addressed.name = call.request.parameter(serving::deployment_parameter);
  if (addressed.name.empty() && addressed.named) addressed.name = addressed.named->name;
  addressed.chat = chat_model(call.rules->settings, addressed.name);
  return addressed;
}

Response pass_to_router(Handover handover, std::string body, const ChatModel& model,
                        const std::optional<router::NamedModel>& named,
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
  std::string sent = with_upstream(std::move(body), model, named, parts.executor);
  const Payer payer{.client = record.client, .model = model.name, .user = record.user};
  static serving::FiberClock clock;
  const auto bill = std::make_shared<Bill>();
  // From here on it settles what is reserved, whatever happens.
  const auto passage =
      std::make_shared<Passage>(clock, handover.context.stop, watch_of(bill, parts.budgets, payer));
  Result<std::vector<Reservation>> reserved = parts.budgets.reserve(
      payer, {{.endpoint = std::string(router::app), .expected = {}, .by_tokens = true}});
  if (!reserved) return handover.fail(std::move(reserved).error());
  bill->reservation = std::move(reserved->front());
  if (!Passage::begin(passage, call, {.request = request_for(call, std::move(sent), operation)},
                      handover.context)) {
    return handover.fail(
        {.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  }
  record.receipt.served_model = model.name;
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
    response.body =
        Body(router::write_error(head->status, passage->whole(longest_failure).value_or("")));
    record.answer_bytes = response.body.size();
    record.receipt.jobs.front().cost = bill->cost;
    handover.done(head->status, &error);
    return response;
  }
  response.stream = [passage, bill, &record, status = head->status,
                     done = std::move(handover.done)](Request& out) {
    const bool whole = passage->write_to(out);
    record.receipt.jobs.front().cost = bill->cost;
    const Error cut{.kind = ErrorKind::upstream_failed, .message = "The answer broke off."};
    done(status, whole || out.client_left() ? nullptr : &cut);
  };
  return response;
}

}  // namespace falproxy::app
