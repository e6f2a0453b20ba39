// Asynchronous requests: how they stand, and their end.

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "file_answer.hpp"
#include "handlers/handlers.hpp"
#include "later.hpp"
#include "media_store/media_keeper.hpp"
#include "paging.hpp"
#include "relay.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

constexpr std::size_t usual_count = 20;
constexpr std::size_t most = 100;

Response answered(Body body) {
  return {.fields = "Cache-Control: no-store\r\n", .body = std::move(body)};
}

Error not_found(const Call& call) {
  return {.kind = ErrorKind::run_not_found,
          .message = fmt::format("No such job: '{}'.", call.request.parameter("id")),
          .field = "id"};
}

// Whose jobs are meant: the operator may name another key.
std::string owner_of(const Call& call) {
  if (!call.caller.is_operator) return call.caller.client;
  const std::string named = query_value(call.request.head().target, "key");
  return named.empty() ? call.caller.client : named;
}

template <class F>
Response with_run(Call& call, F&& find) {
  const std::optional<RunId> id = parse_job_id(call.request.parameter("id"));
  if (!id.has_value()) return call.fail(not_found(call));
  Result<std::optional<RunStatus>> status = find(*id);
  if (!status) return call.fail(status.error());
  if (!status->has_value()) return call.fail(not_found(call));
  if ((*status)->phase != RunPhase::completed) return answered(job_json(**status));
  CallContext context{.deadline = call.request.began() + call.rules->settings.request_timeout,
                      .stop = call.request.stop()};
  Result<std::vector<Product>> products = call.door.parts().runner.products_of(**status, context);
  if (!products) return call.fail(products.error());
  if (MediaKeeper* const keeper = call.door.parts().media)
    keeper->show(*products, owner_of(call),
                 public_origin(call.request.head(), call.rules->settings), call.request.stop());
  return answered(job_json(**status, *std::move(products)));
}

Response listed(const std::vector<RunStatus>& runs, bool has_more, bool with_owner) {
  Body body("{\"object\":\"list\",\"data\":[");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (i > 0) body.append(",");
    body.append(job_json(runs[i], std::nullopt, with_owner));
  }
  body.append(fmt::format("],\"has_more\":{}}}", has_more));
  return answered(std::move(body));
}

// Of all keys, what is under way: the newest, since what ends meanwhile leaves no place behind
// which a second page could begin.
Response list_all_open(Call& call, const Page& page) {
  if (!page.after.empty() || page.oldest_first) {
    return call.fail({.kind = ErrorKind::invalid_value,
                      .message = "With 'key=*' there is one page, the newest first. Leave out "
                                 "'after' and 'order', or name one key.",
                      .field = page.after.empty() ? "order" : "after"});
  }
  Result<std::vector<RunStatus>> runs = call.door.parts().runner.under_way(page.limit + 1);
  if (!runs) return call.fail(runs.error());
  const bool has_more = runs->size() > page.limit;
  if (has_more) runs->pop_back();
  return listed(*runs, has_more, true);
}

}  // namespace

Response show_job(Call& call) {
  return with_run(
      call, [&](const RunId& id) { return call.door.parts().runner.find(owner_of(call), id); });
}

// From here even if the files are kept in a bucket: a page may ask nobody else.
Response show_job_content(Call& call) {
  const std::optional<RunId> id = parse_job_id(call.request.parameter("id"));
  if (!id.has_value()) return call.fail(not_found(call));
  const std::string owner = owner_of(call);
  const Result<std::optional<RunStatus>> status = call.door.parts().runner.find(owner, *id);
  if (!status) return call.fail(status.error());
  if (!status->has_value()) return call.fail(not_found(call));
  std::size_t index = 0;
  const std::string text = query_value(call.request.head().target, "index");
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (!text.empty() && (fault != std::errc() || end != text.data() + text.size())) {
    return call.fail({.kind = ErrorKind::invalid_value,
                      .message = "'index' must be a whole number: 0 is the first file.",
                      .field = "index"});
  }
  const RunStatus& run = **status;
  if (run.phase != RunPhase::completed || index >= run.products.size()) {
    return call.fail({.kind = ErrorKind::run_not_found,
                      .message = "The job has no such file, or has not been completed."});
  }
  const Product& product = run.products[index];
  MediaKeeper* const keeper = call.door.parts().media;
  if (keeper != nullptr) {
    const auto kept = keeper->find_source(owner, product.content.str());
    if (kept && kept->state == MediaState::deleted) return call.fail(file_was_deleted("id"));
    if (kept && kept->state == MediaState::kept && keeper->place().is_folder()) {
      if (std::optional<Response> answer = file_answer(call, *kept, true))
        return *std::move(answer);
    }
  }
  Result<Response> file = relay_file(call, product.content.str(), product.content_type);
  return file ? *std::move(file) : call.fail(file.error());
}

Response cancel_job(Call& call) {
  return with_run(
      call, [&](const RunId& id) { return call.door.parts().runner.cancel(owner_of(call), id); });
}

Response list_jobs(Call& call) {
  Runner& runner = call.door.parts().runner;
  const Result<Page> page = page_of(call.request.head(), usual_count, most);
  if (!page) return call.fail(page.error());
  if (call.caller.is_operator && owner_of(call) == "*") return list_all_open(call, *page);
  const Result<std::optional<RunPlace>> after =
      place_after(call, page->after, parse_job_id(page->after));
  if (!after) return call.fail(after.error());
  Result<std::vector<RunStatus>> runs =
      runner.list(owner_of(call), {}, page->limit + 1, *after, page->oldest_first);
  if (!runs) return call.fail(runs.error());
  const bool has_more = runs->size() > page->limit;
  if (has_more) runs->pop_back();
  return listed(*runs, has_more, false);
}

}  // namespace falproxy::app
