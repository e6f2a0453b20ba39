#include "later.hpp"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "background.hpp"
#include "base/bell.hpp"
#include "base/fmt.hpp"
#include "base/hmac.hpp"
#include "base/text.hpp"
#include "base/unix_time.hpp"
#include "falproxy/fal.hpp"
#include "keepsakes.hpp"
#include "media_store/media_keeper.hpp"
#include "serving/reactor.hpp"
#include "tracing/traced_request.hpp"

namespace falproxy::app {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view id_prefix = "job_";
constexpr std::size_t longest_callback = 2'000;

// So long a request waits for fal to take or refuse its job: what fal refuses has a status of its
// own then.
constexpr Milliseconds longest_submit{3000};

// What the run tells the request that waits for it to begin.
struct Start {
  std::mutex mutex;
  Bell changed;
  std::optional<RunId> noted;
  std::optional<Underway> underway;
  bool is_awaited = true;
  std::optional<Outcome> ended;

  void tell(const std::function<void()>& what) {
    std::unique_lock lock(mutex);
    what();
    Bell::Ring wake = changed.take();
    lock.unlock();
    wake();
  }
};

// The server stops, and fal goes on with it.
bool goes_on(const LaterCall& call, const Outcome& outcome) {
  return call.context.stop.stop_requested() && !outcome.response &&
         outcome.response.error().kind == ErrorKind::cancelled &&
         outcome.response.error().submitted;
}

void keep_files(Door& door, const LaterCall& call, const Receipt& receipt,
                std::optional<std::string> prompt) {
  MediaKeeper* const keeper = door.parts().media;
  if (keeper == nullptr) return;
  const std::string& client = call.record.client;
  const auto status = door.parts().runner.find(client, call.run.id);
  if (!status || !status->has_value() || (*status)->response_format != ResponseFormat::url) return;
  std::vector<Product> products = (*status)->products;
  std::vector<plan::Note> notes;  // nobody hears them any more
  keeper->keep(products,
               {.client = client,
                .request_id = call.record.request_id,
                .model = receipt.served_model,
                .run = call.run.id,
                .prompt = std::move(prompt),
                .cost = cost_of(receipt),
                .is_answer = false},
               notes);
}

void tell_end(Door& door, LaterCall& call, const Outcome& outcome, TimePoint began) {
  // The first was another request's; the second has not ended.
  if (outcome.receipt.recovered || goes_on(call, outcome)) return;
  RequestRecord record = std::move(call.record);
  record.receipt = outcome.receipt;
  record.status = outcome.response ? 200 : openai::describe(outcome.response.error().kind).status;
  record.total =
      std::chrono::duration_cast<std::chrono::microseconds>(serving::steady_now() - began);
  const Error* error = outcome.response
                           ? (outcome.shortfall.has_value() ? &*outcome.shortfall : nullptr)
                           : &outcome.response.error();
  door.tell(std::move(record), error, *call.rules);
  if (call.run.tells_end) door.parts().end_is_untold();
}

}  // namespace

