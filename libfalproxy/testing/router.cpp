#include "router.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::string_view prefix = "openrouter/router/openai/v1/";
constexpr std::string_view request_id = "00000000-0000-4000-8000-0000000c4a70";

std::string text_of(const json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const json& part : content) {
    if (part.is_object() && part.contains("text") && part["text"].is_string())
      text += part["text"].get<std::string>();
  }
  return text;
}

std::string last_words(const json& input) {
  const json& talk = input.contains("messages") ? input["messages"] : input.value("input", json());
  if (talk.is_string()) return talk.get<std::string>();
  for (auto one = talk.rbegin(); one != talk.rend(); ++one) {
    if (one->is_object() && one->value("role", "") == "user" && one->contains("content"))
      return text_of((*one)["content"]);
  }
  return {};
}

std::vector<std::string> words_for(const json& input) {
  const std::string said = last_words(input);
  constexpr std::string_view count = "count to ";
  constexpr int most = 100'000;
  std::vector<std::string> words;
  int n = 0;
  if (said.starts_with(count))
    std::from_chars(said.data() + count.size(), said.data() + said.size(), n);
  for (int i = 1; i <= std::min(n, most); ++i) words.push_back(std::to_string(i) + " ");
  if (n > 0) return words;
  words.emplace_back("You said: ");
  std::istringstream in(said);
  for (std::string word; in >> word;) words.push_back(word + " ");
  return words;
}

json usage_for(const std::vector<std::string>& words) {
  const std::size_t tokens = words.size();
  return {{"prompt_tokens", 7},
          {"completion_tokens", tokens},
          {"total_tokens", 7 + tokens},
          {"cost", 0.000025 * static_cast<double>(tokens)}};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word;
  return text;
}

std::string event(const json& data) { return "data: " + dump(data) + "\n\n"; }

std::vector<std::string> chat_events(const json& frame, const std::vector<std::string>& words) {
  const auto chunk = [&](json choices) {
    json one = frame;
    one["object"] = "chat.completion.chunk";
    one["choices"] = std::move(choices);
    return one;
  };
  std::vector<std::string> events{": OPENROUTER PROCESSING\n\n"};
  for (const std::string& word : words) {
    events.push_back(event(chunk({{{"index", 0},
                                   {"delta", {{"role", "assistant"}, {"content", word}}},
                                   {"finish_reason", nullptr}}})));
  }
  events.push_back(
      event(chunk({{{"index", 0}, {"delta", {{"content", ""}}}, {"finish_reason", "stop"}}})));
  json last = chunk(json::array());
  last["usage"] = usage_for(words);
  events.push_back(event(last));
  events.emplace_back("data: [DONE]\n\n");
  return events;
}

json response_frame(const json& input, const std::string& id,
                    const std::vector<std::string>& words) {
  json content = {
      {{"type", "output_text"}, {"text", joined(words)}, {"annotations", json::array()}}};
  json output = {{{"id", "msg_" + id},
                  {"type", "message"},
                  {"role", "assistant"},
                  {"status", "completed"},
                  {"content", std::move(content)}}};
  return {{"id", "resp_" + id},
          {"object", "response"},
          {"created_at", 1},
          {"status", "completed"},
          {"model", input.value("model", "")},
          {"output", std::move(output)},
          {"usage",
           {{"input_tokens", 7},
            {"output_tokens", words.size()},
            {"total_tokens", 7 + words.size()},
            {"cost", 0.000025 * static_cast<double>(words.size())}}}};
}

