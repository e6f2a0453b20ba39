// Responses in which a picture is made.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/openai_responses.hpp"
#include "handlers/handlers.hpp"
#include "handlers/talk_call.hpp"
#include "keepsakes.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

constexpr std::string_view operation = "responses";
constexpr Seconds kept_for{3600};

class ResponseCall final : public TalkCall {
 public:
  ResponseCall(Call& call, Door::Admission admission, bool dry_run)
      : TalkCall(call, std::move(admission), dry_run, "input"),
        call_(call),
        keepsakes_(parts_.store, "responses") {}

  Response answer() override;

 private:
  Result<openai::ResponseRequest> read_request(const std::string& text);
  [[nodiscard]] std::optional<Error> choose_model(openai::ResponseRequest& request);
  [[nodiscard]] Result<std::vector<InputFile>> earlier_of(openai::ResponseRequest& request);
  [[nodiscard]] Result<std::vector<InputFile>> files_of(const std::string& id) const;
  Response answer_chore(const openai::ResponseRequest& request);

  Outcome run(Wish wish, const CallContext& context) override;
  void fill();
  Body first_events() override { return openai::write_first_events(answer_); }
  Body last_events(Feed& feed, const Facts& facts) override;
  Response answer_to(Outcome outcome) override;

  Call& call_;
  const Keepsakes keepsakes_;
  openai::ResponseAnswer answer_;
  bool has_tool_ = false;
};

Result<openai::ResponseRequest> ResponseCall::read_request(const std::string& text) {
  return run_by_size(parts_.executor, text.size(), [&] {
    return openai::parse_response_request(
        text, rules_->limits, parts_.codecs, &parts_.memory,
        [this](std::string_view address) { return is_ours(address); });
  });
}

Response ResponseCall::answer() {
  Result<std::string> text = read_text();
  if (!text) return failure(std::move(text).error());
  if (auto answer = answer_by_chat_model(call_, *text, operation)) return *std::move(answer);
  Result<openai::ResponseRequest> request = read_request(*text);
  if (!request) return failure(std::move(request).error());
  if (const auto fault = choose_model(*request)) return failure(*fault);
  note(request->leftovers);
  has_tool_ = request->has_tool;
  answer_ = {.id = draw_run_id(),
             .created = unix_now(),
             .model = request->model.empty() ? record_.model : request->model,
             .echo = request->echo};
  if (request->chore.has_value()) {
    return answer_by_task_model(call_, *std::move(text), operation,
                                [&] { return answer_chore(*request); });
  }
  static_cast<void>(memory_->resize(memory_->bytes() - text->size()));
  *text = {};
  Result<std::vector<InputFile>> earlier = earlier_of(*request);
  if (!earlier) return failure(std::move(earlier).error());
  take_earlier(request->wish, *std::move(earlier));
  answer_.edits = !request->wish.images.empty();
  if (auto explained = take_up(request->wish)) return *std::move(explained);
  if (const auto fault = fault_of_callback()) return failure(*fault);
  const bool events = request->wish.stream;
  return answer_by_run(std::move(request->wish), events);
}

// That of the tool, else that of the request: clients name a chat model there that this server may
// not have.
std::optional<Error> ResponseCall::choose_model(openai::ResponseRequest& request) {
  Wish& wish = request.wish;
  if (!request.tool_model.empty() && !parts_.catalog.find(request.tool_model)) {
    note({{"tools", fmt::format("there is no model '{}'", request.tool_model.substr(0, 100))}});
    request.tool_model.clear();
  }
  wish.model.reset();
  if (!request.model.empty()) wish.model = request.model;
  if (!request.tool_model.empty()) wish.model = request.tool_model;
  name_model(wish);
  record_.model = wish.model.value_or("");
  return fault_of_model(wish);
}

Result<std::vector<InputFile>> ResponseCall::files_of(const std::string& id) const {
  std::vector<InputFile> files;
  const std::optional<RunId> known = openai::parse_response_id(id);
  Result<std::optional<RunRecord>> record = std::optional<RunRecord>();
  if (known) record = keepsakes_.find(record_.client, *known);
  if (!record) return std::move(record).error();
  if (!record->has_value())
    return Error{.kind = ErrorKind::run_not_found,
                 .message = fmt::format("Item with id '{}' not found.", id.substr(0, 100)),
                 .field = "input"};
  for (const RunArtifact& artifact : (*record)->artifacts)
    files.push_back({.url = artifact.url, .is_own = true});
  return files;
}