std::variant<Begun, Outcome> begin_later(Door& door, Wish wish, LaterCall call) {
  static serving::FiberClock clock;
  const auto start = std::make_shared<Start>();
  const auto held = std::make_shared<LaterCall>(std::move(call));
  const auto asked = std::make_shared<Wish>(std::move(wish));
  const TimePoint began = serving::steady_now();
  const std::optional<std::string> prompt =
      held->run.keeps_prompt ? asked->prompt : std::optional<std::string>();
  const RunId id = held->run.id = draw_run_id();
  held->run.noted = [start](const RunId& noted) { start->tell([&] { start->noted = noted; }); };
  held->run.taken = [start](const Underway& now) { start->tell([&] { start->underway = now; }); };
  const std::shared_ptr<const SpanContext> trace = current_span();
  const bool runs = door.parts().background.begin([=, &door](const std::stop_token& stop) {
    const TracedLaterRun traced(door.parts().tracer, trace);
    held->context.stop = stop;
    held->context.later = &held->run;
    Outcome outcome{Error{.kind = ErrorKind::internal, .message = "falproxy failed."}, {}};
    try {
      outcome = door.parts().runner.handle(std::move(*asked), held->context);
    } catch (...) {  // it is told as what stands above
    }
    if (outcome.response && !outcome.receipt.recovered)
      serving::safely([&] { keep_files(door, *held, outcome.receipt, prompt); });
    bool is_awaited = false;
    start->tell([&] {
      is_awaited = start->is_awaited;
      start->ended = outcome;
    });
    if (!is_awaited) tell_end(door, *held, outcome, began);
  });
  if (!runs) {
    return Outcome{Error{.kind = ErrorKind::overloaded, .message = "The server has no room left."},
                   {}};
  }
  std::unique_lock lock(start->mutex);
  while (!start->noted.has_value() && !start->ended.has_value())
    start->changed.wait(lock, clock, no_deadline, {});
  const bool is_repeat = start->noted.has_value() && *start->noted != id;
  const TimePoint until = clock.now() + longest_submit;
  while (!is_repeat && !start->underway.has_value() && !start->ended.has_value() &&
         clock.now() < until)
    start->changed.wait(lock, clock, until, {});
  start->is_awaited = false;
  if (!start->ended.has_value()) return Begun{*start->noted, is_repeat, start->underway};
  const bool has_begun =
      start->underway.has_value() || start->ended->response.has_value() || is_repeat;
  if (!has_begun) {
    Outcome outcome = *std::move(start->ended);
    lock.unlock();
    // Its client hears of the failure now.
    if (held->run.tells_end) {
      const auto status = door.parts().runner.find(held->context.client, id);
      if (status && status->has_value()) door.parts().runner.told(**status);
    }
    return outcome;
  }
  tell_end(door, *held, *start->ended, began);
  return Begun{*start->noted, is_repeat, start->underway};
}

bool prefers_async(const serving::RequestHead& head) {
  return std::ranges::any_of(head.fields, [](const auto& field) {
    if (!equal_ignoring_case(field.name, "prefer")) return false;
    std::string_view left = field.value;
    while (!left.empty()) {
      const std::size_t end = std::min(left.find(','), left.size());
      const std::string_view one = left.substr(0, end);
      if (equal_ignoring_case(trim(one.substr(0, one.find(';'))), "respond-async")) return true;
      left.remove_prefix(std::min(end + 1, left.size()));
    }
    return false;
  });
}

std::string callback_secret(const Codecs& codecs, std::string_view key) {
  const Digest secret = hmac_sha256(codecs, key, "falproxy callback");
  std::string text;
  codecs.encode_base64({reinterpret_cast<const char*>(secret.data()), secret.size()}, text);
  return text;
}

Result<std::optional<Callback>> callback_of(const Call& call) {
  constexpr const char* field = "X-Falproxy-Callback";
  const std::string_view url = call.field("x-falproxy-callback");
  if (url.empty()) return std::optional<Callback>();
  const std::string& hosts = call.rules->settings.callback_hosts;
  if (hosts.empty()) {
    return Error{.kind = ErrorKind::unsupported_parameter,
                 .message =
                     "This server calls nobody back: its operator has named no host in "
                     "CALLBACK_HOSTS.",
                 .field = field};
  }
  const std::optional<Url> address = Url::parse(url);
  if (!address.has_value() || url.size() > longest_callback) {
    return Error{.kind = ErrorKind::invalid_value,
                 .message = fmt::format("'{}' is no address. Send an https address.", field),
                 .field = field};
  }
  const Result<fal::MediaHosts> allowed = fal::MediaHosts::parse(hosts);
  if (!allowed || !allowed->allow(*address)) {
    return Error{.kind = ErrorKind::invalid_value,
                 .message = fmt::format("The host of '{}' is none that the operator allows "
                                        "(CALLBACK_HOSTS).",
                                        field),
                 .field = field};
  }
  Callback callback{.url = std::string(url), .secret = {}};
  for (const auto& [name, key] : configured_keys(call.rules->settings)) {
    if (name == call.caller.client)
      callback.secret = callback_secret(call.door.parts().codecs, key->reveal());
  }
  for (const StoredKey& key : call.door.parts().stored_keys.all()) {
    if (callback.secret.empty() && key.rules.name == call.caller.client)
      callback.secret = key.callback_secret;
  }
  if (callback.secret.empty()) {
    return Error{.kind = ErrorKind::unsupported_parameter,
                 .message = "Nothing can be signed for this key. Send another one.",
                 .field = field};
  }
  return std::optional(std::move(callback));
}

