#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/fmt.hpp"
#include "base/printer.hpp"
#include "falproxy/openai_responses.hpp"
#include "json/access.hpp"
#include "surfaces/json_text.hpp"

namespace falproxy::inline v0::openai {
namespace {

using nlohmann::json;

constexpr std::string_view response_prefix = "resp_";
constexpr std::string_view call_prefix = "ig_";

std::string call_id(const ResponseAnswer& answer) {
  return std::string(call_prefix) + answer.id.to_string();
}
std::string message_id(const ResponseAnswer& answer) { return "msg_" + answer.id.to_string(); }

// Base64 alone.
Body result_of(const TalkPicture& picture) {
  Body result;
  bool begun = false;
  for (const Piece& piece : picture.data_uri.pieces()) {
    Piece part = piece;
    if (!begun) {
      const std::size_t comma = part.bytes.find(',');
      if (comma == std::string_view::npos) continue;
      begun = true;
      part.bytes.remove_prefix(comma + 1);
      if (part.bytes.empty()) continue;
    }
    result.append(std::move(part));
  }
  return result;
}

void add_call(JsonText& out, const ResponseAnswer& answer, std::string_view status, bool whole) {
  const Product& product = answer.product;
  const auto or_auto = [](const std::optional<std::string>& value, std::string_view otherwise) {
    return json_string(value ? std::string_view(*value) : otherwise);
  };
  out.add(fmt::format(R"({{"id":"{}","type":"image_generation_call","status":"{}")",
                      call_id(answer), status));
  if (!whole) return out.add(R"(,"result":null})");
  out.add(fmt::format(
      R"(,"action":"{}","background":{},"output_format":{},"quality":{},"size":{},"revised_prompt":{},"result":)",
      answer.edits ? "edit" : "generate", or_auto(product.background, "auto"),
      or_auto(product.output_format, "png"), or_auto(product.quality, "auto"),
      or_auto(product.size, "auto"),
      product.revised_prompt ? json_string(*product.revised_prompt) : "null"));
  out.add_string(result_of(answer.picture));
  out.add("}");
}

void add_part(JsonText& out, const Body& text) {
  out.add(R"({"type":"output_text","text":)");
  out.add_string(text);
  out.add(R"(,"annotations":[],"logprobs":[]})");
}

void add_message(JsonText& out, const ResponseAnswer& answer, bool whole) {
  out.add(
      fmt::format(R"({{"id":"{}","type":"message","status":"{}","role":"assistant","content":[)",
                  message_id(answer), whole ? "completed" : "in_progress"));
  if (whole) add_part(out, answer.text);
  out.add("]}");
}

enum class State { in_progress, completed, failed };

// The code is one of a few that clients know.
std::string_view code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::content_policy:
      return "image_content_policy_violation";
    case ErrorKind::rate_limited:
    case ErrorKind::keys_resting:
    case ErrorKind::queue_full:
      return "rate_limit_exceeded";
    case ErrorKind::rejected_by_model:
    case ErrorKind::invalid_value:
      return "invalid_prompt";
    case ErrorKind::unsupported_file:
      return "invalid_image";
    default:
      return "server_error";
  }
}

void add_frame(JsonText& out, const ResponseAnswer& answer, State state, std::int64_t completed,
               const Error* error) {
  const json& echo = Json::Access::raw(answer.echo);
  const auto said = [&](const char* name) {
    const auto found = echo.find(name);
    return fmt::format(R"("{}":{})", name, found == echo.end() ? "null" : dump_raw(*found));
  };
  constexpr std::string_view states[] = {"in_progress", "completed", "failed"};
  std::string fault = "null";
  if (error != nullptr)
    fault = dump_raw({{"code", code_of(error->kind)}, {"message", error->message}});
  out.add(fmt::format(
      R"({{"id":"{}","object":"response","created_at":{},"status":"{}","background":false,)"
      R"("completed_at":{},"error":{},"incomplete_details":null,{},{},{},"model":{},"output":[)",
      response_id(answer.id), answer.created, states[static_cast<std::size_t>(state)],
      state == State::completed ? std::to_string(completed) : "null", fault, said("instructions"),
      said("max_output_tokens"), said("max_tool_calls"), json_string(answer.model)));
  if (state == State::completed) {
    if (answer.has_picture) {
      add_call(out, answer, "completed", true);
      out.add(",");
    }
    add_message(out, answer, true);
  } else if (state == State::failed && answer.has_picture) {
    add_call(out, answer, "failed", false);
  }
  out.add("]");
  for (const char* name : {"parallel_tool_calls", "previous_response_id", "reasoning",
                           "safety_identifier", "service_tier", "store", "temperature", "text",
                           "tool_choice", "tools", "top_logprobs", "top_p", "truncation"})
    out.add("," + said(name));
  if (state == State::in_progress || state == State::failed) {
    out.add(R"(,"usage":null)");
  } else {
    out.add(R"(,"usage":{"input_tokens":0,"input_tokens_details":{"cached_tokens":0},)"
            R"("output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":0)");
    if (answer.cost) out.add(R"(,"cost":)" + answer.cost->to_string());
    out.add("}");
  }
  out.add("," + said("user") + "," + said("metadata") + "}");
}