std::vector<std::string> response_events(const json& frame, const std::vector<std::string>& words) {
  std::vector<std::string> events;
  int number = 0;
  const auto add = [&](const std::string& type, json data) {
    data["type"] = type;
    data["sequence_number"] = number++;
    events.push_back("event: " + type + "\n" + event(data));
  };
  json begun = frame;
  begun["status"] = "in_progress";
  begun["output"] = json::array();
  begun.erase("usage");
  add("response.created", {{"response", begun}});
  const json& item = frame["output"][0];
  json open = item;
  open["content"] = json::array();
  open["status"] = "in_progress";
  add("response.output_item.added", {{"output_index", 0}, {"item", open}});
  json part = item["content"][0];
  part["text"] = "";
  const json place = {{"item_id", item["id"]}, {"output_index", 0}, {"content_index", 0}};
  json added = place;
  added["part"] = part;
  add("response.content_part.added", added);
  for (const std::string& word : words) {
    json delta = place;
    delta["delta"] = word;
    delta["logprobs"] = json::array();
    add("response.output_text.delta", delta);
  }
  json done = place;
  done["text"] = joined(words);
  done["logprobs"] = json::array();
  add("response.output_text.done", done);
  json ended = place;
  ended["part"] = item["content"][0];
  add("response.content_part.done", ended);
  add("response.output_item.done", {{"output_index", 0}, {"item", item}});
  add("response.completed", {{"response", frame}});
  return events;
}

}  // namespace

bool RouterDesk::serves(std::string_view endpoint) noexcept { return endpoint.starts_with(prefix); }

void RouterDesk::answer(const Visit& visit, const json& input) {
  const std::string_view operation = visit.route.endpoint.substr(prefix.size());
  const auto whole = [&](int status, const json& body) {
    answers_.json(visit.exchange, status, body, request_id, {{"set-cookie", "router=1"}});
  };
  const std::string model = input.value("model", "");
  if (model.find('/') == std::string::npos) {
    return whole(400,
                 {{"error", {{"message", model + " is not a valid model ID"}, {"code", 400}}}});
  }
  ++stats_.runs;
  const std::string id = "gen" + std::to_string(next_++);
  const bool streams = input.value("stream", false);
  const std::vector<std::string> words = words_for(input);
  if (operation == "embeddings") {
    json one = {{"object", "embedding"}, {"index", 0}, {"embedding", {0.25, -0.5}}};
    return whole(200, {{"object", "list"},
                       {"data", {std::move(one)}},
                       {"model", model},
                       {"usage", {{"prompt_tokens", 7}, {"total_tokens", 7}, {"cost", 0.000007}}}});
  }
  if (operation == "responses") {
    const json frame = response_frame(input, id, words);
    if (!streams) return whole(200, frame);
    return stream(visit, response_events(frame, words));
  }
  if (operation != "chat/completions")
    return answers_.problem(visit.exchange, 404, "Path not found", {});
  const json frame = {{"id", id}, {"provider", "falsim"}, {"created", 1}, {"model", model}};
  if (streams) return stream(visit, chat_events(frame, words));
  json completion = frame;
  completion["object"] = "chat.completion";
  completion["choices"] = {{{"index", 0},
                            {"finish_reason", "stop"},
                            {"message", {{"role", "assistant"}, {"content", joined(words)}}}}};
  completion["usage"] = usage_for(words);
  whole(200, completion);
}

void RouterDesk::stream(const Visit& visit, std::vector<std::string> pieces) {
  if (!answers_.open_events(visit.exchange, request_id)) return;
  Stream stream{.pieces = std::move(pieces)};
  stream.pause = desk_.job_time() / static_cast<int>(stream.pieces.size());
  std::ranges::reverse(stream.pieces);
  streams_.emplace(visit.exchange, std::move(stream));
  send_next(visit.exchange);
}

void RouterDesk::send_next(ExchangeId exchange) {
  const auto found = streams_.find(exchange);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  do {
    if (!answers_.bytes(exchange, stream.pieces.back())) return;
    stream.pieces.pop_back();
  } while (stream.pause.count() == 0 && !stream.pieces.empty());
  if (stream.pieces.empty()) {
    streams_.erase(found);
    return answers_.close_events(exchange);
  }
  timeline_.at(timeline_.now() + stream.pause, [this, exchange] { send_next(exchange); });
}

void RouterDesk::gone(ExchangeId exchange) { stats_.runs_abandoned += streams_.erase(exchange); }

}  // namespace falproxy::inline v0::testing