std::string to_details(const std::optional<Callback>& callback, const std::string& remixed) {
  ordered_json details = ordered_json::object();
  if (callback.has_value()) {
    details["callback"] = callback->url;
    details["secret"] = callback->secret;
  }
  if (!remixed.empty()) details["remixed_from_video_id"] = remixed;
  if (details.empty()) return "";
  return details.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::optional<Callback> callback_in(const std::string& details) {
  const auto json = ordered_json::parse(details, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Callback callback{.url = text("callback"), .secret = text("secret")};
  return callback.url.empty() ? std::nullopt : std::optional(std::move(callback));
}

Body job_json(const RunStatus& status, std::optional<std::vector<Product>> products,
              bool with_owner) {
  const RunRecord& record = status.record;
  ordered_json job{{"id", job_id(record.id)},
                   {"object", "falproxy.job"},
                   {"status", name_of(status.phase)},
                   {"created_at", unix_seconds(record.created)}};
  const bool ended = !(status.phase == RunPhase::queued || status.phase == RunPhase::in_progress);
  if (ended) {
    job["completed_at"] = unix_seconds(record.changed);
    job["expires_at"] = unix_seconds(record.expires);
  }
  job["model"] = record.requested_model.empty() ? record.served_model : record.requested_model;
  job["request"] = record.surface;
  if (with_owner) job["key"] = record.owner;
  if (status.is_left) job["recovered"] = true;
  job["progress"] = status.progress;
  if (status.queue_position.has_value()) job["queue_position"] = *status.queue_position;
  if (record.prompt.has_value()) job["prompt"] = *record.prompt;
  const std::optional<Usd> cost = cost_of(record);
  if (ended) job["cost_usd"] = cost ? ordered_json(cost->to_string()) : ordered_json();
  if (status.error.has_value()) {
    const auto error =
        ordered_json::parse(openai::write_error(*status.error, record.requested_model));
    job["error"] = error.at("error");
  }
  if (status.left_out > 0) job["left_out"] = status.left_out;
  std::string text = job.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (!products.has_value() || products->empty()) return Body(std::move(text));
  text.back() = ',';
  Body body(text + "\"response\":");
  openai::ImageResponse response = openai::image_response(*std::move(products));
  response.usage.cost = cost;
  body.append(openai::write(response));
  body.append("}");
  return body;
}

Result<std::optional<RunPlace>> place_after(Call& call, const std::string& after,
                                            std::optional<RunId> id) {
  if (after.empty()) return std::optional<RunPlace>();
  Result<std::optional<RunStatus>> last = std::optional<RunStatus>();
  if (id.has_value()) last = call.door.parts().runner.find(call.caller.client, *id);
  if (!last) return std::move(last).error();
  if (last->has_value()) return std::optional(place_of((*last)->record));
  return Error{.kind = ErrorKind::invalid_value,
               .message = fmt::format("Invalid 'after': there is no '{}'.", after.substr(0, 100)),
               .field = "after"};
}

std::string job_id(const RunId& id) { return std::string(id_prefix) + id.to_string(); }

std::optional<RunId> parse_job_id(std::string_view text) {
  if (text.starts_with(id_prefix)) text.remove_prefix(id_prefix.size());
  return RunId::parse(text);
}

}  // namespace falproxy::app