Result<std::vector<InputFile>> ResponseCall::earlier_of(openai::ResponseRequest& request) {
  std::vector<InputFile> earlier = std::move(request.earlier);
  if (!request.previous.empty()) {
    Result<std::vector<InputFile>> before = files_of(request.previous);
    if (!before && before.error().kind == ErrorKind::run_not_found) {
      return Error{.kind = ErrorKind::response_not_found,
                   .message = fmt::format("Previous response with id '{}' not found.",
                                          request.previous.substr(0, 100)),
                   .field = "previous_response_id"};
    }
    if (!before) return before;
    if (earlier.empty() && request.references.empty()) earlier = *std::move(before);
  }
  std::set<std::string_view> seen;
  for (const std::string& id : request.references) {
    if (earlier.size() >= rules_->limits.max_input_images || request_.stop().stop_requested())
      break;
    if (!seen.insert(id).second) continue;
    Result<std::vector<InputFile>> one = files_of(id);
    if (!one) return one;
    for (InputFile& file : *one) {
      if (earlier.size() < rules_->limits.max_input_images) earlier.push_back(std::move(file));
    }
  }
  if (!request.may_edit) earlier.clear();
  return earlier;
}

Response ResponseCall::answer_chore(const openai::ResponseRequest& request) {
  answer_.has_picture = false;
  answer_.text = Body(request.chore->answer);
  Response response;
  if (request.wish.stream) {
    response.content_type = Feed::event_type;
    response.fields = event_fields;
    response.body = openai::write_first_events(answer_);
    response.body.append(openai::write_last_events(answer_, unix_now()));
  } else {
    response.body = openai::write(answer_, unix_now());
  }
  append_safe_field(response.fields, "x-falproxy-notes", chore_note(*request.chore));
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

// The next turn names the picture, and does not send it again.
Outcome ResponseCall::run(Wish wish, const CallContext& context) {
  Outcome outcome = TalkCall::run(std::move(wish), context);
  if (!outcome.response) return outcome;
  RunRecord record{.state = RunState::completed, .surface = "responses"};
  for (const openai::TalkPicture& picture : pictures_) {
    if (!picture.address.empty() && record.artifacts.empty())
      record.artifacts.push_back({.url = picture.address});
  }
  if (record.artifacts.empty()) {
    outcome.receipt.notes.push_back(
        {"output", "the model gave the picture without an address: a later turn has to send it"});
    return outcome;
  }
  static_cast<void>(keepsakes_.keep(record_.client, answer_.id, std::move(record), kept_for));
  return outcome;
}

void ResponseCall::fill() {
  keep_pictures();
  answer_.product = products_.front();
  if (!has_tool_) answer_.text = openai::markdown_of(pictures_);
  answer_.picture = std::move(pictures_.front());
  record_.answer_bytes = answer_.picture.data_uri.size();
  answer_.cost = cost_of(record_.receipt);
}

Response ResponseCall::answer_to(Outcome outcome) {
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(std::move(outcome.response).error());
  fill();
  Response response{.body = openai::write(answer_, unix_now()),
                    .undelivered = std::move(outcome.undelivered)};
  append_facts(response.fields, facts());
  done(response.status, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return response;
}

Body ResponseCall::last_events(Feed& feed, const Facts& facts) {
  const Outcome& outcome = feed.outcome();
  Body events(comment_of(facts));
  if (!outcome.response) {
    const Error error = worded(explained(outcome.response.error()));
    events.append(openai::write_failed_events(answer_, error));
    done(openai::describe(error.kind).status, &error);
    return events;
  }
  fill();
  events.append(openai::write_last_events(answer_, unix_now()));
  done(200, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return events;
}

}  // namespace

Response respond(Call& call) {
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<ResponseCall>(call, std::move(admission), dry_run);
  });
}

}  // namespace falproxy::app
