// Chats: with a model that makes pictures they are drawn here.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/openai_chat.hpp"
#include "handlers/handlers.hpp"
#include "handlers/talk_call.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Request;
using serving::Response;

namespace {

constexpr std::string_view operation = "chat/completions";

// A picture in a talk, or what is answered in its place.
class ChatCall final : public TalkCall {
 public:
  ChatCall(Call& call, Door::Admission admission, bool dry_run)
      : TalkCall(call, std::move(admission), dry_run, "messages"), call_(call) {}

  Response answer() override;

 private:
  Result<openai::ChatRequest> read_chat(const std::string& text);
  Response answer_chore(const openai::ChatRequest& chat);
  void choose_forms(const openai::ChatRequest& chat);
  void distribute();
  Body first_events() override { return openai::write_first_chunks(answer_, choices_); }
  Body last_events(Feed& feed, const Facts& facts) override;
  Response answer_to(Outcome outcome) override;

  Call& call_;
  openai::ChatAnswer answer_;
  int choices_ = 1;
  bool include_usage_ = false;
};

Result<openai::ChatRequest> ChatCall::read_chat(const std::string& text) {
  return run_by_size(parts_.executor, text.size(), [&] {
    return openai::parse_chat(text, rules_->limits, parts_.codecs, &parts_.memory,
                              [this](std::string_view address) { return is_ours(address); });
  });
}

Response ChatCall::answer() {
  Result<std::string> text = read_text();
  if (!text) return failure(std::move(text).error());
  if (auto answer = answer_by_chat_model(call_, *text, operation)) return *std::move(answer);
  Result<openai::ChatRequest> chat = read_chat(*text);
  if (!chat) return failure(std::move(chat).error());
  name_model(chat->wish);
  record_.model = chat->wish.model.value_or("");
  if (const auto fault = fault_of_model(chat->wish)) return failure(*fault);
  note(chat->leftovers);
  choose_forms(*chat);
  if (chat->chore.has_value()) {
    return answer_by_task_model(call_, *std::move(text), operation,
                                [&] { return answer_chore(*chat); });
  }
  static_cast<void>(memory_->resize(memory_->bytes() - text->size()));
  *text = {};
  take_earlier(chat->wish, std::move(chat->earlier));
  if (auto explained = take_up(chat->wish)) return *std::move(explained);
  if (const auto fault = fault_of_callback()) return failure(*fault);
  const bool events = chat->wish.stream;
  return answer_by_run(std::move(chat->wish), events);
}

void ChatCall::choose_forms(const openai::ChatRequest& chat) {
  answer_.id = new_talk_id("chatcmpl-");
  answer_.created = unix_now();
  answer_.model = record_.model;
  if (answer_.model.empty()) answer_.model = rules_->settings.default_model;
  if (answer_.model.empty()) answer_.model = parts_.catalog.models().front().name;
  choices_ = chat.choices;
  include_usage_ = chat.include_usage;
  const ChatImages images = rules_->settings.chat_images;
  const bool alone =
      images == ChatImages::images || (images == ChatImages::automatic && chat.asks_for_image);
  answer_.shows_markdown = !alone;
  answer_.shows_images = images != ChatImages::markdown;
  fetches_ = answer_.shows_images;
  addresses_will_do_ = answer_.shows_markdown;
}

Response ChatCall::answer_chore(const openai::ChatRequest& chat) {
  answer_.text = chat.chore->answer;
  answer_.choices.resize(1);
  Response response;
  if (chat.wish.stream) {
    response.content_type = Feed::event_type;
    response.fields = event_fields;
    response.body = openai::write_first_chunks(answer_, 1);
    response.body.append(openai::write_last_chunks(answer_, chat.include_usage));
  } else {
    response.body = openai::write(answer_);
  }
  append_safe_field(response.fields, "x-falproxy-notes", chore_note(*chat.chore));
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

// To each choice as many as to the others.
void ChatCall::distribute() {
  keep_pictures();
  const std::size_t choices =
      std::clamp<std::size_t>(pictures_.size(), 1, static_cast<std::size_t>(choices_));
  const std::size_t each = (pictures_.size() + choices - 1) / choices;
  answer_.choices.resize(choices);
  for (std::size_t i = 0; i < pictures_.size(); ++i) {
    record_.answer_bytes += pictures_[i].data_uri.size();
    answer_.choices[i / each].push_back(std::move(pictures_[i]));
  }
  answer_.cost = cost_of(record_.receipt);
}

Response ChatCall::answer_to(Outcome outcome) {
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(std::move(outcome.response).error());
  distribute();
  Response response{.body = openai::write(answer_), .undelivered = std::move(outcome.undelivered)};
  append_facts(response.fields, facts());
  done(response.status, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return response;
}

Body ChatCall::last_events(Feed& feed, const Facts& facts) {
  const Outcome& outcome = feed.outcome();
  Body events(comment_of(facts));
  if (!outcome.response) {
    const Error error = worded(explained(outcome.response.error()));
    events.append(openai::write_chat_error(error, record_.model));
    done(openai::describe(error.kind).status, &error);
    return events;
  }
  distribute();
  // Those that have begun end, also if a job brought nothing.
  answer_.choices.resize(static_cast<std::size_t>(choices_));
  events.append(openai::write_last_chunks(answer_, include_usage_));
  done(200, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return events;
}

}  // namespace

Response chat(Call& call) {
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<ChatCall>(call, std::move(admission), dry_run);
  });
}

}  // namespace falproxy::app