// Events, counted from `next`.
class Events {
 public:
  explicit Events(int next) : next_(next) {}

  /// `add_rest` writes the members behind the number, with a comma before each.
  template <class F>
  void add(std::string_view type, F&& add_rest) {
    out_.add(fmt::format("event: {}\ndata: {{\"type\":\"{}\",\"sequence_number\":{}", type, type,
                         next_++));
    add_rest(out_);
    out_.add("}\n\n");
  }
  void add_response(std::string_view type, const ResponseAnswer& answer, State state,
                    std::int64_t completed = 0, const Error* error = nullptr) {
    add(type, [&](JsonText& out) {
      out.add(R"(,"response":)");
      add_frame(out, answer, state, completed, error);
    });
  }
  template <class F>
  void add_item(std::string_view type, int index, F&& add_it) {
    add(type, [&](JsonText& out) {
      out.add(fmt::format(R"(,"output_index":{},"item":)", index));
      add_it(out);
    });
  }
  void add_of_call(std::string_view type, const ResponseAnswer& answer) {
    add(type, [&](JsonText& out) {
      out.add(fmt::format(R"(,"output_index":0,"item_id":"{}")", call_id(answer)));
    });
  }
  [[nodiscard]] Body take() { return out_.take(); }

 private:
  int next_;
  JsonText out_;
};

// How many events go out at first.
int first_events(const ResponseAnswer& answer) { return answer.has_picture ? 5 : 2; }

void add_message_events(Events& events, const ResponseAnswer& answer) {
  const int index = answer.has_picture ? 1 : 0;
  const std::string place = fmt::format(R"(,"item_id":"{}","output_index":{},"content_index":0)",
                                        message_id(answer), index);
  const auto add_text = [&](std::string_view type, std::string_view name) {
    events.add(type, [&](JsonText& out) {
      out.add(place);
      out.add(fmt::format(R"(,"{}":)", name));
      out.add_string(answer.text);
      out.add(R"(,"logprobs":[])");
    });
  };
  const auto add_content = [&](std::string_view type, const Body& text) {
    events.add(type, [&](JsonText& out) {
      out.add(place + R"(,"part":)");
      add_part(out, text);
    });
  };
  events.add_item("response.output_item.added", index,
                  [&](JsonText& out) { add_message(out, answer, false); });
  add_content("response.content_part.added", Body());
  if (!answer.text.empty()) add_text("response.output_text.delta", "delta");
  add_text("response.output_text.done", "text");
  add_content("response.content_part.done", answer.text);
  events.add_item("response.output_item.done", index,
                  [&](JsonText& out) { add_message(out, answer, true); });
}

}  // namespace

Body write(const ResponseAnswer& answer, std::int64_t completed) {
  JsonText out;
  add_frame(out, answer, State::completed, completed, nullptr);
  return out.take();
}

Body write_first_events(const ResponseAnswer& answer) {
  Events events(0);
  events.add_response("response.created", answer, State::in_progress);
  events.add_response("response.in_progress", answer, State::in_progress);
  if (!answer.has_picture) return events.take();
  events.add_item("response.output_item.added", 0,
                  [&](JsonText& out) { add_call(out, answer, "in_progress", false); });
  events.add_of_call("response.image_generation_call.in_progress", answer);
  events.add_of_call("response.image_generation_call.generating", answer);
  return events.take();
}

Body write_last_events(const ResponseAnswer& answer, std::int64_t completed) {
  Events events(first_events(answer));
  if (answer.has_picture) {
    events.add_of_call("response.image_generation_call.completed", answer);
    events.add_item("response.output_item.done", 0,
                    [&](JsonText& out) { add_call(out, answer, "completed", true); });
  }
  add_message_events(events, answer);
  events.add_response("response.completed", answer, State::completed, completed);
  return events.take();
}

Body write_failed_events(const ResponseAnswer& answer, const Error& error) {
  Events events(first_events(answer));
  events.add_item("response.output_item.done", 0,
                  [&](JsonText& out) { add_call(out, answer, "failed", false); });
  events.add_response("response.failed", answer, State::failed, 0, &error);
  return events.take();
}

std::string response_id(const RunId& id) { return std::string(response_prefix) + id.to_string(); }

std::optional<RunId> parse_response_id(std::string_view text) noexcept {
  for (const std::string_view prefix : {response_prefix, call_prefix}) {
    if (text.starts_with(prefix)) return RunId::parse(text.substr(prefix.size()));
  }
  return std::nullopt;
}

std::ostream& operator<<(std::ostream& out, const ResponseRequest& request) {
  Printer printer(out, "ResponseRequest");
  printer("wish", request.wish)("earlier", request.earlier)("model", request.model)(
      "tool_model", request.tool_model)("has_tool", request.has_tool);
  return printer("previous", request.previous)("references", request.references)("chore",
                                                                                 request.chore)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ResponseAnswer& answer) {
  return Printer(out, "ResponseAnswer")("id", answer.id.to_string())("model", answer.model)(
             "edits", answer.edits)("text", answer.text)("cost", answer.cost)
      .end();
}

}  // namespace falproxy::inline v0::openai
