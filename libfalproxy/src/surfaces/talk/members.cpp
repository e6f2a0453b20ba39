#include "surfaces/talk/members.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/fmt.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/members.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

constexpr std::array<std::string_view, 73> chat_fields = {"audio",
                                                          "background_mode",
                                                          "cache_control",
                                                          "chat_id",
                                                          "client_metadata",
                                                          "conversation",
                                                          "debug",
                                                          "echo",
                                                          "features",
                                                          "files",
                                                          "frequency_penalty",
                                                          "function_call",
                                                          "functions",
                                                          "id",
                                                          "include",
                                                          "include_reasoning",
                                                          "input",
                                                          "instructions",
                                                          "keep_alive",
                                                          "litellm_metadata",
                                                          "logit_bias",
                                                          "logprobs",
                                                          "max_completion_tokens",
                                                          "max_output_tokens",
                                                          "max_tokens",
                                                          "max_tool_calls",
                                                          "messages",
                                                          "metadata",
                                                          "min_p",
                                                          "mirostat",
                                                          "modalities",
                                                          "model_item",
                                                          "models",
                                                          "options",
                                                          "parallel_tool_calls",
                                                          "plugins",
                                                          "prediction",
                                                          "presence_penalty",
                                                          "previous_response_id",
                                                          "prompt",
                                                          "prompt_cache_key",
                                                          "prompt_cache_retention",
                                                          "provider",
                                                          "reasoning",
                                                          "reasoning_effort",
                                                          "repetition_penalty",
                                                          "response_format",
                                                          "route",
                                                          "safe_prompt",
                                                          "service_tier",
                                                          "session_id",
                                                          "stop",
                                                          "store",
                                                          "stream_options",
                                                          "structured_outputs",
                                                          "temperature",
                                                          "text",
                                                          "thinking",
                                                          "tool_choice",
                                                          "tool_servers",
                                                          "tools",
                                                          "top_a",
                                                          "top_k",
                                                          "top_logprobs",
                                                          "top_p",
                                                          "trace",
                                                          "transforms",
                                                          "truncation",
                                                          "usage",
                                                          "user_location",
                                                          "verbosity",
                                                          "web_search",
                                                          "web_search_options"};

// The pictures of an answer may be more than a request may have.
std::vector<InputFile> read_earlier(Raw& pictures, const PictureReader& reader,
                                    const RequestLimits& limits) {
  while (pictures.size() > limits.max_input_images) pictures.erase(pictures.size() - 1);
  Raw members{{"images", std::move(pictures)}};
  Wish earlier;
  // What is not to be read was nobody's wish: the words alone count.
  if (take_pictures(members, "images", reader, earlier)) return {};
  return std::move(earlier.images);
}

}  // namespace

std::optional<Error> fault_of_form(const Raw& members, std::string_view name) {
  const Raw* const format = member_of(members, name);
  if (format == nullptr) return std::nullopt;
  const std::string type = format->is_object() ? text_of(*format, "type") : "";
  if (type != "json_object" && type != "json_schema") return std::nullopt;
  return Error{ErrorKind::unsupported_value,
               fmt::format("Invalid '{}': this model makes pictures, and a picture is no JSON. "
                           "Nothing was made; send the type 'text', or name a chat model.",
                           name),
               std::string(name)};
}

std::optional<Error> fault_of_tool_choice(const Raw& members, bool may_be_required) {
  const Raw* const choice = member_of(members, "tool_choice");
  if (choice == nullptr) return std::nullopt;
  const std::string type = choice->is_object() ? text_of(*choice, "type") : "";
  const bool named = type == "function" || type == "custom" || type == "mcp";
  if (!named && (may_be_required || *choice != "required")) return std::nullopt;
  return Error{ErrorKind::unsupported_parameter,
               "Unsupported parameter: 'tool_choice'. This model makes pictures and calls no "
               "function. Nothing was made; leave it out, or name a chat model.",
               "tool_choice"};
}

void drop_chat_fields(Raw& members) {
  for (const std::string_view name : chat_fields) {
    if (const auto found = members.find(name); found != members.end()) members.erase(found);
  }
}

std::optional<Error> read_model_and_stream(const Raw& members, Wish& wish) {
  if (const Raw* const model = member_of(members, "model"); model != nullptr) {
    if (!model->is_string()) return invalid_type("model", "a string", Json::Access::wrap(*model));
    wish.model = model->get<std::string>();
  }
  if (const Raw* const stream = member_of(members, "stream"); stream != nullptr) {
    if (!stream->is_boolean())
      return invalid_type("stream", "a boolean", Json::Access::wrap(*stream));
    wish.stream = stream->get<bool>();
  }
  return std::nullopt;
}

Result<TalkWish> read_talk_wish(Talk& talk, Raw& members, const RequestLimits& limits,
                                const Codecs& codecs, MemoryBudget* memory) {
  const PictureReader reader(limits, codecs, memory);
  TalkWish made;
  made.wish.intent = talk.pictures.empty() ? Intent::generation : Intent::edit;
  members["prompt"] = std::move(talk.prompt);
  if (auto fault = check_strings(members, 0, limits)) return *std::move(fault);
  for (const char* name : {"image", "images"}) members.erase(name);
  members["images"] = std::move(talk.pictures);
  for (const char* name : {"images", "mask"}) {
    if (auto fault = take_pictures(members, name, reader, made.wish)) return *std::move(fault);
  }
  if (made.wish.images.empty() && !made.wish.mask) {
    made.earlier = read_earlier(talk.earlier, reader, limits);
  }
  if (auto fault = read_rest(members, reader, limits, made.wish)) return *std::move(fault);
  return made;
}

}  // namespace falproxy::inline v0::openai
